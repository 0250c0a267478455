/** What a collection takes, keeps and marks, step by step, and what places that lie can make of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { BufferPool, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { accountRoles, type Backend, type ChunkId, registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import { makeAccount, newBatch } from "@holdfast/protocol/testing"
import { type CollectOptions, createLocalPipeline, IdSet, type Store } from "@holdfast/store"
import { unmarkGarbage } from "../src/collect-unmark.ts"
import { collectorOf, commit, emptyParts, type Grid, newKeys, owner, testGrid } from "./fixture.ts"

const hour = 3_600_000
const sample = (seed: number) => Uint8Array.from({ length: 5000 }, (_, i) => (i * seed) & 255)

function setOf(ids: readonly Uint8Array[]): IdSet {
  const set = new IdSet(nodeCrypto)
  for (const id of ids) set.add(id)
  return set
}

/** Collects all but `live`. */
async function collect(store: Store, live: readonly ChunkId[], options: Partial<CollectOptions> = {}) {
  const collection = await store.beginCollection()
  const usual = { collector: collectorOf(owner), live: setOf(live), registers: setOf([]), graceMs: 0 }
  const done = await collection.run({ ...usual, ...options })
  return { done, collection }
}

const heldAt = (grid: Grid, id: ChunkId, backends = grid.servers.map(({ backend }) => backend)) =>
  Promise.all(backends.map(async (backend) => (await backend.hasShares([id]))[0]!.length))

async function twoChunks(grid: Grid) {
  const store = await grid.client()
  const refs = [await store.chunks.putChunk(sample(3)), await store.chunks.putChunk(sample(7))] as const
  assert.ok(
    await commit(
      store,
      refs.map(({ id }) => id),
    ),
  )
  grid.pass(25 * hour)
  return { store, needed: refs[0].id, garbage: refs[1].id }
}

/** The backend of the store's clients at one place, with some calls done otherwise. */
function alter(grid: Grid, position: number, change: (honest: Backend) => Partial<Backend>): void {
  const { backend } = grid.servers[position]!
  Object.assign(backend, change({ ...backend }))
}

test("what is needed everywhere stays everywhere, what is needed at one place stays there, and the rest goes", async () => {
  const grid = testGrid()
  const { store, needed, garbage } = await twoChunks(grid)
  await collect(store, [needed], { liveAt: new Map([["n2", setOf([garbage])]]) })
  assert.deepEqual(await heldAt(grid, needed), [1, 1, 1, 1, 1])
  assert.deepEqual(await heldAt(grid, garbage), [0, 1, 0, 0, 0])
})

test("what a listing had no room for is listed again, and what is needed of it stays", async () => {
  const access = { ...owner, roles: accountRoles }
  let aheadMs = 0
  const backend = createMemoryPlace("n1", nodeCrypto, { nowMs: () => Date.now() + aheadMs }).backendOf(access)
  const pipeline = createLocalPipeline({
    ...{ crypto: nodeCrypto, erasure: await createErasure(), buffers: new BufferPool({ maxIdleBytes: 1 << 20 }) },
  })
  const shares: Uint8Array[] = []
  const ids: ChunkId[] = []
  const count = 4100 // more than a page
  for (let i = 0; i < count; i++) {
    const sealed = await pipeline.seal(utf8(`chunk ${i}`), { k: 1, n: 1 }, nodeCrypto.random(32))
    shares.push(sealed.shares[0]!.slice())
    ids.push(sealed.id)
  }
  for (let at = 0; at < count; at += 100) await backend.putShares(shares.slice(at, at + 100), newBatch(nodeCrypto))
  aheadMs += 25 * hour
  const [first] = await backend.listMarks({ limit: 1 })
  const live = setOf([ids[17]!, ids[3000]!])
  const orders = {
    ...{ collector: collectorOf(owner), token: await backend.collectToken(), graceMs: 0, trims: [] },
    isLive: (id: ChunkId) => live.has(id),
  }
  const tally = { garbage: first!.id, more: first, garbageRegisters: [] }
  const gone = live.has(first!.id) ? count - 1 : count - 2
  assert.equal((await unmarkGarbage(backend, tally, orders)).marks, gone)
  for (const id of [ids[17]!, ids[3000]!])
    if (toHex(id) !== toHex(first!.id)) assert.deepEqual(await backend.hasShares([id]), [[0]])
})

test("what enough places have marked is marked nowhere else", async () => {
  const grid = testGrid(6)
  const { store, needed } = await twoChunks(grid)
  const without = (await heldAt(grid, needed)).indexOf(0)
  const other = await makeAccount(nodeCrypto)
  const honest = grid.servers[without === 0 ? 1 : 0]!.backend
  const [share] = await honest.getShares([{ id: needed, index: (await honest.hasShares([needed]))[0]![0]! }])
  await grid.servers[without]!.backendOf({ ...other, roles: accountRoles } as never).putShares(
    [share!],
    newBatch(nodeCrypto),
  )
  const { done } = await collect(store, [needed])
  assert.deepEqual(
    [...done.values()].map(({ adopted }) => adopted),
    [0, 0, 0, 0, 0, 0],
  )
})

