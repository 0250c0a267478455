import assert from "node:assert/strict"
import { once } from "node:events"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { connect } from "node:tls"
import { limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { createAgent, type Identity, parseAddress, requestBytes } from "@holdfast/network"
import {
  decodeFailure,
  encodeCancel,
  encodeGoAway,
  encodeIds,
  encodeWaitRequest,
  requestsPerConnection,
} from "@holdfast/protocol"
import { randomChunk } from "@holdfast/protocol/testing"
import type { NodeOptions } from "../src/index.ts"
import { connect as backendOf, newGrid, type TestGrid } from "./fixtures.ts"
import { dataFrames, dialRaw, firstWord, readEvents, requestFrame, wholeRequest } from "./raw.ts"

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
  const dial = async (identity: Identity) => {
    const socket = dialRaw(node.address, identity)
    t.after(() => socket.destroy())
    await once(socket, "secureConnect")
    return socket
  }
  const metrics = async () => (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  const receivedBytes = async () => Number(/received_bytes_total (\d+)/.exec(await metrics())![1])
  return { node, dial, metrics, receivedBytes }
}

/** The beginning of a body of shares that is announced with `bytes`. */
const begun = (bytes: number, sent: number) =>
  Buffer.concat([requestFrame(1, "shares/put", bytes), dataFrames(1, new Uint8Array(sent))])

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A list of no ids to ask for. */
const nothing = encodeIds([])

it("charges what has come and not what is announced, and answers others while bodies are under way", async (t) => {
  const memoryBytes = 4 * 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const sockets = await Promise.all(Array.from({ length: 12 }, () => dial(alice)))
  for (const socket of sockets) {
    socket.write(begun(16 * 1024 * 1024, 1000)) // 192 MiB are announced
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
    socket.write(begun(memoryBytes, 300_000)) // takes the next size, as much as one request may have
    return firstWord(socket).catch(() => "none")
  })
  const bobs = backendOf(node.address, bob)
  t.after(() => bobs.close())
  const { id } = await randomChunk(crypto, 10)
  await Promise.all(Array.from({ length: 20 }, () => bobs.hasShares([id])))
  assert.equal(await Promise.race(statuses), 408, "one had to go")
  for (const socket of slow) socket.destroy()
})

it("gives memory back when a caller goes away in the middle of a body or while it waits", async (t) => {
  const memoryBytes = 1024 * 1024
  const { node, dial } = await started(t, { memoryBytes })
  const [holder, waiter] = [await dial(alice), await dial(alice)]
  holder.write(begun(memoryBytes, 1000))
  waiter.write(begun(memoryBytes, 1000))
  holder.destroy()
  waiter.destroy()
  const backend = backendOf(node.address, alice)
  t.after(() => backend.close())
  assert.equal((await backend.usage()).shareCount, 0)
  const { id } = await randomChunk(crypto, 10)
  assert.deepEqual(await backend.hasShares([id]), [[]], "which needs all the memory there is")
})

it("answers what is over a limit before its body comes, and goes on with the connection", async (t) => {
  const { dial, receivedBytes } = await started(t)
  const socket = await dial(alice)
  const statuses: number[] = []
  readEvents(socket, (event) => event.type === "answer" && statuses.push(event.head.status))
  socket.write(requestFrame(1, "shares/put", limits.requestBytes * 2))
  await until(() => statuses.length === 1)
  socket.write(encodeCancel(1)) // no body
  socket.write(requestFrame(2, "shares/put", 2 ** 39))
  await until(() => statuses.length === 2)
  socket.write(Buffer.concat([dataFrames(2, new Uint8Array(100)), encodeCancel(2), requestFrame(3, "keys", 0)]))
  await until(() => statuses.length === 3)
  socket.write(wholeRequest(4, "shares/has", nothing))
  await until(() => statuses.length === 4)
  assert.deepEqual(statuses, [413, 413, 404, 200])
  assert.equal(await receivedBytes(), nothing.length)
})

