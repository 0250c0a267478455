/** The contract of every backend, kept by a bucket of a real Ceph gateway and of a real Swift. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, it } from "node:test"
import { createS3Backend, parseS3Location, probeBucket } from "@holdfast/backends/s3"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { backendContract } from "@holdfast/protocol/testing"
import { makeBucket } from "./bucket.ts"
import { type Ceph, missingCephPrograms, startCeph } from "./ceph.ts"

const missing = missingCephPrograms()
if (missing.length > 0) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], `not installed: ${missing.join(", ")}`)

describe("a bucket of Ceph", { skip: missing.length > 0 && `not installed: ${missing.join(", ")}` }, () => {
  const keys = { accessKey: "CONTRACTKEY", secretKey: "contract-secret" }
  let ceph: Ceph
  let folder: string
  let prefixes = 0
  const place = () => `s3://contract/p${prefixes++}?endpoint=${ceph.endpoint}&credentials=${folder}/keys`
  before(async () => {
    ceph = await startCeph()
    folder = await mkdtemp(join(tmpdir(), "holdfast-s3-"))
    await ceph.addUser("contract", keys)
    const lines = `[default]\naws_access_key_id = ${keys.accessKey}\naws_secret_access_key = ${keys.secretKey}\n`
    await writeFile(join(folder, "keys"), lines, { mode: 0o600 })
    await makeBucket(ceph.endpoint, keys, "contract")
  })
  after(async () => {
    await ceph?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  for (const conditionalWrites of [true, false])
    backendContract(`S3 ${conditionalWrites ? "with" : "without"} conditional writes`, async () =>
      createS3Backend({
        id: "bucket",
        crypto,
        clock,
        conditionalWrites,
        touchAfterMs: 0,
        location: parseS3Location(place()),
      }),
    )

  it("is found to write conditionally, to list what was written, and to renew times", async () => {
    const { latencyMs, ...found } = await probeBucket(parseS3Location(place()), { crypto })
    assert.deepEqual(found, { conditionalWrites: true, listing: true, touching: true })
    assert.ok(latencyMs > 0)
  })
})
