/** Registers in a bucket whose lists lag behind what was written. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket } from "./memory-bucket.ts"

/** Opens one bucket whose lists lag by an hour, for another account each time. */
function laggingBucket() {
  const bucket = new MemoryBucket({ listDelayMs: 3_600_000 })
  return async () =>
    createObjectBackend(bucket.connect(), {
      ...{ id: "bucket", crypto, access: await makeAccount(crypto), conditionalWrites: true, listing: "delayed" },
    })
}

it("where lists lag nobody takes a number that another writer has, and who wrote a version reads it", async () => {
  const open = laggingBucket()
  const [backend, other] = [await open(), await open()]
  const seed = crypto.random(32)
  const [mine, theirs] = await Promise.all(["mine", "theirs"].map((text) => makeRegisterValue(crypto, seed, 1, text)))
  assert.deepEqual(await backend.proposeRegisters([mine!]), [{ accepted: true, vouches: false }])
  const [outcome] = await other.proposeRegisters([theirs!])
  assert.ok(outcome && !outcome.accepted)
  assert.deepEqual(outcome.current, mine)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  assert.deepEqual(await backend.readRegisters([id]), [mine])
  assert.deepEqual(await other.readRegisters([id]), [mine])
  const next = await makeRegisterValue(crypto, seed, 2, "next")
  assert.equal((await other.proposeRegisters([next]))[0]!.accepted, true)
  assert.deepEqual(await other.readRegisters([id]), [next])
})

it("where lists lag a share that was stored a moment ago is there for whoever marks it or asks for it", async () => {
  const open = laggingBucket()
  const [writer, other] = [await open(), await open()]
  const chunk = await randomChunk(crypto, 3000)
  await writer.putShares([chunk.shares[1]!], newBatch(crypto))
  for (const backend of [writer, other]) {
    assert.deepEqual(await backend.hasShares([chunk.id]), [[1]])
    assert.deepEqual(await backend.markShares([chunk.id], newBatch(crypto)), [{ ok: true, held: [1] }])
  }
  const absent = await randomChunk(crypto, 3000)
  assert.deepEqual(await other.hasShares([absent.id]), [[]])
})