it("ends a connection with frames that are none, or come where none may, and keeps nothing of it", async (t) => {
  const { dial, receivedBytes } = await started(t)
  const two = Buffer.concat([requestFrame(2, "shares/put", 100), dataFrames(2, new Uint8Array(10))])
  const cases: Readonly<Record<string, Uint8Array>> = {
    "a web request": Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    "an unknown type": new Uint8Array([9, 0, 0, 0, 0, 0, 0, 1]),
    "a frame of the server": encodeGoAway(""),
    "request number 0": new Uint8Array([1, 0, 0, 1, 0, 0, 0, 0]),
    "fields that are too long": new Uint8Array([1, 0, 0x40, 1, 0, 0, 0, 1]),
    "fields that are no fields": new Uint8Array([1, 0, 0, 1, 0, 0, 0, 1, 0xff]),
    "a length that is none": Buffer.concat([
      new Uint8Array([1, 0, 0, 9, 0, 0, 0, 1]),
      Buffer.from("836575736167a020", "hex"),
      new Uint8Array(1),
    ]),
    "data of no request": dataFrames(1, new Uint8Array(10)),
    "data of another request": Buffer.concat([two, dataFrames(1, new Uint8Array(10))]),
    "more data than announced": Buffer.concat([two, dataFrames(2, new Uint8Array(91))]),
    "a request within a body": Buffer.concat([two, requestFrame(3, "usage", 0)]),
    "a number again": Buffer.concat([requestFrame(2, "usage", 0), requestFrame(2, "usage", 0)]),
    "a smaller number": Buffer.concat([requestFrame(2, "usage", 0), requestFrame(1, "usage", 0)]),
  }
  for (const [what, bytes] of Object.entries(cases)) {
    const socket = await dial(alice)
    let reason: string | undefined
    readEvents(socket, (event) => {
      if (event.type === "goaway") reason = event.reason
    })
    const ended = once(socket, "close")
    socket.write(bytes)
    await ended
    assert.equal(reason, "bad-frame", what)
  }
  assert.equal(await receivedBytes(), 0)
})

it("ends a connection with more requests at once than are allowed", async (t) => {
  const { dial } = await started(t)
  const socket = await dial(alice)
  const wait = encodeWaitRequest({ waitMs: 25_000, watched: [{ id: crypto.random(32) }] })
  const ask = (id: number) => wholeRequest(id, "registers/wait", wait)
  const word = firstWord(socket)
  for (let id = 1; id <= requestsPerConnection + 1; id++) socket.write(ask(id))
  assert.equal(await word, "goaway bad-frame")
})

it("answers others of a connection while one request waits, and gives back one that is cancelled", async (t) => {
  const { dial } = await started(t)
  const socket = await dial(alice)
  const wait = encodeWaitRequest({ waitMs: 25_000, watched: [{ id: crypto.random(32) }] })
  const seen: string[] = []
  readEvents(socket, (event) => {
    if (event.type === "answer") seen.push(`answer ${event.id} ${event.head.status}`)
    if (event.type === "cancel") seen.push(`cancel ${event.id}`)
  })
  for (let id = 1; id <= 3; id++) socket.write(wholeRequest(id, "registers/wait", wait))
  socket.write(wholeRequest(4, "shares/has", nothing))
  await until(() => seen.length === 1)
  socket.write(encodeCancel(2))
  socket.write(encodeCancel(4)) // which is answered already
  await until(() => seen.length === 2)
  assert.deepEqual(seen, ["answer 4 200", "cancel 2"])
})

it("tells a client that speaks HTTP to update, in words that it shows", async (t) => {
  const { node } = await started(t)
  const agent = createAgent(alice, { expectedId: "n1" })
  t.after(() => agent.destroy())
  const call = { ...parseAddress(node.address), method: "POST", path: "/v2/shares/has", body: nothing }
  const { status, body } = await requestBytes(agent, call)
  assert.equal(status, 426)
  assert.deepEqual(decodeFailure(body), {
    code: "ERR_UNSUPPORTED_VERSION",
    message: "This server speaks a newer protocol. Update Holdfast on this machine.",
  })
})

it("cuts off a body that comes drop by drop, and goes on for others", async (t) => {
  const { node, dial } = await started(t, { headersTimeoutMs: 100, requestTimeoutMs: 300, checkEveryMs: 20 })
  const slow = await dial(alice)
  slow.resume()
  slow.write(begun(1_000_000, 1))
  const drops = setInterval(() => slow.write(dataFrames(1, new Uint8Array(1))), 20)
  await once(slow, "close")
  clearInterval(drops)
  const backend = backendOf(node.address, alice)
  t.after(() => backend.close())
  await backend.usage()
})

it("stops within its grace although a request hangs, finishing those that do not", async (t) => {
  const { node, dial } = await started(t, { closeGraceMs: 300 })
  const [hanging, good] = [await dial(alice), await dial(bob)]
  hanging.write(begun(1_000_000, 1))
  const goods = firstWord(good)
  good.write(requestFrame(1, "shares/has", nothing.length))
  good.write(dataFrames(1, nothing.subarray(0, 1)))
  const idle = await dial(bob)
  idle.resume()
  const backend = backendOf(node.address, bob)
  await backend.usage() // so that both requests have begun
  const startedMs = performance.now()
  const closed = node.close()
  const refused = connect({ ...parseAddress(node.address), ca: alice.caPem })
  await assert.rejects(once(refused, "secureConnect"), { code: "ECONNREFUSED" })
  assert.equal(await goods, "goaway ", "it is told to come no more")
  const answered = firstWord(good)
  good.write(dataFrames(1, nothing.subarray(1)))
  assert.equal(await answered, 200, "and has its answer all the same")
  await closed
  assert.ok(performance.now() - startedMs < 3_000)
  await backend.close()
})
