/** What a directory counts, refuses and takes away, at its edges. */
import assert from "node:assert/strict"
import { it, type TestContext } from "node:test"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { legacyAccount, registerIdOf } from "@holdfast/protocol"
import {
  makeAccount,
  makeOrder,
  makeRegisterValue,
  newBatch,
  randomChunk,
  type TestAccount,
} from "@holdfast/protocol/testing"
import type { DiskDatabase } from "../src/directory/disk.ts"
import type { NamespaceOptions } from "../src/directory/index.ts"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { markBytes, rowBytes } from "../src/index.ts"
import { opened, temporary } from "./engine-fixture.ts"

const dayMs = 86_400_000

/** A tenant over a disk of which so much is left as `left` says, whose clock moves by itself so that it is measured each time. */
async function setUp(t: TestContext, options: NamespaceOptions = {}) {
  const dir = await temporary(t)
  const disk = createNodeDisk(dir)
  const left = { freeBytes: 10 ** 9 }
  const time = { aheadMs: 0 }
  const nowMs = () => {
    time.aheadMs += 1_000
    return clock.nowMs() + time.aheadMs
  }
  let database: DiskDatabase | undefined
  const engine = await opened(t, dir, {
    disk: {
      ...disk,
      space: async () => ({ freeBytes: left.freeBytes, totalBytes: 10 ** 9 }),
      openDatabase(path) {
        database = disk.openDatabase(path)
        return database
      },
    },
    clock: { ...clock, nowMs },
    reservedBytes: 1_000,
  })
  const namespace = await engine.tenant("acme", { placeId: "d1", ...options })
  const unmark = async (account: TestAccount, what: { chunks?: Uint8Array[]; registers?: Uint8Array[] }) => {
    time.aheadMs += 2 * dayMs
    const backend = namespace.backendOf(account)
    return backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, ...what }))
  }
  return { namespace, left, unmark, database: () => database! }
}

const nothing = { marks: 0, shares: 0, bytes: 0, young: 0 }

it("an account that holds nothing of what it lets go takes nothing, whether or not it was ever here", async (t) => {
  const { namespace, unmark } = await setUp(t)
  const [owner, stranger] = [await makeAccount(crypto), await makeAccount(crypto)]
  const backend = namespace.backendOf(owner)
  const { id, shares } = await randomChunk(crypto, 300)
  const seed = crypto.random(32)
  const register = registerIdOf(await crypto.publicKeyOf(seed))
  await backend.putShares([shares[0]!], newBatch(crypto))
  await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "root")])
  const what = { chunks: [id], registers: [register] }
  assert.deepEqual(await unmark(stranger, what), nothing)
  await namespace.backendOf(stranger).putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  assert.deepEqual(await unmark(stranger, what), nothing)
  assert.deepEqual(await unmark(stranger, { registers: [crypto.random(32)] }), nothing)
  assert.deepEqual(await backend.hasShares([id]), [[0]])
  assert.ok((await backend.readRegisters([register]))[0])
  assert.equal((await backend.usage()).shareCount, 1)
})

it("marks that a quota has no room for are refused for the whole chunk, and what is marked already costs nothing again", async (t) => {
  const { namespace } = await setUp(t, { accountQuotaBytes: 3 * (rowBytes + markBytes) + 1200 })
  const { id, shares } = await randomChunk(crypto, 300)
  const sizeBytes = shares[0]!.length
  assert.ok(2 * sizeBytes < 1200 && 3 * sizeBytes > 1200, "two of three shares fit")
  for (const some of [shares.slice(0, 2), shares.slice(2)])
    await namespace.backendOf(await makeAccount(crypto)).putShares(some, newBatch(crypto))
  const poor = namespace.backendOf(await makeAccount(crypto))
  const batch = newBatch(crypto)
  assert.equal((await poor.putShares([shares[2]!], batch))[0]!.ok, true)
  const [outcome] = await poor.markShares([id], batch) // the first is, the second is not, the third was
  assert.ok(outcome && !outcome.ok && outcome.code === "quota", JSON.stringify(outcome))
  const { usedBytes } = await poor.usage()
  for (const share of [shares[0]!, shares[2]!]) assert.equal((await poor.putShares([share], batch))[0]!.ok, true)
  assert.equal((await poor.usage()).usedBytes, usedBytes)
})

