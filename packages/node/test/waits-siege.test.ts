/** Members who wait for all that they can, ask again and again, never read their answers or go away: what an honest client feels. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { after, before, type TestContext, test } from "node:test"
import type { TLSSocket } from "node:tls"
import { limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Identity } from "@holdfast/network"
import {
  encodeWaitRequest,
  hashRegisterValue,
  longestWaitMs,
  registerIdOf,
  type WatchedRegister,
} from "@holdfast/protocol"
import { makeAccount, makeRegisterValue } from "@holdfast/protocol/testing"
import { checkHonest, measured } from "../../network/test/honest.ts"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"
import { dialRaw, readEvents, wholeRequest } from "./raw.ts"

const memoryBytes = 64 * 2 ** 20
let grid: TestGrid
let alice: Identity

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
})
after(() => grid.remove())

/** A node, an honest client's work at it, and requests to wait as an attacker writes them. */
async function besieged(t: TestContext, name: string) {
  const node = await grid.start({ dir: join(grid.dir, name), limits: { memoryBytes, closeGraceMs: 100 } })
  t.after(() => node.close())
  const clientOf = async (identity: Identity) => {
    const backend = connect(node.address, identity, { grant: await grantFor(identity, await makeAccount(crypto)) })
    t.after(() => backend.close())
    return backend
  }
  const [own, watcher] = [await clientOf(alice), await clientOf(alice)]
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  let sequence = 0
  /** A change that another device is told of, as it waits. */
  const work = async () => {
    const bytes = await makeRegisterValue(crypto, seed, ++sequence, "root")
    const [known] = await own.readRegisters([id])
    const told = watcher.watchRegisters!([{ id, ...(known && { hash: await hashRegisterValue(crypto, known) }) }])
    assert.equal((await own.proposeRegisters([bytes]))[0]?.accepted, true)
    await told
  }
  const waiting = async () => {
    const text = await (await fetch(`http://${node.monitorAddress}/metrics`)).text()
    return parsePrometheus(text).get("holdfast_node_waiting_requests")![0]!.value
  }
  const dial = (identity: Identity): TLSSocket => {
    const socket = dialRaw(node.address, identity)
    t.after(() => socket.destroy())
    return socket
  }
  return { clientOf, work, waiting, dial }
}

function request(id: number, watched: readonly WatchedRegister[], waitMs = longestWaitMs): Uint8Array {
  return wholeRequest(id, "registers/wait", encodeWaitRequest({ waitMs, watched }))
}

/** Asks over one connection some times at once, and again after each answer. */
function insist(socket: TLSSocket, watched: () => readonly WatchedRegister[], answers: { count: number }): void {
  let lastId = 0
  const ask = () => socket.write(request(++lastId, watched()))
  for (let i = 0; i < 4; i++) ask()
  readEvents(socket, (event) => {
    if (event.type !== "answer") return
    answers.count++
    if (!socket.destroyed) ask()
  })
}

const names = (count: number) => Array.from({ length: count }, () => ({ id: crypto.random(32) }))

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
}

test("an honest client is told of changes while a member asks for 64 large registers again and again, and reads no answer", async (t) => {
  const { clientOf, work, dial } = await besieged(t, "large")
  const greedy = await grid.member("greedy", "client", "greedy")
  const writer = await clientOf(greedy)
  const watched: WatchedRegister[] = []
  for (let i = 0; i < 64; i++) {
    const seed = crypto.random(32)
    const value = await makeRegisterValue(crypto, seed, 1, "x".repeat(limits.registerContentBytes))
    assert.equal((await writer.proposeRegisters([value]))[0]?.accepted, true)
    watched.push({ id: registerIdOf(await crypto.publicKeyOf(seed)), hash: crypto.random(32) })
  }
  const quiet = await measured(10, work)
  const answers = { count: 0 }
  for (let i = 0; i < 16; i++) {
    const socket = dial(greedy)
    if (i % 2 === 0) socket.pause() // who reads nothing
    insist(socket, () => watched, answers)
  }
  await until(async () => answers.count > 0)
  const hit = await measured(20, work)
  t.diagnostic(`${answers.count} answers came`)
  assert.ok(answers.count > 20)
  checkHonest(t, quiet, hit, 512 * 2 ** 20)
})

test("an honest client is told of changes while members come, wait for names of nothing and go, 2,000 times; nothing is left of them", async (t) => {
  const { work, dial, waiting } = await besieged(t, "gone")
  const greedy = await Promise.all(Array.from({ length: 4 }, (_, i) => grid.member(`gone-${i}`, "client", `gone-${i}`)))
  const quiet = await measured(10, work)
  let isOver = false
  let rounds = 0
  const come = async (who: Identity) => {
    while (!isOver) {
      const socket = dial(who)
      await new Promise((resolve) => socket.once("secureConnect", resolve).once("close", resolve))
      for (let id = 1; id <= 15 && !socket.destroyed; id++) socket.write(request(id, names(64)))
      await new Promise((resolve) => setTimeout(resolve, 10))
      socket.destroy()
      rounds++
    }
  }
  const coming = greedy.flatMap((who) => [come(who), come(who)])
  const hit = await measured(20, work)
  while (rounds < 100) await work()
  isOver = true
  await Promise.all(coming)
  t.diagnostic(`${rounds} came and went`)
  checkHonest(t, quiet, hit, 512 * 2 ** 20)
  await until(async () => (await waiting()) === 0)
})

test("an honest client is told of changes while hundreds of members wait for as much as they may, and ask for more", async (t) => {
  const { work, dial, waiting } = await besieged(t, "many")
  const quiet = await measured(10, work)
  const members: Identity[] = []
  for (let i = 0; i < 60; i++) members.push(await grid.member(`many-${i}`, "client", `many-${i % 20}`))
  const answers = { count: 0 }
  for (const who of members) for (let i = 0; i < 8; i++) insist(dial(who), () => names(1), answers)
  await until(async () => (await waiting()) >= 300)
  const count = await waiting()
  const hit = await measured(20, work)
  t.diagnostic(`${count} requests wait, ${answers.count} were refused or had to make place`)
  assert.ok(count <= (4 * 2 ** 20) / (8.5 * 1024) + 1, `${count} wait`)
  checkHonest(t, quiet, hit, 512 * 2 ** 20)
})
