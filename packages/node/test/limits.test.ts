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

it("reads no body while the memory is taken: of one tenant by itself, of the others by a quarter each", async (t) => {
  const memoryBytes = 4 * 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const first = await dial(alice)
  const half = new Uint8Array(memoryBytes / 8)
  first.write(headOf("shares/put", memoryBytes / 4))
  first.write(half) // alice's quarter is taken until the rest comes
  const second = await dial(alice)
  let answered = false
  second.once("data", () => (answered = true))
  second.write(headOf("shares/put", nothing.length))
  second.write(nothing)

  const bobs = backendOf(node.address, bob)
  t.after(() => bobs.close())
  for (let i = 0; i < 20; i++) await bobs.usage() // bob is served meanwhile
  assert.equal(answered, false)
  const [one, two] = [statusOf(first), statusOf(second)]
  first.write(half)
  assert.deepEqual(await Promise.all([one, two]), ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK"])
})

it("bounds the memory of all tenants together: who comes when it is taken waits until some is given back", async (t) => {
  const memoryBytes = 4 * 1024 * 1024
  const { dial } = await started(t, { memoryBytes })
  const names = ["t1", "t2", "t3", "t4", "t5"]
  const callers = await Promise.all(names.map((name) => grid.member(`${name}-m`, "client", name)))
  const sockets = await Promise.all(callers.map(dial))
  const quarter = memoryBytes / 4
  for (const socket of sockets.slice(0, 4)) {
    socket.write(headOf("shares/put", quarter, "Expect: 100-continue\r\n"))
    assert.equal(await statusOf(socket), "HTTP/1.1 100 Continue")
    socket.write(new Uint8Array(quarter / 2))
  }
  const last = sockets[4]!
  let answered = false
  last.once("data", () => (answered = true))
  last.write(headOf("shares/put", nothing.length))
  last.write(nothing)
  const alsoAnswered = await dial(bob)
  alsoAnswered.write("GET /v1/nothing HTTP/1.1\r\nHost: n1\r\n\r\n") // takes no memory, and comes after
  assert.equal(await statusOf(alsoAnswered), "HTTP/1.1 404 Not Found")
  assert.equal(answered, false)
  const status = statusOf(last)
  sockets[0]!.write(new Uint8Array(quarter / 2))
  assert.deepEqual(await Promise.all([statusOf(sockets[0]!), status]), ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK"])
  for (const socket of sockets) socket.destroy() // else the node waits for the bodies that are under way
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
