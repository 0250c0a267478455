/** A long-lived process at a bucket marks again what a collection may have taken the mark of. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue } from "@holdfast/protocol/testing"
import { createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket } from "./memory-bucket.ts"

const dayMs = 24 * 3_600_000

it("a process marks a register without chunks again when a collection may have taken its mark away", async () => {
  const bucket = new MemoryBucket()
  const options = { id: "bucket", crypto, access: await makeAccount(crypto), conditionalWrites: true }
  const backend = createObjectBackend(bucket.connect(), options)
  const marked = () =>
    bucket.requests.splice(0).filter(({ kind, key }) => kind === "put" && key.startsWith("marks/")).length
  const seed = crypto.random(32)
  const ids = [registerIdOf(await crypto.publicKeyOf(seed))]
  const marksOf = async (sequence: number) => {
    await backend.readRegisters(ids) // as whoever writes does
    marked()
    await backend.proposeRegisters([await makeRegisterValue(crypto, seed, sequence, "kit")])
    return marked()
  }
  assert.deepEqual([await marksOf(1), await marksOf(2)], [1, 0])
  bucket.nowMs += 2 * dayMs
  assert.deepEqual([await marksOf(3), await marksOf(4)], [1, 0])
})
