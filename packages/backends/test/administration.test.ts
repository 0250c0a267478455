import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { it, type TestContext } from "node:test"
import { limits, toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountAccess,
  type Backend,
  legacyAccount,
  signAccountsRequest,
  signGrant,
  signRecord,
  signRegisterValue,
  signStatement,
} from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { openDirectoryAccounts, openDirectoryBackend, openEngine } from "../src/directory/index.ts"
import type { PlaceAccounts } from "../src/place-accounts.ts"
import { createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket } from "./memory-bucket.ts"

const dayMs = 86_400_000

async function opened(t: TestContext, { dropGraceMs, ...options }: { dropGraceMs?: number; quotaBytes?: number } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  let offsetMs = 0
  const moving = { ...clock, nowMs: () => clock.nowMs() + offsetMs }
  const grace = dropGraceMs === undefined ? {} : { dropGraceMs }
  const engine = await openEngine({ dir, crypto, clock: moving, reservedBytes: 0, ...grace })
  t.after(async () => {
    await engine.close()
    await rm(dir, { recursive: true, force: true })
  })
  const administrator = await makeAccount(crypto)
  const namespace = await engine.tenant("acme", {
    placeId: "d1",
    administrator: () => administrator.publicKey,
    ...options,
  })
  const advance = (ms: number) => {
    offsetMs += ms
  }
  const state = (account: AccountAccess, serial: number, drops: boolean, seed = administrator.seed, tenant = "acme") =>
    signStatement(crypto, seed, { tenant, account: account.account, serial, drops })
  return { dir, engine, namespace, administrator, advance, state }
}

it("drops an account after the grace and not before, and leaves what others hold", async (t) => {
  const { engine, namespace, advance, state } = await opened(t)
  const [leaver, other] = [await makeAccount(crypto), await makeAccount(crypto)]
  const [theirs, rest] = [namespace.backendOf(leaver), namespace.backendOf(other)]
  const [own, shared] = [await randomChunk(crypto, 100_000), await randomChunk(crypto, 300)]
  await theirs.putShares([own.shares[0]!, shared.shares[0]!], newBatch(crypto))
  await rest.markShares([shared.id], newBatch(crypto))
  await theirs.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "root")])
  await rest.takeStatement(await state(leaver, 1, true))
  assert.ok(theirs.droppedAtMs()! > clock.nowMs() + 29 * dayMs)
  assert.equal(rest.droppedAtMs(), undefined)
  await assert.rejects(theirs.markShares([own.id], newBatch(crypto)), { code: "ERR_REFUSED", message: /dropped/ })
  advance(30 * dayMs - 60_000)
  assert.equal(await engine.finishDrops(), 0)
  assert.deepEqual(await theirs.hasShares([own.id, shared.id]), [[0], [0]], "its data is readable until the end")
  advance(120_000)
  assert.equal(await engine.finishDrops(), 3)
  assert.deepEqual(await rest.hasShares([own.id, shared.id]), [[], [0]])
  assert.deepEqual(await theirs.listRegisters({ limit: 9 }), [])
  assert.equal((await theirs.usage()).usedBytes, 0)
  assert.equal((await rest.listMarks({ limit: 9 })).length, 1)
})

it("counts 40 registers of 81 KB against who wrote them, refuses more at the quota, and drops them with the account", async (t) => {
  const valueBytes = 81_000
  const { engine, namespace, advance, state } = await opened(t, { quotaBytes: 40.5 * valueBytes })
  const [mallory, other] = [await makeAccount(crypto, ["append"]), await makeAccount(crypto)]
  const junk = namespace.backendOf(mallory)
  // Content, history and the list of what is held, each as large as it may be.
  const value = async () => {
    const parts = {
      sequence: 1,
      lineage: [],
      sealed: crypto.random(limits.registerContentBytes),
      care: crypto.random(15_000),
    }
    return signRegisterValue(crypto, crypto.random(32), parts)
  }
  for (let i = 0; i < 40; i++) assert.equal((await junk.proposeRegisters([await value()]))[0]!.accepted, true, `${i}`)
  const { usedBytes } = await junk.usage()
  assert.ok(usedBytes > 40 * 80_000, `${usedBytes} bytes`)
  assert.equal(engine.tenants()[0]!.usedBytes > 40 * 80_000, true)
  assert.equal((await namespace.backendOf(other).usage()).usedBytes, 0)
  const [more] = await junk.proposeRegisters([await value()])
  assert.match(more!.accepted ? "" : more!.message, /quota/)
  await junk.takeStatement(await state(mallory, 1, true))
  advance(31 * dayMs)
  assert.equal(await engine.finishDrops(), 40)
  assert.equal((await junk.usage()).usedBytes, 0)
  assert.equal(engine.tenants()[0]!.usedBytes, 0)
  assert.equal((await namespace.backendOf(other).proposeRegisters([await value()]))[0]!.accepted, true)
})

