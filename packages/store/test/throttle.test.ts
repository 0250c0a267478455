/** Limits of the bytes that go over the line in a second, on a clock that the test moves. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { BufferPool } from "@holdfast/core"
import { VirtualClock } from "../src/testing/virtual-clock.ts"
import { Line, type Rates, throttled } from "../src/throttle.ts"
import type { ChunkStore } from "../src/types.ts"

const id = new Uint8Array(32)
const ref = { id, key: id }
const mib = 1024 * 1024

/** Chunks of one MiB that are there at once; how many were put and read. */
function rig(rates: Rates, { sent = 5 / 3 }: { sent?: number } = {}) {
  const clock = new VirtualClock()
  const done = { put: 0, read: 0 }
  const chunks: ChunkStore = {
    buffers: new BufferPool({ maxIdleBytes: 0 }),
    async putChunk(plaintext) {
      done.put++
      return { ...ref, sentBytes: sent * plaintext.length }
    },
    async getChunk() {
      done.read++
      return new Uint8Array(mib)
    },
    async readRange(_ref, { length }, options) {
      done.read++
      options?.onWhole?.(new Uint8Array(mib), { isInBlocks: false })
      return new Uint8Array(length)
    },
  }
  return { clock, done, chunks: throttled(chunks, new Line(rates, clock), { spread: 5 / 3 }) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test("what is stored goes at the rate that is told, with what redundancy adds, and reads are not slowed by it", async () => {
  const { clock, done, chunks } = rig({ uploadBytesPerSecond: mib })
  const puts = Array.from({ length: 12 }, () => chunks.putChunk(new Uint8Array(mib)))
  await settle()
  assert.equal(done.put, 1)
  for (let second = 1; second <= 10; second++) {
    await clock.pass(1000)
    await settle()
    assert.ok(Math.abs(done.put - (1 + (second * 3) / 5)) <= 1, `${done.put} after ${second} s`)
  }
  await Promise.all([chunks.getChunk(ref), chunks.getChunk(ref), chunks.readRange(ref, { offset: 0, length: mib })])
  assert.equal(done.read, 3)
  for (let second = 0; second < 20; second++) await clock.pass(1000)
  await Promise.all(puts)
})

test("what need not be sent after all leaves room for the next", async () => {
  const { clock, done, chunks } = rig({ uploadBytesPerSecond: mib }, { sent: 0 })
  const startMs = clock.nowMs()
  for (let i = 0; i < 50; i++) await chunks.putChunk(new Uint8Array(mib))
  assert.deepEqual([done.put, clock.nowMs() - startMs], [50, 0])
})

test("what is read comes at the rate that is told, a chunk that is read for a part of it counts as a whole", async () => {
  for (const length of [mib, 10]) {
    const { clock, done, chunks } = rig({ downloadBytesPerSecond: mib })
    const reading = (async () => {
      for (let i = 0; i < 8; i++)
        await (length === mib ? chunks.getChunk(ref) : chunks.readRange(ref, { offset: 0, length }))
    })()
    await settle()
    for (let second = 1; second <= 5; second++) {
      await clock.pass(1000)
      await settle()
      assert.ok(Math.abs(done.read - (1 + second)) <= 1, `${done.read} after ${second} s`)
    }
    for (let second = 0; second < 20; second++) {
      await clock.pass(1000)
      await settle()
    }
    await reading
  }
})

test("who waits for its turn can be stopped", async () => {
  const { chunks } = rig({ uploadBytesPerSecond: 1024 })
  await chunks.putChunk(new Uint8Array(mib))
  const controller = new AbortController()
  const put = chunks.putChunk(new Uint8Array(1), { signal: controller.signal })
  put.catch(() => undefined)
  await settle()
  const why = new Error("stopped")
  controller.abort(why)
  await assert.rejects(put, (error) => error === why)
})

test("shares that a check reads and a repair places share the limits with chunks", async () => {
  const clock = new VirtualClock()
  const line = new Line({ downloadBytesPerSecond: mib, uploadBytesPerSecond: mib }, clock)
  let read = 0
  const backend = {
    async getShares(queries: readonly unknown[]) {
      read += queries.length
      return queries.map(() => new Uint8Array(mib / 2))
    },
  }
  const asking = (async () => {
    for (let i = 0; i < 5; i++) await line.shares(backend, [{ id }, { id }])
  })()
  await settle()
  for (let second = 1; second <= 4; second++) {
    await clock.pass(1000)
    await settle()
    assert.ok(Math.abs(read / 2 - (1 + second)) <= 1, `${read} shares after ${second} s`)
  }
  await clock.pass(5000)
  await asking
  let sent = 0
  const sending = (async () => {
    for (; sent < 3; sent++) await line.send(async () => mib, { likelyBytes: mib, bytesOf: (bytes) => bytes })
  })()
  await settle()
  assert.equal(sent, 1)
  await clock.pass(1000)
  await settle()
  assert.equal(sent, 2)
  await clock.pass(1000)
  await sending
})
