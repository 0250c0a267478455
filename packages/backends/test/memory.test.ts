import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  backendContract,
  makeAccount,
  makeOrder,
  newBatch,
  randomChunk,
  type TestAccount,
} from "@holdfast/protocol/testing"
import { createMemoryBackend, createMemoryPlace, leastGraceMs, markBytes, rowBytes } from "../src/index.ts"

backendContract("memory", () => memoryPlace({}), { limited: (quotaBytes) => memoryPlace({ quotaBytes }) })

async function memoryPlace(limits: { readonly quotaBytes?: number }) {
  let nowMs = 1_790_000_000_000
  const place = createMemoryPlace("m1", crypto, { ...limits, nowMs: () => nowMs })
  return {
    backendOf: async (account: TestAccount) => place.backendOf(account),
    advance(ms: number) {
      nowMs += ms
    },
    close: async () => undefined,
  }
}

it("answers quota and full apart, and still confirms what it holds", async () => {
  const chunk = await randomChunk(crypto, 100)
  const sizeBytes = chunk.shares[0]!.length
  for (const [options, code] of [
    [{ quotaBytes: sizeBytes + rowBytes + markBytes }, "quota"],
    [{ capacityBytes: sizeBytes }, "full"],
  ] as const) {
    const backend = createMemoryBackend("m1", crypto, options)
    const outcomes = await backend.putShares([chunk.shares[0]!, chunk.shares[1]!, chunk.shares[0]!], newBatch(crypto))
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.ok ? outcome.existed : outcome.code)),
      [false, code, true],
    )
  }
})

it("has a least grace that no operator can go under", async () => {
  let nowMs = 1_790_000_000_000
  const account = await makeAccount(crypto)
  const backend = createMemoryPlace("m1", crypto, { nowMs: () => nowMs, graceMs: 0 }).backendOf(account)
  const chunk = await randomChunk(crypto, 100)
  await backend.putShares([chunk.shares[0]!], newBatch(crypto))
  for (const [waitMs, shares] of [
    [leastGraceMs - 1000, 0],
    [1000, 1],
  ] as const) {
    nowMs += waitMs
    const order = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] })
    assert.equal((await backend.unmark(order)).shares, shares)
  }
})