it("undoes a drop by a higher serial, and an older statement changes nothing", async (t) => {
  const { engine, namespace, advance, state } = await opened(t)
  const account = await makeAccount(crypto)
  const backend = namespace.backendOf(account)
  const chunk = await randomChunk(crypto, 300)
  await backend.putShares([chunk.shares[0]!], newBatch(crypto))
  await backend.takeStatement(await state(account, 1, true))
  advance(20 * dayMs)
  await backend.takeStatement(await state(account, 3, false))
  await backend.takeStatement(await state(account, 2, true))
  advance(20 * dayMs)
  assert.equal(await engine.finishDrops(), 0)
  assert.deepEqual(await backend.markShares([chunk.id], newBatch(crypto)), [{ ok: true, held: [0] }])
  await backend.takeStatement(await state(account, 4, true))
  advance(20 * dayMs)
  await backend.takeStatement(await state(account, 5, true)) // goes on counting from the fourth
  advance(11 * dayMs)
  assert.equal(await engine.finishDrops(), 1)
})

it("has a least grace of a drop that no operator can go under", async (t) => {
  const { engine, namespace, advance, state } = await opened(t, { dropGraceMs: 0 })
  const account = await makeAccount(crypto)
  const backend = namespace.backendOf(account)
  await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  await backend.takeStatement(await state(account, 1, true))
  advance(7 * dayMs - 60_000)
  assert.equal(await engine.finishDrops(), 0)
  advance(120_000)
  assert.equal(await engine.finishDrops(), 1)
})

it("takes statements and requests of the tenant's own administrator only, and each request once for an instance", async (t) => {
  const { namespace, administrator, state } = await opened(t)
  const account = await makeAccount(crypto)
  const backend = namespace.backendOf(account)
  await assert.rejects(backend.takeStatement(await state(account, 1, true, account.seed)), { code: "ERR_REFUSED" })
  const foreign = await state(account, 1, true, administrator.seed, "other")
  await assert.rejects(backend.takeStatement(foreign), { code: "ERR_REFUSED" })
  const changed = Uint8Array.from(await state(account, 1, true))
  changed[changed.length - 1]! ^= 1
  await assert.rejects(backend.takeStatement(changed), { code: "ERR_CORRUPT" })
  assert.equal(backend.droppedAtMs(), undefined)
  const request = { tenant: "acme", place: "d1", token: backend.requestToken(), limit: 9 }
  const ask = async (more: Partial<typeof request>, seed = administrator.seed) =>
    backend.listAccounts(await signAccountsRequest(crypto, seed, { ...request, ...more }))
  assert.deepEqual(await ask({}), [])
  await assert.rejects(ask({ place: "d2" }), { code: "ERR_REFUSED" })
  await assert.rejects(ask({ token: new Uint8Array(24) }), { code: "ERR_REFUSED" })
  await assert.rejects(ask({}, account.seed), { code: "ERR_REFUSED" })
})

it("lists accounts with what they are charged, their devices and the day they were last here", async (t) => {
  const { namespace, administrator, state } = await opened(t)
  const account = await makeAccount(crypto)
  const backend = namespace.backendOf(account)
  await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  const grants = [
    await signGrant(crypto, account.seed, { epoch: 1, deviceKey: crypto.random(32), roles: ["read"], name: "laptop" }),
  ]
  await backend.publishRecord(await signRecord(crypto, account.seed, { epoch: 1, grants }))
  await namespace.noteSeen(account.account)
  await namespace
    .backendOf({ account: legacyAccount, roles: ["append"] })
    .putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  await backend.takeStatement(await state({ account: legacyAccount, roles: [] }, 1, true))
  const request = { tenant: "acme", place: "d1", token: backend.requestToken(), limit: 9 }
  const listed = await backend.listAccounts(await signAccountsRequest(crypto, administrator.seed, request))
  const [legacy, mine] = listed
  assert.deepEqual(
    listed.map((info) => toHex(info.account)),
    [legacyAccount, account.account].map(toHex),
  )
  assert.deepEqual([mine!.devices, mine!.shares, mine!.droppedAtMs], [["laptop"], 1, undefined])
  assert.equal(mine!.bytes, (await backend.usage()).usedBytes)
  assert.equal(mine!.seenDay, Math.floor(clock.nowMs() / dayMs))
  assert.ok(legacy!.droppedAtMs! > clock.nowMs())
  const rest = { ...request, after: legacyAccount }
  assert.equal((await backend.listAccounts(await signAccountsRequest(crypto, administrator.seed, rest))).length, 1)
})

