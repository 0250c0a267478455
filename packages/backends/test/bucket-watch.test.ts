import assert from "node:assert/strict"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerHashOf, registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue } from "@holdfast/protocol/testing"
import { registerKey } from "../src/s3/keys.ts"
import { createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket, type MemoryBucketOptions } from "./memory-bucket.ts"

async function watched(options: MemoryBucketOptions = {}, listing: "strong" | "delayed" = "strong") {
  const bucket = new MemoryBucket(options)
  const access = await makeAccount(crypto)
  const open = () =>
    createObjectBackend(bucket.connect(), { id: "b1", crypto, access, conditionalWrites: true, listing })
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  const [reader, writer] = [open(), open()]
  const write = async (sequence: number) => {
    const value = await makeRegisterValue(crypto, seed, sequence, `value ${sequence}`)
    assert.equal((await writer.proposeRegisters([value]))[0]?.accepted, true)
    return toHex(registerHashOf(value))
  }
  /** What a look gives, and what it asked the bucket for. */
  const look = async () => {
    const before = bucket.requests.length
    const [hash] = await reader.watchRegisters!([{ id }])
    return { hash: hash && toHex(hash), asked: bucket.requests.slice(before).map(({ kind }) => kind) }
  }
  return { bucket, id, write, look }
}

test("a look at an unchanged register of a bucket costs one request, a get of what is not there three times of four", async () => {
  const { write, look } = await watched()
  const first = await write(1)
  assert.equal((await look()).hash, first)
  const looks = []
  for (let i = 0; i < 12; i++) looks.push(await look())
  assert.deepEqual(new Set(looks.map(({ hash }) => hash)), new Set([first]))
  const cycle = [["get"], ["get"], ["get"], ["list"]]
  assert.deepEqual(
    looks.map(({ asked }) => asked),
    [...cycle, ...cycle, ...cycle],
  )
})

test("the next value in a bucket is seen by the next look, one that passes over numbers within four", async () => {
  const { write, look } = await watched()
  assert.equal((await look()).hash, undefined)
  for (const sequence of [1, 2, 3]) {
    const hash = await write(sequence)
    assert.equal((await look()).hash, hash)
  }
  const far = await write(9)
  const hashes = []
  for (let i = 0; i < 4; i++) hashes.push((await look()).hash)
  assert.equal(hashes.at(-1), far)
})

test("where lists lag, the next value is seen all the same, and an old list is nothing new", async () => {
  const { bucket, write, look } = await watched({ listDelayMs: 3_600_000 }, "delayed")
  for (const sequence of [1, 2]) {
    bucket.nowMs += 7_200_000 // the value before is listed by now
    const hash = await write(sequence)
    for (let i = 0; i < 9; i++) assert.equal((await look()).hash, hash)
  }
  const looks = []
  for (let i = 0; i < 8; i++) looks.push((await look()).asked.length)
  assert.deepEqual(looks, [1, 1, 1, 1, 1, 1, 1, 1])
})

test("what lies in the place of the next value and is none is looked at ever more rarely", async () => {
  const { bucket, id, write, look } = await watched()
  const hash = await write(1)
  await look()
  bucket.objects.set(registerKey(id, 2), { bytes: crypto.random(50_000), modifiedMs: bucket.nowMs })
  let asked = 0
  for (let i = 0; i < 500; i++) {
    const { hash: seen, asked: requests } = await look()
    assert.equal(seen, hash)
    asked += requests.length
  }
  assert.ok(asked < 100, `${asked} requests`)
})
