import assert from "node:assert/strict"
import { join } from "node:path"
import { after, before, type TestContext, test } from "node:test"
import type { NodeBackend } from "@holdfast/backends/storage-node"
import { encodeCbor, toHex } from "@holdfast/core"
import { nodeCrypto as crypto, systemClock } from "@holdfast/core/node"
import { type Identity, parseAddress, TransportClient } from "@holdfast/network"
import {
  decodeFailure,
  encodeWaitRequest,
  longestWaitMs,
  registerHashOf,
  registerIdOf,
  signRecord,
  type WatchedRegister,
} from "@holdfast/protocol"
import { makeAccount, makeOrder, makeRegisterValue } from "@holdfast/protocol/testing"
import { checkHonest, measured } from "../../network/test/honest.ts"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import type { NodeOptions } from "../src/index.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"
import { dialRaw, readEvents, wholeRequest } from "./raw.ts"

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

async function started(t: TestContext, options: Partial<NodeOptions> = {}) {
  const node = await grid.start({ dir: join(grid.dir, `watch-${directories++}`), ...options })
  t.after(() => node.close())
  const client = async (identity: Identity, account = makeAccount(crypto)) => {
    const backend = connect(node.address, identity, { grant: await grantFor(identity, await account) })
    t.after(() => backend.close())
    return backend
  }
  const post = (identity: Identity, body: Uint8Array) => {
    const transport = new TransportClient(identity)
    t.after(() => transport.close())
    const call = { endpoint: "registers/wait", body: [body], maxBytes: 10_000 }
    return transport.request({ ...parseAddress(node.address), ...call })
  }
  const waiting = async () => {
    const text = await (await fetch(`http://${node.monitorAddress}/metrics`)).text()
    return parsePrometheus(text).get("holdfast_node_waiting_requests")![0]!.value
  }
  return { node, client, post, waiting }
}

async function newRegister() {
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  return { id, value: (sequence: number, text = "") => makeRegisterValue(crypto, seed, sequence, text) }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10))
}

const told = async (watch: ReturnType<NonNullable<NodeBackend["watchRegisters"]>>) =>
  (await watch).map((hash) => hash && toHex(hash))

test("whoever waits is told at once of what another connection changes", async (t) => {
  const { client, waiting } = await started(t)
  const [reader, writer] = [await client(alice), await client(alice)]
  const { id, value } = await newRegister()
  let known: WatchedRegister = { id }
  let worstMs = 0
  for (const sequence of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const watch = told(reader.watchRegisters!([known]))
    await until(async () => (await waiting()) === 1)
    const bytes = await value(sequence)
    await writer.proposeRegisters([bytes])
    const takenMs = performance.now()
    assert.deepEqual(await watch, [toHex(registerHashOf(bytes))])
    worstMs = Math.max(worstMs, performance.now() - takenMs)
    known = { id, hash: registerHashOf(bytes) }
  }
  t.diagnostic(`told within ${worstMs.toFixed(1)} ms of the writer's answer`)
  assert.ok(worstMs < 1000, `it took ${worstMs} ms`)
})

test("whoever waits is told that a register has gone", async (t) => {
  let offsetMs = 0
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + offsetMs }
  const { client, waiting } = await started(t, { clock })
  const account = await makeAccount(crypto)
  const [reader, owner] = [await client(alice), await client(alice, Promise.resolve(account))]
  const { id, value } = await newRegister()
  const bytes = await value(1)
  await owner.proposeRegisters([bytes])
  offsetMs = 25 * 3_600_000
  const order = await makeOrder(crypto, owner, { seed: account.seed, registers: [id] })
  const watch = told(reader.watchRegisters!([{ id, hash: registerHashOf(bytes) }]))
  await until(async () => (await waiting()) === 1)
  assert.equal((await owner.unmark(order)).marks, 1)
  assert.deepEqual(await watch, [undefined])
})

test("nobody is told of another tenant's register of the same id", async (t) => {
  const { client, waiting } = await started(t)
  const [reader, writer, other] = [await client(alice), await client(alice), await client(bob)]
  const { id, value } = await newRegister()
  const watch = told(reader.watchRegisters!([{ id }]))
  await until(async () => (await waiting()) === 1)
  await other.proposeRegisters([await value(1, "bob's")])
  assert.equal((await other.readRegisters([id])).length, 1)
  assert.equal(await waiting(), 1)
  const own = await value(1, "alice's")
  await writer.proposeRegisters([own])
  assert.deepEqual(await watch, [toHex(registerHashOf(own))])
})

test("a stopping node answers who waits, so that it neither takes long nor leaves them without an answer", async (t) => {
  const { node, client, waiting } = await started(t, { limits: { closeGraceMs: 60_000 } })
  const reader = await client(alice)
  const { id } = await newRegister()
  const watches = [1, 2, 3].map(() => told(reader.watchRegisters!([{ id }])))
  await until(async () => (await waiting()) === 3)
  const startedMs = performance.now()
  await node.close()
  assert.ok(performance.now() - startedMs < longestWaitMs / 2, "it did not wait until they had waited long enough")
  assert.deepEqual(await Promise.all(watches), [[undefined], [undefined], [undefined]])
})

test("a wait ends with its connection, or when its caller gives it up", async (t) => {
  const { node, client, waiting } = await started(t)
  const reader = await client(alice)
  const { id } = await newRegister()
  const stop = new AbortController()
  const watch = reader.watchRegisters!([{ id }], { signal: stop.signal })
  const socket = dialRaw(node.address, alice)
  const body = encodeWaitRequest({ waitMs: longestWaitMs, watched: [{ id }] })
  for (let number = 1; number <= 5; number++) socket.write(wholeRequest(number, "registers/wait", body))
  await until(async () => (await waiting()) === 6)
  socket.destroy()
  await until(async () => (await waiting()) === 1)
  stop.abort()
  await assert.rejects(watch, { code: "ERR_ABORTED" })
  await until(async () => (await waiting()) === 0)
})

