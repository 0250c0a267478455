/** Checking and mending chunks read every share: what was read is used again for the next chunks. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { BufferPool } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { createLocalPipeline, createMemorySeen, createStore } from "@holdfast/store"
import { owner, testGrid } from "./fixture.ts"

const chunks = 12

test("a check that reads, and a repair, take the memory of a few shares, however many chunks there are", async (t) => {
  const grid = testGrid()
  let made = 0
  const buffers = new BufferPool({
    maxIdleBytes: 32 * 1024 * 1024,
    allocate: (bytes) => {
      made++
      return new ArrayBuffer(bytes)
    },
  })
  const pipeline = createLocalPipeline({ crypto: nodeCrypto, erasure: await createErasure(), buffers })
  const store = await createStore({
    ...{
      env: nodeEnv,
      servers: grid.servers.map(({ backend }) => ({ backend, weight: 1 })),
      seen: createMemorySeen(),
      pipeline,
    },
    ...{ coding: { k: 3, happy: 4, n: 5 }, account: owner.account, registerMode: "crash" },
  })
  t.after(() => store.close())
  const ids = []
  for (let i = 0; i < chunks; i++) ids.push((await store.chunks.putChunk(randomBytes(1024 * 1024))).id)
  for (const server of grid.servers)
    server.tamper = (share) => {
      const copy = buffers.take(share.length)
      copy.set(share)
      return copy
    }
  made = 0
  for (const id of ids) assert.equal((await store.checkChunk(id, { verify: true })).goodShares, 5)
  grid.servers[0]!.empty()
  for (const id of ids) {
    const { goodShares, placed } = await store.checkChunk(id, { repair: true })
    assert.deepEqual([goodShares, placed], [5, 1])
  }
  assert.ok(made <= 8, `memory was made ${made} times for ${chunks} chunks of 5 shares, looked at twice`)
})
