import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { credentialsFor } from "@holdfast/backends/s3"
import { nodeCrypto } from "@holdfast/core/node"
import type { VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import { collectBucketKeys, placeBucketKeys, writeBucketKeys } from "../src/recovery/bucket-keys.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

const bucketOf = (name: string, credentials: string): Bucket => ({
  ...{
    kind: "s3",
    id: `s3://${name}`,
    bucket: name,
    prefix: "",
    region: "r1",
    pathStyle: true,
    conditionalWrites: true,
  },
  ...{ endpoint: `https://${name}.example`, profile: "mine", credentials },
})

test("keys of buckets come back as files that only the owner may read, but for buckets that were named", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-keys-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const places = ["a", "b", "c"].map((name) => {
    const file = join(folder, `${name}.keys`)
    const token = name === "c" ? "aws_session_token = temporary\n" : ""
    const text = `[mine]\naws_access_key_id = AK${name}\naws_secret_access_key = s/ecret+${name}=\n${token}`
    writeFileSync(file, text, { mode: 0o600 })
    return bucketOf(name, file)
  })
  const volume: VolumeDescription = {
    ...{ version: 1, id: "0".repeat(32), name: "clouds", registerMode: "crash" },
    ...{ coding: { k: 1, happy: 2, n: 3 }, backends: places },
  }
  const { keys, missing } = await collectBucketKeys([volume, volume])
  assert.deepEqual(
    [...keys].map(([place, { accessKeyId }]) => [place, accessKeyId]),
    [
      ["s3://a", "AKa"],
      ["s3://b", "AKb"],
    ],
  )
  assert.deepEqual(missing[0], { place: "s3://c", why: "its keys are temporary" })

  const secrets = {
    ...{ createdMs: 1, volume: "clouds", places: [], convergenceSecret: nodeCrypto.random(32), seen: "" },
    ...{ aliases: new Map(), aliasVolumes: new Map(), localAliases: [], kits: new Map(), others: new Map() },
    ...{ volumes: [volume], bucketKeys: keys },
  }
  const dir = join(folder, "profile")
  const placed = placeBucketKeys(secrets, { dir, named: [places[0]!] })
  await writeBucketKeys(placed.files)
  const [a, b, c] = placed.secrets.volumes[0]!.backends as Bucket[]
  assert.deepEqual([a, c], [places[0], places[2]])
  assert.deepEqual(await credentialsFor(b!)(), { ...(await credentialsFor(places[1]!)()) })
  assert.ok(b!.credentials!.startsWith(dir))
  assert.equal(statSync(b!.credentials!).mode & 0o777, 0o600)
  assert.doesNotMatch(readFileSync(b!.credentials!, "utf8"), /temporary/)
})