it("a full disk takes a value no larger than the one before, and marks nothing more", async (t) => {
  const { namespace, left } = await setUp(t)
  const backend = namespace.backendOf(await makeAccount(crypto))
  const seed = crypto.random(32)
  const [one, two, large] = await Promise.all(
    ["x", "y", "x".repeat(60_000)].map((text, i) => makeRegisterValue(crypto, seed, i + 2, text)),
  )
  const { id, shares } = await randomChunk(crypto, 300)
  const batch = newBatch(crypto)
  await backend.putShares([shares[0]!], batch)
  assert.equal((await backend.proposeRegisters([one!]))[0]!.accepted, true)
  left.freeBytes = 0
  assert.equal((await backend.proposeRegisters([two!]))[0]!.accepted, true)
  assert.equal((await backend.proposeRegisters([large!]))[0]!.accepted, false)
  assert.equal((await backend.markShares([id], batch))[0]!.ok, true, "it has marked it already")
  const [marked] = await backend.markShares([id], newBatch(crypto))
  assert.ok(marked && !marked.ok && /no space left for marks/.test(marked.message))
})

it("a disk that is full for the index itself is told as such, and the registers are as they were", async (t) => {
  const { namespace, database } = await setUp(t)
  const backend = namespace.backendOf(await makeAccount(crypto))
  const seed = crypto.random(32)
  const [one, large] = await Promise.all([1, 2].map((n) => makeRegisterValue(crypto, seed, n, "x".repeat(n * 30_000))))
  await backend.proposeRegisters([one!])
  const { page_count: pages } = database().prepare("PRAGMA page_count").get() as { page_count: number }
  database().exec(`PRAGMA max_page_count = ${pages}`)
  await assert.rejects(backend.proposeRegisters([large!]), { code: "ERR_SERVER_FULL" })
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  assert.deepEqual(
    (await backend.readRegisters([id])).map((bytes) => bytes && new Uint8Array(bytes)),
    [one],
  )
})

it("whoever marks a register for itself pays for that from then on, nobody pays for another's, and each as much as counts", async (t) => {
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "root")
  const full = value.length + rowBytes + markBytes
  for (const [accountQuotaBytes, accepted] of [
    [full - 1, false],
    [full, true],
  ] as const) {
    const { namespace } = await setUp(t, { accountQuotaBytes })
    const [giver, taker] = [await makeAccount(crypto), await makeAccount(crypto)]
    const usage = async (account: TestAccount) => (await namespace.backendOf(account).usage()).usedBytes
    const beyond = { accounts: [taker.account], forRemoval: true }
    assert.equal((await namespace.backendOf(giver).proposeRegisters([value], beyond))[0]!.accepted, true)
    assert.deepEqual([await usage(giver), await usage(taker)], [full + markBytes, 0])
    const [outcome] = await namespace.backendOf(taker).proposeRegisters([value], { accounts: [giver.account] })
    assert.equal(outcome!.accepted, accepted)
    assert.deepEqual([await usage(giver), await usage(taker)], accepted ? [full, full] : [full + markBytes, 0])
  }
})

it("a superseded value is kept for each account that may trim it, as far as its writer could not have trimmed it", async (t) => {
  const { namespace } = await setUp(t)
  const [holder, writer] = [await makeAccount(crypto), await makeAccount(crypto)]
  const nobody = { ...holder, account: legacyAccount }
  for (const [by, next, kept] of [
    [holder, writer, [2, 1]],
    [nobody, writer, [2]],
    [holder, holder, [2]],
    [holder, { ...holder, roles: ["read", "append"] } as const, [2, 1]],
  ] as const) {
    const seed = crypto.random(32)
    const [one, two] = await Promise.all([1, 2].map((n) => makeRegisterValue(crypto, seed, n, "root")))
    await namespace.backendOf(by).proposeRegisters([one!])
    assert.equal((await namespace.backendOf(next).proposeRegisters([two!]))[0]!.accepted, true)
    const values = await namespace.backendOf(by).keptValues(registerIdOf(await crypto.publicKeyOf(seed)))
    assert.deepEqual(
      values.map(({ sequence }) => sequence),
      kept,
    )
  }
})

it("a register that so many hold is held for no others, and still for those that hold it and whoever comes for itself", async (t) => {
  const { namespace } = await setUp(t)
  const seed = crypto.random(32)
  const value = await makeRegisterValue(crypto, seed, 1, "root")
  const propose = async (account: TestAccount, accounts: readonly Uint8Array[] = []) =>
    (await namespace.backendOf(account).proposeRegisters([value], { accounts }))[0]!.accepted
  const holders = Array.from({ length: 256 }, () => crypto.random(32))
  const writer = await makeAccount(crypto)
  for (let at = 0; at < holders.length; at += 64) assert.ok(await propose(writer, holders.slice(at, at + 64)))
  const [known, stranger] = [await makeAccount(crypto), await makeAccount(crypto)]
  await namespace.backendOf(known).putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  assert.equal(await propose(writer, [known.account]), false)
  assert.equal(await propose(writer, [stranger.account]), false)
  assert.equal(await propose(writer, holders.slice(0, 3)), true)
  assert.equal(await propose(stranger, holders.slice(0, 3)), true)
  assert.equal(await propose(known), true)
})
