import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { limits } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountAccess, accountRoles } from "@holdfast/protocol"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { Committer } from "../src/directory/committer.ts"
import { type NamespaceOptions, openEngine } from "../src/directory/index.ts"

const newAccess = (): AccountAccess => ({ account: crypto.random(32), roles: accountRoles })

async function opened(t: TestContext, options?: NamespaceOptions) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  t.after(async () => {
    await engine.close()
    await rm(dir, { recursive: true, force: true })
  })
  const namespace = await engine.tenant("acme", options)
  /** Closes the directory and counts rows of a table. */
  const rowsOf = async (table: string) => {
    await engine.close()
    const index = new DatabaseSync(join(dir, "index.sqlite"), { readOnly: true })
    const { rows } = index.prepare(`SELECT count(*) AS rows FROM ${table}`).get() as { rows: number }
    index.close()
    return rows
  }
  return { namespace, rowsOf }
}

/** How long `work` takes and, in ms, the longest time for which nobody else had a turn. */
async function watched(work: () => Promise<unknown>): Promise<{ ms: number; longestMs: number }> {
  const startedMs = performance.now()
  let [lastMs, longestMs, isOver] = [startedMs, 0, false]
  const tick = () => {
    longestMs = Math.max(longestMs, performance.now() - lastMs)
    lastMs = performance.now()
    if (!isOver) setImmediate(tick)
  }
  setImmediate(tick)
  await work()
  isOver = true
  tick()
  return { ms: performance.now() - startedMs, longestMs }
}

it("marks a share that commands without end have marked as fast as another, and keeps few of their rows", async (t) => {
  const { namespace, rowsOf } = await opened(t)
  const access = newAccess()
  const backend = namespace.backendOf(access)
  const [busy, fresh] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
  for (const { shares } of [busy, fresh]) await backend.putShares([shares[0]!], newBatch(crypto))
  const first = newBatch(crypto)
  await backend.markShares([busy.id], first)
  for (let i = 0; i < 40; i++)
    await Promise.all(Array.from({ length: 25 }, () => backend.markShares([busy.id], newBatch(crypto))))
  const often = Array.from({ length: 512 }, () => busy.id)
  const usual = await watched(() => backend.markShares([fresh.id], newBatch(crypto)))
  const attack = await watched(() => backend.markShares(often, newBatch(crypto)))
  assert.ok(
    attack.longestMs < 20 * usual.ms + 500,
    `${attack.longestMs} ms without a turn for others, usually ${usual.ms}`,
  )
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x")
  const [outcome] = await backend.proposeRegisters([value], first)
  assert.ok(outcome && !outcome.accepted && outcome.marksGone, "the oldest command must begin anew, and is told so")
  assert.ok((await rowsOf("marks")) <= 2 * 32)
})

it("makes no more marks of a share on behalf of others from a number on, and own ones always", async (t) => {
  const { namespace, rowsOf } = await opened(t)
  const chunk = await randomChunk(crypto, 300)
  await namespace.backendOf(newAccess()).putShares([chunk.shares[0]!], newBatch(crypto))
  let refused = 0
  for (let i = 0; i < 40; i++) {
    const others = Array.from({ length: limits.careAccounts }, () => crypto.random(32))
    const [outcome] = await namespace.backendOf(newAccess()).markShares([chunk.id], newBatch(crypto, others))
    if (!outcome!.ok) refused++
  }
  assert.ok(refused > 20 && refused < 30, `${refused} of 40 refused`)
  const own = namespace.backendOf(newAccess())
  for (let i = 0; i < 5; i++) assert.equal((await own.markShares([chunk.id], newBatch(crypto)))[0]!.ok, true)
  assert.ok((await rowsOf("marks")) < 1_100)
})

