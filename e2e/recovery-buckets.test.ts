import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { credentialLines, makeBucket } from "./bucket.ts"
import { missingCephPrograms, startCeph } from "./ceph.ts"
import { createClient } from "./client.ts"

const missing = missingCephPrograms()
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

const clouds = ["one", "two", "three", "four"]

test("with the keys of buckets in the kit, two buckets and the words bring back the use of all four", {
  skip: why,
}, async (t) => {
  const ceph = await startCeph()
  t.after(() => ceph.stop())
  const [laptop, fresh] = [createClient(), createClient()]
  t.after(() => [laptop, fresh].map((client) => client.close()))
  const placeOf = (folder: string, cloud: string) =>
    `s3://recover-${cloud}?endpoint=${ceph.endpoint}&credentials=${folder}/${cloud}.keys`
  for (const cloud of clouds) {
    const keys = { accessKey: `RECOVER${cloud}`, secretKey: `secret-to-recover-${cloud}` }
    await ceph.addUser(`recover-${cloud}`, keys)
    await makeBucket(ceph.endpoint, keys, `recover-${cloud}`)
    fs.writeFileSync(`${laptop.folder}/${cloud}.keys`, credentialLines(keys), { mode: 0o600 })
  }
  const places = clouds.map((cloud) => placeOf(laptop.folder, cloud))
  await laptop.run(["volume", "create", "clouds", "--coding", "2/3/4", "--backend", ...places])
  await laptop.run(["put", "-", "clouds:letter"], { input: "Dear clouds,\n" })
  const open = await laptop.run(["recovery", "kit", "--without-passphrase"], { code: 2 })
  assert.match(open.stderr, /are in one hand/)
  const words = `${laptop.folder}/words`
  const made = await laptop.run(["recovery", "kit", "--with-bucket-keys", "--words-file", words])
  assert.match(made.stdout, /In it are the keys of 4 buckets\./)

  const named = ["one", "three"]
  for (const cloud of named) fs.cpSync(`${laptop.folder}/${cloud}.keys`, `${fresh.folder}/${cloud}.keys`)
  const input = fs.readFileSync(words)
  laptop.close()
  const backends = named.map((cloud) => placeOf(fresh.folder, cloud))
  const restored = await fresh.run(["recovery", "restore", "--kit-passphrase-file", "-", "--backend", ...backends], {
    input,
  })
  assert.match(restored.stdout, /The keys that the kit has for them are in place\./)
  assert.doesNotMatch(restored.stdout + restored.stderr, /secret-to-recover|hf:/)
  assert.equal((await fresh.run(["volume", "test", "clouds"])).stdout.match(/^ok /gm)?.length, 4)
  assert.equal((await fresh.run(["cat", "clouds:letter"])).stdout, "Dear clouds,\n")
  const folder = `${fresh.folder}/config/holdfast/profiles/default/bucket-keys`
  assert.equal(fs.readdirSync(folder).length, 2)
  assert.equal(fs.statSync(folder).mode & 0o777, 0o700)
  // Made anew, it has them still.
  assert.match((await fresh.run(["recovery", "kit"])).stdout, /In it are the keys of 4 buckets\./)
})
