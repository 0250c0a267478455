import assert from "node:assert/strict"
import { test } from "node:test"
import { BufferPool } from "@holdfast/core"
import { mappedMemory } from "@holdfast/core/node"

const kib = 1024

test("what is given back is lent again, at any length that fits", () => {
  const pool = new BufferPool({ maxIdleBytes: 1024 * kib })
  const first = pool.take(300 * kib)
  const memory = first.buffer
  pool.give(first.subarray(8))
  const second = pool.take(280 * kib)
  assert.equal(second.buffer, memory)
  assert.equal(second.length, 280 * kib)
  assert.notEqual(pool.take(280 * kib).buffer, memory)
})

test("a part of an array, an array of others, and one given twice are not lent again", () => {
  const pool = new BufferPool({ maxIdleBytes: 4096 * kib })
  const whole = pool.take(256 * kib)
  pool.give(whole.subarray(0, 128 * kib))
  pool.give(new Uint8Array(256 * kib))
  const other = pool.take(256 * kib)
  assert.notEqual(other.buffer, whole.buffer)
  pool.give(whole)
  pool.give(whole)
  assert.equal(pool.take(256 * kib).buffer, whole.buffer)
  assert.notEqual(pool.take(256 * kib).buffer, whole.buffer)
})

test("no more is kept than allowed, and a much larger array is not lent for a small need", () => {
  const pool = new BufferPool({ maxIdleBytes: 1024 * kib })
  const lent = new Set([512, 512, 512].map((size) => pool.take(size * kib)))
  const known = new Set([...lent].map(({ buffer }) => buffer))
  for (const bytes of lent) pool.give(bytes)
  assert.equal([0, 0, 0].filter(() => known.has(pool.take(512 * kib).buffer)).length, 2)
  const large = pool.take(1024 * kib)
  pool.give(large)
  assert.notEqual(pool.take(100 * kib).buffer, large.buffer)
})

test("of arrays that fit the smallest is lent, so that large ones are there for large needs", () => {
  const pool = new BufferPool({ maxIdleBytes: 8192 * kib })
  const [small, large] = [pool.take(1024 * kib), pool.take(1280 * kib)]
  pool.give(small)
  pool.give(large)
  assert.equal(pool.take(1000 * kib).buffer, small.buffer)
  assert.equal(pool.take(1200 * kib).buffer, large.buffer)
})

test("memory is made as the owner of the pool likes, and what is not kept is freed at once", () => {
  const made: ArrayBuffer[] = []
  const allocate = (bytes: number) => {
    made.push(mappedMemory(bytes))
    return made.at(-1)!
  }
  const pool = new BufferPool({ maxIdleBytes: 1024 * kib, allocate })
  for (const bytes of [700, 700].map((size) => pool.take(size * kib))) pool.give(bytes)
  assert.deepEqual(
    made.map(({ byteLength, detached }) => [byteLength, detached]),
    [
      [0, true],
      [768 * kib, false],
    ],
  )
})

test("an array that was in another thread meanwhile can be given back", () => {
  const pool = new BufferPool({ maxIdleBytes: 1024 * kib })
  const moved = structuredClone(pool.take(300 * kib), { transfer: [] })
  pool.give(moved)
  assert.notEqual(pool.take(300 * kib).buffer, moved.buffer)
  pool.give(pool.adopt(moved))
  assert.equal(pool.take(300 * kib).buffer, moved.buffer)
})