it("counts each command that marks something, also when its mark takes another's place", async (t) => {
  const { namespace, rowsOf } = await opened(t, { quotaBytes: 10_000 })
  const backend = namespace.backendOf(newAccess())
  const chunk = await randomChunk(crypto, 300)
  await backend.putShares([chunk.shares[0]!], newBatch(crypto))
  const seed = crypto.random(32)
  let refused = 0
  for (let i = 1; i <= 200; i++) {
    const batch = newBatch(crypto)
    const [outcome] = await backend.markShares([chunk.id], batch)
    if (!outcome!.ok) refused++
    // Taken, so that the next mark joins this one.
    else await backend.proposeRegisters([await makeRegisterValue(crypto, seed, i, "x")], batch)
  }
  assert.ok(refused > 0)
  assert.ok((await rowsOf("batches")) <= 10_000 / 96)
})

it("counts a superseded value for each account that it is kept for, before it is kept", async (t) => {
  const { namespace, rowsOf } = await opened(t, { quotaBytes: 200_000 })
  const writer = namespace.backendOf(newAccess())
  const seed = crypto.random(32)
  const accounts = Array.from({ length: limits.careAccounts }, () => crypto.random(32))
  const value = (sequence: number) => makeRegisterValue(crypto, seed, sequence, "x".repeat(20_000))
  assert.equal((await writer.proposeRegisters([await value(1)], { accounts }))[0]!.accepted, true)
  const [outcome] = await writer.proposeRegisters([await value(2)], { accounts })
  assert.ok(outcome && !outcome.accepted && /quota/.test(outcome.message ?? ""), "64 copies would be kept")
  assert.equal(await rowsOf("kept"), 0)
})

it("takes no more accounts for a register on behalf of others from a number on, and who comes for itself always", async (t) => {
  const { namespace } = await opened(t)
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x")
  let refused = 0
  for (let i = 0; i < 10; i++) {
    const accounts = Array.from({ length: limits.careAccounts }, () => crypto.random(32))
    const [outcome] = await namespace.backendOf(newAccess()).proposeRegisters([value], { accounts })
    if (!outcome!.accepted) refused++
  }
  assert.ok(refused > 3 && refused < 8, `${refused} of 10 refused`)
  assert.equal((await namespace.backendOf(newAccess()).proposeRegisters([value]))[0]!.accepted, true)
})

it("answers what is held of a chunk with many shares, asked for over and over, without keeping others from their turn", async (t) => {
  const { namespace } = await opened(t)
  const backend = namespace.backendOf(newAccess())
  const chunk = await randomChunk(crypto, 300, 255)
  await backend.putShares(chunk.shares, newBatch(crypto))
  const usual = await watched(() => backend.hasShares([chunk.id]))
  const often = Array.from({ length: limits.requestItems }, () => chunk.id)
  const attack = await watched(() => backend.hasShares(often))
  assert.ok(
    attack.longestMs < 20 * usual.ms + 300,
    `${attack.longestMs} ms without a turn for others, usually ${usual.ms}`,
  )
})

it("lets tenants take turns, whatever number of changes one of them has waiting", async () => {
  let isOpen = false
  const exec = (sql: string) => {
    assert.equal(sql, "COMMIT")
    isOpen = false
  }
  let nowMs = 0
  const begin = () => {
    isOpen = true
    return true
  }
  const sometime = (ms: number, work: () => void) => void setTimeout(work, ms)
  const committer = new Committer({ exec, begin, later: setImmediate, sometime, nowMs: () => nowMs })
  const order: string[] = []
  const change = (name: string) => () => {
    assert.ok(isOpen)
    nowMs += 5 // four of them, and the transaction ends
    order.push(name)
  }
  const greedy = Array.from({ length: 50 }, (_, i) => committer.run(change(`greedy ${i}`), "greedy"))
  const modest = [0, 1].map((i) => committer.run(change(`modest ${i}`), "modest"))
  await Promise.all(modest)
  assert.deepEqual(order.slice(0, 4), ["greedy 0", "modest 0", "greedy 1", "modest 1"])
  assert.ok(order.length < 10, `${order.length} changes before the second of who has few`)
  await Promise.all(greedy)
  assert.equal(order.filter((name) => name.startsWith("greedy")).at(-1), "greedy 49")
})
