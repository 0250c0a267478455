/** Looking after what file systems stand on. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { accountRoles, decodeCap, toReadCap, verifyKeyOf } from "@holdfast/protocol"
import type { RegisterKeys } from "@holdfast/store"
import { emptyCare, encodeCare } from "@holdfast/tree"
import {
  type CollectGarbageOptions,
  type CollectingAccount,
  checkHealth,
  collectGarbage,
  footingOf,
  footingOfCap,
  isBad,
  onlyVerifies,
  rebalance,
  sampleHealth,
} from "../src/care/index.ts"
import { filesOf, remove } from "../src/index.ts"
import { createWorld, text, type World, write } from "./world.ts"

const dayMs = 86_400_000

/** How many shares a place holds for an account. */
async function marksAt(world: World, position: number, account: World["account"]): Promise<number> {
  const backend = world.places[position]!.backendOf({ account: account.id, roles: accountRoles })
  return (await backend.listMarks({ limit: 4096 })).length
}

async function footing({ home }: World) {
  return footingOf((await home.lookup([]))!, { deep: true })
}

test("a check tells what a lost server costs, and a repair mends it", async () => {
  const world = await createWorld()
  await write(world.home, ["a"], crypto.random(100_000))
  assert.equal(isBad(await checkHealth({ crypto, store: world.store }, await footing(world))), false)
  const lost = await world.withEmpty(0)
  const { store } = lost
  const bad = await checkHealth({ crypto, store }, await footing(lost))
  assert.deepEqual([isBad(bad), bad.report.damaged === bad.report.chunks, bad.report.leastSpare], [true, true, 1])
  const dry = await checkHealth({ crypto, store }, await footing(lost), { repair: true, dryRun: true })
  assert.deepEqual([isBad(dry), dry.report.placed, dry.report.damaged], [true, bad.report.chunks, bad.report.chunks])
  assert.equal((await lost.backends[0]!.usage()).shareCount, 0, "a dry run places nothing")
  const mended = await checkHealth({ crypto, store }, await footing(lost), { repair: true })
  assert.equal(mended.report.placed, dry.report.placed)
  const good = await checkHealth({ crypto, store }, await footing(lost), { verify: true })
  assert.deepEqual([isBad(good), good.report.healthy], [false, bad.report.chunks])
})

test("what a repair places is held for every account of the tree, by a verify capability too", async () => {
  for (const byVerifyCap of [false, true]) {
    const world = await createWorld()
    const friend = await world.other()
    await world.home.writable().holdFor(friend.account.id)
    await write(world.home, ["a"], crypto.random(100_000))
    const before = await marksAt(world, 0, friend.account)
    assert.ok(before > 0)
    const lost = await world.withEmpty(0)
    const cap = decodeCap(await lost.home.capOf([], "verify"))
    assert.ok(onlyVerifies(cap))
    const all = byVerifyCap ? footingOfCap(lost.store, cap) : await footing(lost)
    await checkHealth({ crypto, store: lost.store }, all, { repair: true })
    assert.equal(await marksAt(lost, 0, friend.account), await marksAt(lost, 0, lost.account))
    assert.ok((await marksAt(lost, 0, friend.account)) >= before)
  }
})

test("a rebalance moves shares back to a server that was away, for every account of the tree", async () => {
  const world = await createWorld({ servers: 6 })
  const friend = await world.other()
  await world.home.writable().holdFor(friend.account.id)
  const [away] = world.backends
  const { putShares } = away!
  away!.putShares = async () => Promise.reject(new HoldfastError("ERR_SERVER_UNREACHABLE", "n1 is away."))
  for (const name of ["a", "b", "c", "d"]) await write(world.home, [name], crypto.random(100_000))
  away!.putShares = putShares
  assert.equal(await marksAt(world, 0, friend.account), 0)
  const lost = await world.again()
  const collector = {
    publicKey: lost.account.publicKey,
    sign: (bytes: Uint8Array) => crypto.sign(lost.account.collectSeed, bytes),
  }
  const would = await rebalance({ crypto, store: lost.store }, await footing(lost), { collector, dryRun: true })
  assert.equal(await marksAt(lost, 0, friend.account), 0, "a dry run moves nothing")
  let orders = 0
  const { beginCollection } = lost.store
  const begin: typeof beginCollection = async (options) => {
    const collection = await beginCollection(options)
    const release: typeof collection.release = (...given) => {
      orders++
      return collection.release(...given)
    }
    return { ...collection, release }
  }
  const store = { ...lost.store, beginCollection: begin }
  const told = await rebalance({ crypto, store }, await footing(lost), { collector, mostWaiting: 1 })
  assert.equal(would.moved, told.moved)
  assert.ok(would.released >= told.released)
  assert.ok(orders > 1, "what is freed does not gather until the end")
  assert.ok(told.moved > 0 && told.inconsistent.length === 0, JSON.stringify(told))
  assert.ok((await marksAt(lost, 0, friend.account)) > 0)
})

test("samples of what is whole bound what may be lost, and find what is", async () => {
  const world = await createWorld()
  await write(world.home, ["a"], crypto.random(100_000))
  const { samples, good, lostAtMost } = await sampleHealth({ crypto, store: world.store }, await footing(world), {
    count: 20,
  })
  assert.deepEqual([samples.length, good], [20, 20])
  assert.ok(lostAtMost! > 0.2 && lostAtMost! < 0.21)
  const lost = await world.withEmpty(0)
  const found = await sampleHealth({ crypto, store: lost.store }, await footing(lost), { count: 60 })
  assert.ok(found.good < 60)
  assert.equal(found.lostAtMost, undefined)
})

