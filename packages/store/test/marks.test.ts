/** Commits beside collections: what was acknowledged stays, whoever collects what, whatever the clocks say. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import type { Backend, ChunkId } from "@holdfast/protocol"
import { makeAccount, type TestAccount } from "@holdfast/protocol/testing"
import { type Collected, IdSet, type Store } from "@holdfast/store"
import { collectorOf, commit, emptyParts, type Grid, newKeys, owner, testGrid } from "./fixture.ts"

const hour = 3_600_000

function sample(seed: number): Uint8Array {
  return Uint8Array.from({ length: 5000 }, (_, i) => (i * seed) & 255)
}

/** Collects for `account` all but `keep`. */
async function collect(store: Store, keep: readonly ChunkId[], account = owner): Promise<Map<string, Collected>> {
  const collection = await store.beginCollection()
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  for (const id of keep) live.add(id)
  const done = await collection.run({ collector: collectorOf(account), live, registers, graceMs: 0 })
  assert.deepEqual([...collection.leftOut.keys()], [])
  return new Map(done)
}

const sharesOf = (done: ReadonlyMap<string, Collected>) =>
  [...done.values()].reduce((sum, { shares }) => sum + shares, 0)

/** Takes the mark of every chunk away at the places `at` alone. */
async function unmarkAt(grid: Grid, at: readonly number[]): Promise<void> {
  for (const [i, server] of grid.servers.entries()) server.down = !at.includes(i)
  const collection = await (await grid.client()).beginCollection()
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  await collection.run({ collector: collectorOf(owner), live, registers, graceMs: 0 })
  for (const server of grid.servers) server.down = false
}

async function assertReadable(
  grid: Grid,
  ref: { id: ChunkId; key: Uint8Array },
  bytes: Uint8Array,
  account?: TestAccount,
) {
  const read = await (await grid.client(undefined, account && { account })).chunks.getChunk(ref)
  assert.deepEqual(Buffer.from(read.subarray(0, bytes.length)), Buffer.from(bytes))
}

test("what two places lost of a commit since it was put is there again when it is acknowledged", async () => {
  const grid = testGrid() // 3/4/5
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(3))
  grid.pass(25 * hour) // a laptop that slept
  await unmarkAt(grid, [0, 1])
  const held = () =>
    Promise.all(grid.servers.map(async ({ backend }) => (await backend.hasShares([ref.id]))[0]!.length))
  assert.deepEqual(await held(), [0, 0, 1, 1, 1])
  assert.equal(await commit(store, [ref.id]), true)
  assert.deepEqual(await held(), [1, 1, 1, 1, 1])
  await collect(await grid.client(), [])
  await assertReadable(grid, ref, sample(3))
})

test("a commit whose chunk was collected everywhere is refused, never acknowledged", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(5))
  grid.pass(25 * hour)
  assert.equal(sharesOf(await collect(await grid.client(), [])), 5)
  await assert.rejects(commit(store, [ref.id]), { code: "ERR_NOT_ENOUGH_SHARES" })
  const again = await store.chunks.putChunk(sample(5))
  assert.equal(await commit(store, [again.id]), true)
})

test("a value whose chunks were collected while its writer slept is shown to no place, not even to one that held none", async () => {
  const grid = testGrid(6)
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(11))
  grid.pass(25 * hour)
  assert.equal(sharesOf(await collect(await grid.client(), [])), 5)
  const keys = await newKeys()
  const written = store.registers.write(keys, 0, emptyParts, { chunks: [ref.id] })
  await assert.rejects(written, { code: "ERR_NOT_ENOUGH_SHARES" })
  assert.equal(await (await grid.client()).registers.read(keys), undefined)
})

test("a writer that was stopped for a day, with its clock, shows its value to no place, whoever collected meanwhile", async () => {
  const grid = testGrid() // 3/4/5
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(12))
  grid.pass(25 * hour) // at the places alone
  await unmarkAt(grid, [0, 1, 2, 3]) // the fifth holds its share, and was heard of as little
  const keys = await newKeys()
  const written = store.registers.write(keys, 0, emptyParts, { chunks: [ref.id] })
  await assert.rejects(written, { code: "ERR_NOT_ENOUGH_SHARES" })
  assert.equal(await (await grid.client()).registers.read(keys), undefined)
})

