/** Memory that requests and answers of a node pass through. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openEngine } from "@holdfast/backends/directory"
import { BufferPool } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto, mappedMemory } from "@holdfast/core/node"
import { closeServer, createLogger, createTlsServer, listen, loadIdentity } from "@holdfast/network"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createNodeMetrics } from "../src/node-metrics.ts"
import { refuseOlder, storageService } from "../src/service.ts"
import { connect, grantFor, newGrid } from "./fixtures.ts"

const mib = 1024 * 1024

test("large shares that are put and got one after another pass through the same memory", async (t) => {
  const grid = await newGrid()
  t.after(() => grid.remove())
  const alice = await grid.member("alice", "client", "alice")
  const grant = await grantFor(alice, await makeAccount(crypto))
  let made = 0
  const allocate = (bytes: number) => {
    made++
    return mappedMemory(bytes)
  }
  const buffers = new BufferPool({ maxIdleBytes: 16 * mib, allocate })
  const engine = await openEngine({ dir: `${grid.dir}/read`, crypto, clock, reservedBytes: 0, buffers })
  const identity = await loadIdentity(grid.nodeIdentityDir)
  const onExchange = storageService({
    ...{ engine, dir: `${grid.dir}/read`, buffers, isWitness: false, nowMs: () => clock.nowMs() },
    log: createLogger({ stream: { write: () => undefined } }),
    metrics: createNodeMetrics(engine, identity.notAfterMs),
    stopped: new AbortController().signal,
    namespaceOptions: () => ({ placeId: identity.memberId }),
  })
  const server = createTlsServer(identity, refuseOlder, { onExchange })
  const port = await listen(server, { host: "127.0.0.1", port: 0 })
  const backend = connect(`127.0.0.1:${port}`, alice, { grant })
  t.after(async () => {
    await backend.close()
    await closeServer(server, 100)
    await engine.close()
  })
  const { id, shares } = await randomChunk(crypto, 4_000_000)
  const [share] = shares as [Uint8Array]
  for (const outcome of await backend.putShares([share], newBatch(crypto))) assert.equal(outcome.ok, true)
  for (let i = 0; i < 20; i++) assert.deepEqual(await backend.getShares([{ id, index: 0 }]), [share])
  // The share and the beginning of the body, and once more while the last answer is on its way.
  assert.ok(made <= 4, `memory was made ${made} times`)
})
