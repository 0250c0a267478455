/** Requests that are given up while their work goes on: on a disk that is slow to make anything durable. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { type TestContext, test } from "node:test"
import { type Disk, openEngine } from "@holdfast/backends/directory"
import { BufferPool } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { closeServer, createLogger, createTlsServer, listen, loadIdentity } from "@holdfast/network"
import { encodeCancel, encodeMarked } from "@holdfast/protocol"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createNodeDisk } from "../../backends/src/directory/node-disk.ts"
import { createNodeMetrics } from "../src/node-metrics.ts"
import { refuseOlder, storageService } from "../src/service.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"
import { dataFrames, dialRaw, requestFrame } from "./raw.ts"

const mib = 1024 * 1024
const memoryBytes = 32 * mib

/** This machine's disk, on which nothing becomes durable before `go`; `writing` counts the files that wait for that. */
function slowDisk(root: string) {
  const gate = Promise.withResolvers<void>()
  const disk = createNodeDisk(root)
  const state = { writing: 0, go: () => gate.resolve() }
  const slow: Disk = {
    ...disk,
    async create(path) {
      const file = await disk.create(path)
      state.writing++
      return {
        write: (...args) => file.write(...args),
        close: () => file.close(),
        async datasync() {
          await gate.promise
          state.writing--
          await file.datasync()
        },
      }
    },
  }
  return { slow, state }
}

async function startSlow(t: TestContext, grid: TestGrid) {
  const { slow, state } = slowDisk(`${grid.dir}/slow`)
  const engine = await openEngine({ dir: `${grid.dir}/slow`, crypto, clock, reservedBytes: 0, disk: slow })
  const log = createLogger({ stream: { write: () => undefined } })
  const identity = await loadIdentity(grid.nodeIdentityDir)
  const onExchange = storageService({
    ...{ engine, dir: `${grid.dir}/slow`, log, memoryBytes, isWitness: false, nowMs: () => clock.nowMs() },
    buffers: new BufferPool({ maxIdleBytes: 0 }),
    metrics: createNodeMetrics(engine, identity.notAfterMs),
    stopped: new AbortController().signal,
    namespaceOptions: () => ({ placeId: identity.memberId }),
  })
  const server = createTlsServer(identity, refuseOlder, { onExchange })
  const port = await listen(server, { host: "127.0.0.1", port: 0 })
  t.after(async () => {
    state.go()
    await closeServer(server, 100)
    await engine.close()
  })
  return { address: `127.0.0.1:${port}`, state }
}

test("who stores and gives up again and again never has more in work than there is memory, which all comes back", async (t) => {
  const grid = await newGrid()
  t.after(() => grid.remove())
  const alice = await grid.member("alice", "client", "alice")
  const account = await makeAccount(crypto)
  const grant = await grantFor(alice, account)
  const { address, state } = await startSlow(t, grid)
  const headers = { grant: Buffer.from(grant).toString("base64url") }
  const { shares } = await randomChunk(crypto, 4_000_000)
  const shareBytes = shares[0]!.length
  for (let connection = 0; connection < 2; connection++) {
    const socket = dialRaw(address, alice)
    t.after(() => socket.destroy())
    await once(socket, "secureConnect")
    for (let id = 1; id <= 8; id++) {
      const body = Buffer.concat(encodeMarked(newBatch(crypto), [(await randomChunk(crypto, 4_000_000)).shares[0]!]))
      const before = state.writing
      socket.write(Buffer.concat([requestFrame(id, "shares/put", body.length, headers), dataFrames(id, body)]))
      for (let turn = 0; turn < 50 && state.writing === before; turn++) await new Promise((go) => setTimeout(go, 5))
      socket.write(encodeCancel(id)) // by now the work has begun, or there is no memory for it
    }
  }
  assert.ok(state.writing > 2, `only ${state.writing} were in work`)
  assert.ok(state.writing * shareBytes <= memoryBytes, `${state.writing} of ${shareBytes} bytes were in work`)
  state.go()
  const backend = connect(address, alice, { grant })
  t.after(() => backend.close())
  for (const outcome of await backend.putShares(shares.slice(0, 5), newBatch(crypto))) assert.equal(outcome.ok, true)
})
