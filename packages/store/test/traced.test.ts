import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { createMemorySeen, createStore, type TracedRequest } from "@holdfast/store"

test("each request to a place is told with what went and came, and why it failed", async () => {
  const told: TracedRequest[] = []
  const places = ["a", "b", "c"].map((id) => createMemoryBackend(id, nodeCrypto))
  const down = { ...places[2]!, putShares: () => Promise.reject(new HoldfastError("ERR_SERVER_UNREACHABLE", "gone")) }
  const store = await createStore({
    env: nodeEnv,
    servers: [places[0]!, places[1]!, down].map((backend) => ({ backend, weight: 1 })),
    coding: { k: 1, happy: 2, n: 3 },
    registerMode: "crash",
    seen: createMemorySeen(),
    onRequest: (request) => void told.push(request),
  })
  const ref = await store.chunks.putChunk(nodeCrypto.random(10_000))
  const of = (server: string, name: string) => told.filter((one) => one.server === server && one.name === name)
  for (const id of ["a", "b"]) {
    const [put] = of(id, "putShares")
    assert.ok(put && put.items === 1 && put.sentBytes > 10_000 && put.sentBytes < 20_000 && put.ms >= 0, id)
    assert.equal(put.error, undefined)
  }
  assert.deepEqual(
    of("c", "putShares").map(({ error, receivedBytes }) => [error, receivedBytes]),
    [["ERR_SERVER_UNREACHABLE", 0]],
  )
  told.length = 0
  await store.chunks.getChunk(ref)
  const [get] = told.filter(({ name }) => name === "getShares")
  assert.ok(get && get.receivedBytes > 10_000 && get.sentBytes >= 32, JSON.stringify(told))
  await store.close()
})