test("a writer that was stopped between two chunks, with its clock, shows its value to no place, not even to one that holds the second alone", async () => {
  const grid = testGrid(6) // 3/4/5: each chunk leaves one place out
  const store = await grid.client()
  const heldAt = (id: ChunkId) =>
    Promise.all(grid.servers.map(async ({ backend }) => (await backend.hasShares([id]))[0]!.length > 0))
  const first = await store.chunks.putChunk(sample(12))
  const left = (await heldAt(first.id)).indexOf(false)
  grid.pass(25 * hour) // at the places alone
  assert.equal(sharesOf(await collect(await grid.client(), [])), 5)
  let second = await store.chunks.putChunk(sample(13))
  for (let seed = 14; !(await heldAt(second.id))[left]; seed++) second = await store.chunks.putChunk(sample(seed))
  const keys = await newKeys()
  const written = store.registers.write(keys, 0, emptyParts, { chunks: [first.id, second.id] })
  await assert.rejects(written, { code: "ERR_NOT_ENOUGH_SHARES" })
  assert.equal(await (await grid.client()).registers.read(keys), undefined)
})

test("a writer that was stopped, and stores more when it goes on, shows its value to no place that nobody collected at", async () => {
  const grid = testGrid() // 3/4/5
  const store = await grid.client()
  const first = await store.chunks.putChunk(sample(12))
  grid.pass(25 * hour) // at the places alone
  await unmarkAt(grid, [0, 1, 2, 3])
  const second = await store.chunks.putChunk(sample(13))
  const keys = await newKeys()
  const written = store.registers.write(keys, 0, emptyParts, { chunks: [first.id, second.id] })
  await assert.rejects(written, { code: "ERR_NOT_ENOUGH_SHARES" })
  assert.equal(await (await grid.client()).registers.read(keys), undefined)
})

test("a commit is not acknowledged by places that took the value but hold none of its chunks", async () => {
  const grid = testGrid() // 3/4/5: a value needs 3 places
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(7))
  grid.servers[0]!.down = true
  grid.servers[1]!.down = true
  await assert.rejects(commit(store, [ref.id]), { code: "ERR_NOT_ENOUGH_SERVERS" })
  grid.servers[0]!.down = false
  assert.equal(await commit(await grid.client(), [ref.id]), true)
})

test("nothing younger than an hour goes, and nothing that was marked after a collection began", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const [old, young] = [await store.chunks.putChunk(sample(3)), await store.chunks.putChunk(sample(5))]
  const first = await collect(await grid.client(), [])
  assert.deepEqual(
    [...first.values()].map(({ shares, young }) => [shares, young]),
    Array(5).fill([0, 2]),
  )
  grid.pass(25 * hour)
  const collection = await (await grid.client()).beginCollection()
  assert.equal(await commit(await grid.client(), [young.id]), true)
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  const done = await collection.run({ collector: collectorOf(owner), live, registers, graceMs: 0 })
  assert.deepEqual(
    [...done.values()].map(({ shares, young }) => [shares, young]),
    Array(5).fill([1, 2]),
  )
  await assertReadable(grid, young, sample(5))
  await assert.rejects(assertReadable(grid, old, sample(3)), { code: "ERR_NOT_ENOUGH_SHARES" })
})

test("what two accounts hold stays until both have let it go, and neither is told of the other", async () => {
  const grid = testGrid()
  const bob = await makeAccount(nodeCrypto)
  const [alices, bobs] = [await grid.client(), await grid.client(undefined, { account: bob })]
  const ref = await alices.chunks.putChunk(sample(3))
  assert.equal(await commit(alices, [ref.id]), true)
  assert.equal(await commit(bobs, [ref.id]), true, "a copy by reference")
  grid.pass(25 * hour)
  const first = await collect(alices, [])
  assert.deepEqual(
    [...first.values()].map(({ shares, marks }) => [shares, marks > 0]),
    Array(5).fill([0, true]),
  )
  await assertReadable(grid, ref, sample(3), bob)
  assert.equal(sharesOf(await collect(alices, [])), 0)
  assert.equal(sharesOf(await collect(bobs, [], bob)), 5)
})

test("what is written into another's tree is held for its account, whatever the writer collects", async () => {
  const grid = testGrid()
  const bob = await makeAccount(nodeCrypto)
  const bobs = await grid.client(undefined, { account: bob })
  const ref = await bobs.chunks.putChunk(sample(3))
  assert.equal(await commit(bobs, [ref.id], [owner.account]), true)
  grid.pass(25 * hour)
  assert.equal(sharesOf(await collect(bobs, [], bob)), 0)
  await assertReadable(grid, ref, sample(3))
  assert.equal(sharesOf(await collect(await grid.client(), [])), 5)
})

test("a collection marks what the account needs and another put", async () => {
  const grid = testGrid()
  const bob = await makeAccount(nodeCrypto)
  const bobs = await grid.client(undefined, { account: bob })
  const ref = await (await grid.client()).chunks.putChunk(sample(3))
  const adopted = await collect(bobs, [ref.id], bob)
  assert.deepEqual(
    [...adopted.values()].map((one) => one.adopted),
    [1, 1, 1, 1, 1],
  )
  grid.pass(25 * hour)
  await collect(await grid.client(), [])
  await assertReadable(grid, ref, sample(3), bob)
})

