/** What a sweep of a bucket deletes, when it does, and what stops it and the writers beside it. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { newBatch, randomChunk } from "@holdfast/protocol/testing"
import { shareKey } from "../src/s3/keys.ts"
import { hourMs, newBucket, newRegister } from "./bucket-fixture.ts"
import type { Request } from "./memory-bucket.ts"

/** A share that nobody marks, old enough to be condemned. */
async function withGarbage(before?: (client: string, request: Request) => Promise<void>) {
  const { bucket, open, lay } = newBucket(before ? { before } : {})
  const chunk = await randomChunk(crypto, 300)
  await (await open()).putShares([chunk.shares[0]!], newBatch(crypto)) // a command that dies
  bucket.nowMs += 25 * hourMs
  return { bucket, open, lay, chunk }
}

it("what nobody marks is deleted by a run that comes a grace after it was condemned, and by none before", async () => {
  const { bucket, open } = await withGarbage()
  const sweeper = await open()
  const outcomes: number[][] = []
  for (const waitMs of [0, 0, 23 * hourMs, hourMs, 0, 23 * hourMs, hourMs]) {
    bucket.nowMs += waitMs
    const { condemned, shares } = await sweeper.sweep()
    outcomes.push([condemned, shares, bucket.keys("fence/").length])
  }
  const nothing = [0, 0, 1]
  assert.deepEqual(outcomes, [[1, 0, 1], nothing, nothing, [0, 1, 2], [0, 0, 2], [0, 0, 2], [0, 0, 0]])
})

for (const [what, hours] of [
  ["carried out its list", [0]],
  ["ended its list", [0, 25]],
] as const)
  it(`a sweeper who slept until another one ${what} deletes nothing, not even what was stored again since`, async () => {
    let interrupt: (() => Promise<void>) | undefined
    let looks = 0
    const { bucket, open, chunk } = await withGarbage(async (client, { kind, key }) => {
      if (client !== "sleeper" || kind !== "list" || key !== "fence/" || ++looks !== 3) return
      await interrupt!()
    })
    const [sleeper, other, writer] = [await open({ client: "sleeper" }), await open(), await open()]
    await sleeper.sweep()
    bucket.nowMs += 25 * hourMs
    interrupt = async () => {
      for (const wait of hours) {
        bucket.nowMs += wait * hourMs
        await other.sweep()
      }
      await writer.putShares([chunk.shares[0]!], newBatch(crypto))
    }
    await assert.rejects(sleeper.sweep(), { code: "ERR_CONFLICT" })
    assert.equal(bucket.keys(`shares/${toHex(chunk.id)}`).length, 1)
  })

it("what is under fence/ and not ours stops nobody and stays", async () => {
  const { bucket, open, lay } = await withGarbage()
  const foreign = ["fence/readme", "fence/condemned-none", "fence/epoch-x", "fence/swept-0"]
  for (const key of foreign) lay(key, new Uint8Array(3))
  lay("fence/epoch-1", new Uint8Array())
  for (let run = 0; run < 3; run++) {
    await (await open()).sweep()
    bucket.nowMs += 25 * hourMs
  }
  assert.deepEqual(bucket.keys("shares/"), [])
  assert.deepEqual(bucket.keys("fence/"), [...foreign, "fence/epoch-1"].sort())
})

it("the word that a list was carried out goes a grace later, also where its list is gone", async () => {
  const { bucket, open, lay } = newBucket()
  lay("fence/swept-0123456789abcdef", new Uint8Array())
  const sweeper = await open()
  await sweeper.sweep()
  assert.equal(bucket.keys("fence/").length, 1)
  bucket.nowMs += 25 * hourMs
  await sweeper.sweep()
  assert.deepEqual(bucket.keys("fence/"), [])
})

it("more under fence/ than a list shows stops whoever deletes, and whoever relies on what others put", async () => {
  const { bucket, open, lay, chunk } = await withGarbage()
  await (await open()).sweep()
  bucket.nowMs += 25 * hourMs
  for (let i = 0; i < 999; i++) lay(`fence/aaa-${i}`, new Uint8Array())
  await assert.rejects((await open()).sweep(), { code: "ERR_LIMIT" })
  assert.equal(bucket.keys("shares/").length, 1)
  const [writer, batch] = [await open(), newBatch(crypto)]
  const { value } = await newRegister()
  await assert.rejects(writer.markShares([chunk.id], batch), { code: "ERR_LIMIT" })
  await writer.putShares([chunk.shares[0]!], batch)
  await assert.rejects(writer.proposeRegisters([await value(1)], batch), { code: "ERR_LIMIT" })
})

it("a share that is condemned is stored under the next generation, and those of other chunks and numbers under their plain keys", async () => {
  const { bucket, open } = newBucket()
  const chunks = await Promise.all(Array.from({ length: 3 }, () => randomChunk(crypto, 300)))
  const [low, middle, high] = chunks.sort((a, b) => (toHex(a.id) < toHex(b.id) ? -1 : 1)) as [
    (typeof chunks)[0],
    (typeof chunks)[0],
    (typeof chunks)[0],
  ]
  await (await open()).putShares([middle.shares[1]!], newBatch(crypto))
  bucket.nowMs += 25 * hourMs
  await (await open()).sweep()
  const writer = await open()
  const batch = newBatch(crypto)
  await writer.markShares([middle.id], batch) // looks at what is condemned
  const all = [low, middle, high].flatMap(({ shares }) => shares)
  assert.ok((await writer.putShares(all, batch)).every(({ ok }) => ok))
  const keys = [low, middle, high].flatMap(({ id }) => [0, 1, 2].map((index) => shareKey(id, index)))
  assert.deepEqual(bucket.keys("shares/"), [...keys, shareKey(middle.id, 1, 1)].sort())
  assert.deepEqual(await writer.hasShares([middle.id]), [[0, 1, 2]])
})