/** An account that lists these roots. */
async function collecting({ account, store }: World, roots: Record<string, string>): Promise<CollectingAccount> {
  const seed = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "fw", seed })
  let sequence = 0
  return {
    id: account.id,
    collector: { publicKey: account.publicKey, sign: (bytes) => crypto.sign(account.collectSeed, bytes) },
    async list() {
      const parts = { content: new Uint8Array(), care: encodeCare(emptyCare) }
      assert.ok(await store.registers.write({ publicKey, readKey, seed }, sequence++, parts))
      return {
        roots: Object.entries(roots).map(([label, cap]) => ({ label, cap, isOwn: true, keepMs: 0 })),
        linked: [],
        list: { publicKey, verifyKey: verifyKeyOf(readKey) },
        registers: [],
      }
    },
    noteLinked: async () => undefined,
  }
}

const all: CollectGarbageOptions = { graceMs: 0, dryRun: false, keep: [], warn: () => undefined }

async function collect(world: World, account: CollectingAccount, options = all) {
  const { places } = await collectGarbage({ env, store: world.store, files: world.files }, account, options)
  return [...places.values()].reduce((sum, { shares }) => sum + shares, 0)
}

test("collection frees what was removed once it is old, spares what trees need, and counts it first on a dry run", async () => {
  const world = await createWorld()
  const { home } = world
  await write(home, ["a"], crypto.random(2_000_000))
  await write(home, ["b"], "kept ".repeat(1000))
  const account = await collecting(world, { "home:": await home.capOf([], "write") })
  assert.equal(await collect(world, account), 0, "all is needed")
  await remove({ files: home, path: ["a"] })
  assert.equal(await collect(world, account), 0, "it is too young")
  world.pass(2 * dayMs)
  const counted = await collect(world, account, { ...all, dryRun: true })
  assert.ok(counted > 0)
  assert.equal(await collect(world, account, { ...all, dryRun: true }), counted, "a dry run takes nothing away")
  assert.equal(await collect(world, account), counted)
  const health = await checkHealth({ crypto, store: world.store }, await footing(world))
  assert.equal(isBad(health), false)
  assert.equal(await text(await world.files.open(await home.capOf([], "read")), ["b"]), "kept ".repeat(1000))
  const used = await world.backends[0]!.usage()
  assert.ok(used.usedBytes < 600_000, `${used.usedBytes} bytes are still held`)
})

test("a collection that keeps few ids at once frees, spares and tells the same as one that keeps all", async () => {
  const world = await createWorld()
  const { home } = world
  const other = await world.files.open(await world.files.create("directory"))
  for (let i = 0; i < 12; i++) await write(home, [`f${i}`], crypto.random(200_000))
  await write(other, ["b"], crypto.random(300_000))
  const account = await collecting(world, {
    "home:": await home.capOf([], "write"),
    "other:": await other.capOf([], "write"),
  })
  await collect(world, account)
  for (let i = 0; i < 6; i++) await remove({ files: home, path: [`f${i}`] })
  world.pass(2 * dayMs)
  const run = (more: Partial<CollectGarbageOptions>) =>
    collectGarbage({ env, store: world.store, files: world.files }, account, { ...all, ...more })
  const whole = await run({ dryRun: true })
  const inParts = await run({ dryRun: true, mostIds: 3 })
  assert.deepEqual(inParts, whole)
  assert.ok(whole.liveChunks > 10 && whole.byRoot.length === 2)
  const { places } = await run({ mostIds: 3 })
  assert.ok([...places].every(([place, { shares }]) => shares >= whole.places.get(place)!.shares && shares > 0))
  const again = await run({ dryRun: true })
  assert.ok([...again.places.values()].every((place) => place.shares === 0))
  assert.equal(isBad(await checkHealth({ crypto, store: world.store }, await footing(world), { verify: true })), false)
})

test("while nobody can say what a root needs, nothing is taken away", async () => {
  const world = await createWorld()
  const { home, store, backends } = world
  await write(home, ["a"], crypto.random(100_000))
  const away = await world.files.open(await world.files.create("directory"))
  const { chunks } = store
  const registers = {
    ...store.registers,
    read: async (keys: RegisterKeys) => {
      if (!equal(keys.publicKey, away.access!.publicKey)) return store.registers.read(keys)
      throw new HoldfastError("ERR_NO_QUORUM", "Too few servers answered.")
    },
  }
  const files = filesOf({ chunks, registers, env })
  const account = await collecting(world, {
    "home:": await home.capOf([], "write"),
    "away:": await away.capOf([], "write"),
  })
  await remove({ files: home, path: ["a"] })
  world.pass(9 * dayMs)
  const before = await backends[0]!.usage()
  await assert.rejects(
    collectGarbage({ env, store, files }, account, all),
    (error) => isHoldfastError(error, "ERR_NO_QUORUM") && String(error.details["unknown"]).startsWith("away:"),
  )
  assert.ok((await backends[0]!.usage()).usedBytes >= before.usedBytes)
})