test("a place that refuses to mark what is needed is named, and not counted as one that holds it", async () => {
  const grid = testGrid()
  const { needed } = await twoChunks(grid)
  const holder = await makeAccount(nodeCrypto)
  const store = await grid.client(undefined, { account: holder })
  const refusing = grid.servers[2]!.backendOf(holder)
  refusing.markShares = async (ids) => ids.map(() => ({ ok: false, code: "quota", message: "full" }) as const)
  const collection = await store.beginCollection()
  const adopted = await collection.adopt({ live: setOf([needed]), registers: setOf([]) })
  assert.deepEqual(adopted.get("n3"), 0)
  assert.equal(adopted.get("n1"), 1)
  assert.deepEqual([...collection.refused], [["n3", { message: "full", isQuota: true }]])
})

test("a register that a place does not hold keeps nothing from being collected there", async () => {
  const grid = testGrid()
  const { store, needed, garbage } = await twoChunks(grid)
  const { publicKey } = await newKeys()
  const { collection } = await collect(store, [needed], { registers: setOf([registerIdOf(publicKey)]) })
  assert.deepEqual([...collection.leftOut], [])
  assert.deepEqual(await heldAt(grid, garbage), [0, 0, 0, 0, 0])
})

test("a bucket where marks never become certain is left out", async () => {
  const grid = testGrid()
  const { needed, store } = await twoChunks(grid)
  const keys = await newKeys()
  assert.ok(await store.registers.write(keys, 0, emptyParts))
  let proposals = 0
  const other = await makeAccount(nodeCrypto)
  const backend = grid.servers[0]!.backendOf(other)
  Object.assign(backend, {
    sweep: async () => ({ condemned: 0, shares: 0, bytes: 0 }),
    markShares: async (ids: readonly ChunkId[]) => ids.map(() => ({ ok: true, held: [0] })),
    // Whatever is marked, it says that something of the batch is gone.
    proposeRegisters: async (values: readonly Uint8Array[]) => {
      proposals++
      return values.map(() => ({ accepted: false, marksGone: true, message: "gone" }))
    },
  })
  const collection = await (await grid.client(undefined, { account: other })).beginCollection()
  await collection.run({
    ...{ collector: collectorOf(other), live: setOf([needed]), registers: setOf([]), graceMs: 0 },
    list: registerIdOf(keys.publicKey),
  })
  assert.match(collection.leftOut.get("n1")!, /about to be deleted there/)
  assert.equal(proposals, 3)
})

/** Three values of a register, and what a place says of them when asked for all that it keeps. */
async function kept(change: (honest: Backend) => Partial<Backend>) {
  const grid = testGrid()
  const store = await grid.client()
  const keys = await newKeys()
  for (let sequence = 0; sequence < 3; sequence++) assert.ok(await store.registers.write(keys, sequence, emptyParts))
  alter(grid, 0, change)
  const collection = await store.beginCollection()
  const values = await collection.ownValues({ ...keys, verifyKey: verifyKeyOf(keys.readKey) })
  return { collection, values, keys }
}

test("a place that gives values of another register, or the same ones again and again, is left out", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  assert.ok(await (await grid.client()).registers.write(keys, 0, emptyParts))
  const foreign = await grid.servers[0]!.backend.keptValues(registerIdOf(keys.publicKey))
  const lies: ((honest: Backend) => Partial<Backend>)[] = [
    () => ({ keptValues: async (_id, options) => (options?.below === undefined ? foreign : []) }),
    ({ keptValues }) => ({ keptValues: (id) => keptValues(id) }),
  ]
  for (const lie of lies) {
    const { collection, values } = await kept(lie)
    assert.match(collection.leftOut.get("n1")!, /something else than the values of a register/)
    assert.deepEqual([...values.keys()].sort(), ["n2", "n3", "n4", "n5"])
  }
})

test("a value that no key opens is among a place's values without its list", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const keys = await newKeys()
  assert.ok(await store.registers.write(keys, 0, emptyParts))
  const wrong = { ...keys, readKey: nodeCrypto.random(32) }
  const collection = await store.beginCollection()
  const values = await collection.ownValues({ publicKey: keys.publicKey, verifyKey: verifyKeyOf(wrong.readKey) })
  assert.equal(values.size, 5)
  for (const own of values.values()) assert.deepEqual([own.length, own[0]!.care], [1, undefined])
  assert.deepEqual([...collection.leftOut], [])
})

test("a collection that takes nothing asks for no token, and one whose tokens all are refused does not begin", async () => {
  const grid = testGrid()
  const store = await grid.client()
  for (const position of grid.servers.keys())
    alter(grid, position, () => ({
      collectToken: async () => {
        throw new HoldfastError("ERR_REFUSED", "this device may not")
      },
    }))
  const { leftOut } = await store.beginCollection({ takes: false })
  assert.deepEqual([...leftOut], [])
  await assert.rejects(store.beginCollection(), { code: "ERR_REFUSED" })
})

test("a bucket where nothing has to be marked is collected although it does not hold the account's list", async () => {
  const grid = testGrid()
  const { store, needed, garbage } = await twoChunks(grid)
  alter(grid, 0, () => ({ sweep: async () => ({ condemned: 0, shares: 0, bytes: 0 }) }))
  const { collection } = await collect(store, [needed])
  assert.deepEqual([...collection.leftOut], [])
  assert.deepEqual(await heldAt(grid, garbage), [0, 0, 0, 0, 0])
})