test("a device whose grant is taken back while it waits is told nothing", async (t) => {
  const { client, waiting } = await started(t)
  const account = await makeAccount(crypto)
  const [reader, writer] = [await client(alice, Promise.resolve(account)), await client(alice)]
  const { id, value } = await newRegister()
  const watch = reader.watchRegisters!([{ id }])
  watch.catch(() => undefined)
  await until(async () => (await waiting()) === 1)
  const record = await signRecord(crypto, account.seed, { epoch: 2, grants: [] })
  await reader.publishRecord(record)
  await writer.proposeRegisters([await value(1)])
  await assert.rejects(watch, { code: "ERR_REFUSED" })
})

test("what is no request to wait is refused, and names no more registers than may be", async (t) => {
  const { client, post } = await started(t)
  await client(alice)
  const some = (count: number) => new Uint8Array(32 * count).fill(1)
  for (const [body, status, code] of [
    [[0, some(0), some(0)], 400, "ERR_BAD_FORMAT"],
    [[0, some(65), some(65)], 413, "ERR_LIMIT"],
    [[longestWaitMs + 1, some(1), some(1)], 400, "ERR_BAD_FORMAT"],
    [[0, some(2), some(1)], 400, "ERR_BAD_FORMAT"],
    [[0, some(1), some(1), 0], 400, "ERR_BAD_FORMAT"],
    [[0, [some(1)], some(1)], 400, "ERR_BAD_FORMAT"],
  ] as const) {
    const answer = await post(alice, encodeCbor(body))
    assert.equal(answer.status, status)
    assert.equal(decodeFailure(answer.body).code, code)
  }
  const right = await post(alice, encodeWaitRequest({ waitMs: 0, watched: [{ id: some(1) }] }))
  assert.deepEqual([right.status, right.body.length], [200, 34])
})

test("a member that waits for more than its part is answered by reads, and others wait all the same", async (t) => {
  // 64 KiB for each member: seven requests for one register.
  const { client, waiting } = await started(t, { limits: { memoryBytes: 16 * 16 * 64 * 1024 } })
  const { id, value } = await newRegister()
  const readers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => client(alice)))
  const first = await value(1)
  await readers[0]!.proposeRegisters([first])
  const watched = [{ id, hash: registerHashOf(first) }]
  const watches = readers.slice(0, 7).map((reader) => told(reader.watchRegisters!(watched)))
  await until(async () => (await waiting()) === 7)
  assert.deepEqual(await told(readers[7]!.watchRegisters!(watched)), [toHex(registerHashOf(first))])
  const others = told((await client(bob)).watchRegisters!([{ id }]))
  await until(async () => (await waiting()) === 8)
  const second = await value(2)
  await readers[7]!.proposeRegisters([second])
  for (const watch of watches) assert.deepEqual(await watch, [toHex(registerHashOf(second))])
  assert.equal(await waiting(), 1)
  await (await client(bob)).proposeRegisters([first])
  assert.deepEqual(await others, [toHex(registerHashOf(first))])
})

test("an honest client works while tenants wait for all that they can get, which stays bounded, and wakes them all", async (t) => {
  const memoryBytes = 64 * 1024 * 1024
  const { node, client, waiting } = await started(t, { limits: { memoryBytes } })
  const own = await client(alice)
  const { id, value } = await newRegister()
  let sequence = 0
  const work = async () => {
    const bytes = await value(++sequence)
    assert.equal((await own.proposeRegisters([bytes]))[0]?.accepted, true)
    assert.equal((await own.readRegisters([id]))[0]?.length, bytes.length)
  }
  const quiet = await measured(10, work)
  const hash = registerHashOf(await value(sequence))
  const wish = (number: number, first: WatchedRegister) => {
    const others = Array.from({ length: 63 }, () => ({ id: crypto.random(32) }))
    const body = encodeWaitRequest({ waitMs: longestWaitMs, watched: [first, ...others] })
    return wholeRequest(number, "registers/wait", body)
  }
  const greedy: Identity[] = []
  for (let i = 0; i < 20; i++) greedy.push(await grid.member(`greedy-${i}`, "client", i < 5 ? "alice" : `greedy-${i}`))
  let answers = 0
  for (const identity of greedy) {
    const socket = dialRaw(node.address, identity)
    t.after(() => socket.destroy())
    readEvents(socket, (event) => {
      if (event.type === "answer" && event.head.status === 200) answers++
    })
    const first = identity.tenant === "alice" ? { id, hash } : { id }
    for (let number = 1; number <= 8; number++) socket.write(wish(number, first))
  }
  // 160 requests come, of 40 KiB each by their wishes; 4 MiB are for all of them together, and 256 KiB for each member.
  await until(async () => (await waiting()) >= 100)
  const count = await waiting()
  const besieged = await measured(20, work)
  t.diagnostic(`${count} requests wait`)
  assert.ok(count <= 102, `${count} wait`)
  assert.ok(answers >= 12, `${answers} were told of a change in their tenant`)
  checkHonest(t, quiet, besieged, memoryBytes)
  const watch = told(own.watchRegisters!([{ id, hash: registerHashOf(await value(sequence)) }]))
  await until(async () => (await waiting()) > 0)
  await work()
  assert.deepEqual(await watch, [toHex(registerHashOf(await value(sequence)))])
})