test("commits of one store at the same time share its marks, and each is acknowledged with all it needs", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const refs = await Promise.all([3, 5, 7, 11].map((seed) => store.chunks.putChunk(sample(seed))))
  grid.pass(25 * hour)
  await unmarkAt(grid, [2])
  assert.deepEqual(await Promise.all(refs.map(({ id }) => commit(store, [id]))), [true, true, true, true])
  grid.pass(2 * hour)
  await collect(await grid.client(), [])
  for (const ref of refs) await assertReadable(grid, ref, sample([3, 5, 7, 11][refs.indexOf(ref)]!))
})

test("a place that begins anew honours no token from before", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(3))
  grid.pass(25 * hour)
  const collection = await store.beginCollection()
  grid.servers[0]!.empty()
  await store.checkChunk(ref.id, { repair: true })
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  await collection.run({ collector: collectorOf(owner), live, registers, graceMs: 0 })
  assert.match(collection.leftOut.get("n1") ?? "", /token/)
  assert.equal((await grid.servers[0]!.backend.hasShares([ref.id]))[0]!.length, 1)
})

test("only the account's own key takes marks away", async () => {
  const grid = testGrid()
  const mallory = await makeAccount(nodeCrypto)
  const store = await grid.client()
  await store.chunks.putChunk(sample(3))
  grid.pass(25 * hour)
  const collection = await store.beginCollection()
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  await collection.run({ collector: collectorOf(mallory), live, registers, graceMs: 0 })
  assert.equal(collection.leftOut.size, 5)
  assert.equal((await store.backends[0]!.listMarks({ limit: 10 })).length, 1)
})

test("what places lose between their word that they hold it and the value is stored again before that is acknowledged", async () => {
  const grid = testGrid() // 3/4/5: three places take a value, four hold each chunk
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(13))
  let [proposed, isLost] = [0, false]
  const keys = await newKeys()
  for (const backend of store.backends) {
    const { proposeRegisters } = backend
    // Between the last word and the first value two places lose their disks, and come back with new ones.
    backend.proposeRegisters = async (...args) => {
      proposed++
      if (!isLost) for (const server of grid.servers.slice(0, 2)) server.empty()
      isLost = true
      return proposeRegisters(...args)
    }
  }
  assert.equal(await store.registers.write(keys, 0, emptyParts, { chunks: [ref.id] }), true)
  assert.ok(proposed > 5, "it was proposed a second time")
  const held = grid.servers.map(async ({ backend }) => (await backend.hasShares([ref.id]))[0]!.length)
  assert.ok((await Promise.all(held)).reduce((sum, count) => sum + count, 0) >= 4)
  await assertReadable(grid, ref, sample(13))
})

test("what places collect between their word that they hold it and the value is stored again, by those who slept as well", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const ref = await store.chunks.putChunk(sample(13))
  let asleep: Promise<void> | undefined
  const keys = await newKeys()
  for (const backend of store.backends) {
    const { proposeRegisters } = backend
    // The machine sleeps between the last word and the first value, while another device collects at two places.
    backend.proposeRegisters = async (...args) => {
      if (!asleep) grid.pass(25 * hour)
      asleep ??= unmarkAt(grid, [0, 1])
      await asleep
      return proposeRegisters(...args)
    }
  }
  assert.equal(await store.registers.write(keys, 0, emptyParts, { chunks: [ref.id] }), true)
  const held = grid.servers.map(async ({ backend }) => (await backend.hasShares([ref.id]))[0]!.length)
  assert.deepEqual(await Promise.all(held), [1, 1, 1, 1, 1])
  await assertReadable(grid, ref, sample(13))
})

test("a commit whose marks a quota leaves no room for fails as that, and says where", async () => {
  const store = await testGrid().client()
  const ref = await store.chunks.putChunk(sample(14))
  for (const backend of store.backends)
    Object.assign(backend, {
      marksWithAnswer: undefined, // as of a bucket, which writes marks down then
      async confirmMarks() {
        throw new HoldfastError("ERR_QUOTA_EXCEEDED", "its quota is used up.")
      },
    } satisfies Pick<Backend, "confirmMarks"> & { marksWithAnswer: undefined })
  await assert.rejects(store.registers.write(await newKeys(), 0, emptyParts, { chunks: [ref.id] }), {
    code: "ERR_QUOTA_EXCEEDED",
    message: /not acknowledged.*its quota is used up.*holdfast gc/,
  })
})
