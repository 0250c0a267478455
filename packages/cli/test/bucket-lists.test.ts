/** What collections leave in buckets, which keep every value until a collection trims it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { sweepBuckets } from "@holdfast/fs/care"
import { MemoryBucket } from "../../backends/test/memory-bucket.ts"
import { readAccountList } from "../../client/src/account/list.ts"
import { createAliasTree } from "../../client/src/account/new-tree.ts"
import { createDevice, type TestPlace } from "../../client/test/devices.ts"
import { collectAccount } from "../src/account/collect.ts"

const dayMs = 25 * 3_600_000

test("who collects each day for a month has as few objects in each bucket afterwards as after a week", async (t) => {
  const buckets = new Map(["one", "two", "three"].map((id) => [id, new MemoryBucket({})]))
  const places = [...buckets].map(
    ([id, bucket]): TestPlace => ({
      id,
      backendOf: (access) => createObjectBackend(bucket.connect(), { id, crypto, access, conditionalWrites: true }),
    }),
  )
  const device = await createDevice(t, places, "s3")
  const first = await device.open()
  await createAliasTree(first, "home")
  await first.close()
  const counts: number[] = []
  for (let day = 0; day < 30; day++) {
    for (const bucket of buckets.values()) bucket.nowMs += dayMs
    const session = await device.open()
    const report = await collectAccount(session, { graceMs: 0, dryRun: false, keep: [], warn: assert.fail })
    assert.deepEqual([...report.leftOut], [])
    await sweepBuckets(session.backends, assert.fail)
    await session.close()
    counts.push(Math.max(...[...buckets.values()].map((bucket) => bucket.keys().length)))
  }
  const week = Math.max(...counts.slice(0, 7))
  assert.ok(counts.at(-1)! <= week + 20, `objects in a bucket, day by day: ${counts.join(" ")}`)
  const last = await device.open()
  assert.deepEqual([...(await readAccountList(last)).roots.keys()], ["home"])
  await last.close()
})
