import assert from "node:assert/strict"
import { once } from "node:events"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Identity, parseAddress } from "@holdfast/network"
import { randomChunk } from "@holdfast/protocol/testing"
import type { NodeOptions } from "../src/index.ts"
import { connect as backendOf, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity
let bob: Identity
let directories = 0

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
  bob = await grid.member("bob-laptop", "client", "bob")
})
after(() => grid.remove())

async function started(t: TestContext, nodeLimits: NodeOptions["limits"] = {}) {
  const node = await grid.start({ dir: join(grid.dir, `limits-${directories++}`), limits: nodeLimits })
  t.after(() => node.close())
  const dial = async ({ keyPem: key, certPem: cert, caPem: ca }: Identity) => {
    const socket = connect({ ...parseAddress(node.address), key, cert, ca, checkServerIdentity: () => undefined })
    t.after(() => socket.destroy())
    socket.on("error", () => undefined)
    await once(socket, "secureConnect")
    return socket
  }
  const metrics = async () => (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  const receivedBytes = async () => Number(/received_bytes_total (\d+)/.exec(await metrics())![1])
  return { node, dial, metrics, receivedBytes }
}

const headOf = (path: string, bytes: number, more = "") =>
  `POST /v1/${path} HTTP/1.1\r\nHost: n1\r\nContent-Length: ${bytes}\r\n${more}\r\n`

/** The status line of the next answer. */
async function statusOf(socket: TLSSocket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer]
  return chunk.toString("latin1").split("\r\n")[0]!
}

/** An empty batch of shares. */
const nothing = new Uint8Array(4)

it("charges what has come and not what is announced, and answers others while bodies are under way", async (t) => {
  const memoryBytes = 4 * 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const sockets = await Promise.all(Array.from({ length: 12 }, () => dial(alice)))
  for (const socket of sockets) {
    socket.write(headOf("shares/put", 16 * 1024 * 1024)) // 192 MiB are announced
    socket.write(new Uint8Array(1000))
  }
  const bobs = backendOf(node.address, bob)
  t.after(() => bobs.close())
  for (let i = 0; i < 20; i++) await bobs.usage()
  const { id } = await randomChunk(crypto, 10)
  assert.deepEqual(await bobs.hasShares([id]), [[]])
  for (const socket of sockets) socket.destroy() // else the node waits for the bodies that are under way
})

it("ends with 408 who sends slowly and holds more than others who wait, and nobody else", async (t) => {
  const memoryBytes = 4 * 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const slow = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => dial(alice)))
  const statuses = slow.map((socket) => {
    socket.write(headOf("shares/put", memoryBytes))
    socket.write(new Uint8Array(300_000)) // takes the next size, as much as one request may have
    return statusOf(socket).catch(() => "none")
  })
  const bobs = backendOf(node.address, bob)
  t.after(() => bobs.close())
  const { id } = await randomChunk(crypto, 10)
  await Promise.all(Array.from({ length: 20 }, () => bobs.hasShares([id])))
  assert.ok((await Promise.race(statuses)).startsWith("HTTP/1.1 408"), "one had to go")
  for (const socket of slow) socket.destroy()
})

it("gives memory back when a caller goes away in the middle of a body or while it waits", async (t) => {
  const memoryBytes = 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const [holder, waiter] = [await dial(alice), await dial(alice)]
  holder.write(headOf("shares/put", memoryBytes))
  holder.write(new Uint8Array(1000))
  waiter.write(headOf("shares/put", memoryBytes))
  waiter.write(new Uint8Array(1000))
  holder.destroy()
  waiter.destroy()
  const backend = backendOf(node.address, alice)
  t.after(() => backend.close())
  assert.equal((await backend.usage()).shareCount, 0)
  const { id } = await randomChunk(crypto, 10)
  assert.deepEqual(await backend.hasShares([id]), [[]], "which needs all the memory there is")
})

it("refuses bodies of two lengths or of none, and lengths over the limit, without storing anything", async (t) => {
  const { dial, receivedBytes } = await started(t)
  const cases = [
    [headOf("shares/put", 5, "Transfer-Encoding: chunked\r\n"), /400/],
    [headOf("shares/put", 5, "Content-Length: 6\r\n"), /400/],
    ["POST /v1/shares/put HTTP/1.1\r\nHost: n1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", /400/],
    ["POST /v1/shares/put HTTP/1.1\r\nHost: n1\r\n\r\n", /400/],
    [headOf("shares/put", limits.requestBytes * 2), /413/],
    [headOf("shares/put", 1e15), /4\d\d/],
    [`GET /v1/usage HTTP/1.1\r\nHost: n1\r\nX-Long: ${"x".repeat(17_000)}\r\n\r\n`, /431/],
  ] as const
  for (const [text, expected] of cases) {
    const socket = await dial(alice)
    socket.write(text)
    assert.match(await statusOf(socket), expected, text.slice(0, 100))
  }
  assert.equal(await receivedBytes(), 0)
})

it("cuts off a body that comes drop by drop, and goes on for others", async (t) => {
  const { node, dial } = await started(t, { headersTimeoutMs: 100, requestTimeoutMs: 300, checkEveryMs: 20 })
  const slow = await dial(alice)
  slow.resume()
  slow.write(headOf("shares/put", 1_000_000))
  const drops = setInterval(() => slow.write("a"), 20)
  await once(slow, "close")
  clearInterval(drops)
  const backend = backendOf(node.address, alice)
  t.after(() => backend.close())
  await backend.usage()
})

it("stops within its grace although a request hangs, finishing those that do not", async (t) => {
  const { node, dial } = await started(t, { closeGraceMs: 300 })
  const [hanging, good] = [await dial(alice), await dial(bob)]
  hanging.write(headOf("shares/put", 1_000_000))
  good.write(headOf("shares/put", nothing.length))
  good.write(nothing.subarray(0, 2))
  const idle = await dial(bob)
  idle.resume()
  const backend = backendOf(node.address, bob)
  await backend.usage() // so that both requests have begun
  const startedMs = performance.now()
  const closed = node.close()
  const refused = connect({ ...parseAddress(node.address), ca: alice.caPem })
  await assert.rejects(once(refused, "secureConnect"), { code: "ECONNREFUSED" })
  good.write(nothing.subarray(2))
  assert.equal(await statusOf(good), "HTTP/1.1 200 OK")
  await closed
  assert.ok(performance.now() - startedMs < 3_000)
  await backend.close()
})
