/** Commits over buckets, which write marks down in bulk: no place shows a value before what it refers to is held. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { createMemorySeen, createStore } from "@holdfast/store"
import { MemoryBucket } from "../../backends/test/memory-bucket.ts"
import { commit, owner } from "./fixture.ts"

const coding = { k: 1, happy: 2, n: 2 } as const

/** Three buckets, each slower in what it writes than the one before; `onValue` is called before a value is put. */
async function threeBuckets(onValue: (withMarks: number) => void, isFull: (bucket: number) => boolean = () => false) {
  const buckets: MemoryBucket[] = Array.from(
    { length: 3 },
    (_, i) =>
      new MemoryBucket({
        async before(_client, { kind, key }) {
          if (kind !== "put") return
          for (let turn = 0; turn < 20 * i; turn++) await new Promise(setImmediate)
          if (key.startsWith("marks/") && isFull(i)) throw new Error("no room")
          const marks = `marks/${toHex(owner.account)}/`
          if (key.startsWith("registers/")) onValue(buckets.filter((one) => one.keys(marks).length > 0).length)
        },
      }),
  )
  const store = await createStore({
    ...{ env: nodeEnv, coding, registerMode: "crash", account: owner.account },
    seen: createMemorySeen(),
    servers: buckets.map((bucket, i) => ({
      backend: createObjectBackend(bucket.connect(), {
        ...{ id: `b${i}`, crypto, access: owner, conditionalWrites: true },
      }),
      weight: 1,
    })),
  })
  return { buckets, store }
}

test("a value is put at no bucket before its chunks are marked at enough", async () => {
  for (let run = 0; run < 10; run++) {
    const seen: number[] = []
    const { store } = await threeBuckets((withMarks) => seen.push(withMarks))
    const { id } = await store.chunks.putChunk(crypto.random(500))
    assert.equal(await commit(store, [id]), true)
    assert.equal(seen.length, 3)
    assert.ok(Math.min(...seen) >= coding.happy, `a value was put when ${Math.min(...seen)} buckets had marks`)
  }
})

test("what a bucket does not mark is stored on another, and a value that nobody holds is put nowhere", async () => {
  for (let run = 0; run < 6; run++) {
    const full = new Set([run % 3])
    const seen: number[] = []
    const { buckets, store } = await threeBuckets(
      (withMarks) => seen.push(withMarks),
      (i) => full.has(i),
    )
    const ref = await store.chunks.putChunk(crypto.random(500))
    assert.equal(await commit(store, [ref.id]), true)
    assert.ok(Math.min(...seen) >= coding.happy)
    for (const [i, bucket] of buckets.entries())
      if (!full.has(i)) assert.equal(bucket.keys("shares/").length, 1, `bucket ${i}`)
    full.add((run + 1) % 3)
    seen.length = 0
    const next = await store.chunks.putChunk(crypto.random(500))
    await assert.rejects(commit(store, [next.id]), { code: "ERR_NOT_ENOUGH_SERVERS" })
    assert.deepEqual(seen, [])
  }
})
