import assert from "node:assert/strict"
import { test } from "node:test"
import { BufferPool } from "@holdfast/core"

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
  const sizes: number[] = []
  const allocate = (sizeBytes: number) => {
    sizes.push(sizeBytes)
    return new ArrayBuffer(sizeBytes)
  }
  const pool = new BufferPool({ maxIdleBytes: 1024 * kib, allocate })
  const lent = [512, 512, 512].map((size) => pool.take(size * kib))
  for (const bytes of lent) pool.give(bytes)
  for (let i = 0; i < 3; i++) pool.take(512 * kib)
  assert.equal(sizes.length, 4)
  pool.give(pool.take(1024 * kib))
  pool.take(100 * kib)
  assert.deepEqual(sizes.slice(-2), [1024 * kib, 256 * kib])
})