it("lets whoever may open a directory list, drop and keep its accounts, and acts on a drop when a client collects", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  let aheadMs = 0
  const moving = { ...clock, nowMs: () => clock.nowMs() + aheadMs }
  const options = { id: "disk", dir, crypto, clock: moving, reservedBytes: 0 }
  const within = async <T>(access: AccountAccess, work: (place: Backend) => Promise<T>) => {
    const place = await openDirectoryBackend({ ...options, access })
    return work(place).finally(() => place.close())
  }
  const administer = async <T>(work: (accounts: PlaceAccounts) => Promise<T>) => {
    const accounts = await openDirectoryAccounts(options)
    return work(accounts).finally(() => accounts.close())
  }
  const [leaver, other] = [await makeAccount(crypto), await makeAccount(crypto)]
  const [own, shared] = [await randomChunk(crypto, 100_000), await randomChunk(crypto, 300)]
  await within(leaver, (place) => place.putShares([own.shares[0]!, shared.shares[0]!], newBatch(crypto)))
  await within(other, (place) => place.markShares([shared.id], newBatch(crypto)))
  const listed = await administer((accounts) => accounts.list())
  assert.deepEqual(
    new Set(listed.map(({ account }) => toHex(account))),
    new Set([leaver, other].map(({ account }) => toHex(account))),
  )
  await administer((accounts) => accounts.drop(leaver.account))
  await assert.rejects(
    within(leaver, (place) => place.markShares([own.id], newBatch(crypto))),
    { code: "ERR_REFUSED", message: /dropped/ },
  )
  await administer((accounts) => accounts.keep(leaver.account))
  await within(leaver, (place) => place.markShares([own.id], newBatch(crypto)))
  await administer((accounts) => accounts.drop(leaver.account))
  const held = () => within(other, (place) => place.hasShares([own.id, shared.id]))
  aheadMs += 29 * dayMs
  await within(other, (place) => place.collectToken())
  assert.deepEqual(await held(), [[0], [0]])
  aheadMs += 2 * dayMs
  await within(other, (place) => place.collectToken())
  assert.deepEqual(await held(), [[], [0]])
})

it("opens a directory for no device whose grant its account took back", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const account = await makeAccount(crypto)
  const options = { id: "disk", dir, crypto, clock, reservedBytes: 0, access: account }
  const grantOf = (epoch: number) =>
    signGrant(crypto, account.seed, { epoch, deviceKey: new Uint8Array(32).fill(9), roles: ["append"], name: "camera" })
  const open = async (grant?: Uint8Array) => {
    const place = await openDirectoryBackend({ ...options, ...(grant && { grant }) })
    await place.usage().finally(() => place.close())
  }
  const grant = await grantOf(1)
  await open(grant)
  const owner = await openDirectoryBackend(options)
  await owner.publishRecord!(await signRecord(crypto, account.seed, { epoch: 2, grants: [] }))
  await owner.close()
  await assert.rejects(open(grant), { code: "ERR_REFUSED", message: /taken its grant back.*holdfast account grant/ })
  await open(await grantOf(3))
  await open()
})

it("a sweep of a bucket lists the marks once, to see which are there and which accounts are dropped", async () => {
  const bucket = new MemoryBucket({})
  const access = await makeAccount(crypto)
  const open = () => createObjectBackend(bucket.connect(), { id: "bucket", crypto, access, conditionalWrites: true })
  const [backend, batch] = [open(), newBatch(crypto)]
  await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], batch)
  await backend.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "root")], batch)
  const later = open()
  bucket.requests.splice(0)
  await later.sweep()
  const asked = bucket.requests.filter(({ kind, key }) => kind === "list" && key.startsWith("marks"))
  assert.equal(asked.length, 1)
})
