import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { backendContract, randomChunk } from "@holdfast/protocol/testing"
import { createMemoryBackend } from "../src/index.ts"

backendContract("memory", async () => createMemoryBackend("m1", crypto))

it("answers quota and full apart, and still confirms what it holds", async () => {
  const chunk = await randomChunk(crypto, 100)
  const sizeBytes = chunk.shares[0]!.length
  for (const [options, code] of [
    [{ quotaBytes: sizeBytes }, "quota"],
    [{ capacityBytes: sizeBytes }, "full"],
  ] as const) {
    const backend = createMemoryBackend("m1", crypto, options)
    const outcomes = await backend.putShares([chunk.shares[0]!, chunk.shares[1]!, chunk.shares[0]!])
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.ok ? outcome.existed : outcome.code)),
      [false, code, true],
    )
  }
})
