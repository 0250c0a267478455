/** The golden volume of format version 1, as an earlier version left it in directories and buckets, becomes an account's. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { openEngine } from "@holdfast/backends/directory"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { fromHex, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import {
  decodeCap,
  decodeRegisterValue,
  encodeCap,
  legacyAccount,
  registerIdOf,
  signStatement,
} from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { keysOfCap } from "@holdfast/store"
import { Tree } from "@holdfast/tree"
import { type Found, findAll } from "../../../e2e/golden.ts"
import { version1 } from "../../backends/src/directory/schema.ts"
import { MemoryBucket } from "../../backends/test/memory-bucket.ts"
import { upgradePlaces } from "../../client/src/volumes/upgrade.ts"
import { createDevice, type Device, openOver, type TestPlace, volumeId, volumeOver } from "../../client/test/devices.ts"
import { collectAccount } from "../src/account/collect.ts"
import { upgradeAccount } from "../src/account/upgrade.ts"

const dayMs = 86_400_000
const golden = join(import.meta.dirname, "../../../interop/golden/v1")
const readCap = fs.readFileSync(join(golden, "read-capability"), "utf8").trim()
const writeCap = encodeCap({ kind: "dw", seed: hashSmall("golden", utf8("tree")) })
const expected = JSON.parse(fs.readFileSync(join(golden, "expected.json"), "utf8")) as Found[]
const inOrder = (found: readonly Found[]) => found.toSorted((a, b) => (a.path < b.path ? -1 : 1))
const quiet = { warn: () => undefined }

/** What one server of the golden volume holds. */
function heldBy(server: number): { shares: { id: string; index: number; bytes: Buffer }[]; registers: Buffer[] } {
  const folder = join(golden, `server-${server}`)
  const files = fs.readdirSync(folder).map((name) => ({ name, bytes: fs.readFileSync(join(folder, name)) }))
  return {
    shares: files.flatMap(({ name, bytes }) => {
      const [, id, index] = /^([0-9a-f]{64})\.(\d+)\.share$/.exec(name) ?? []
      return id ? [{ id, index: Number(index), bytes }] : []
    }),
    registers: files.flatMap(({ name, bytes }) => (name.endsWith(".register") ? [bytes] : [])),
  }
}

interface Old {
  readonly places: readonly TestPlace[]
  pass(ms: number): void
  /** Lets go of what nobody in particular holds. */
  dropLegacy(): Promise<void>
}

async function oldDirectories(t: TestContext): Promise<Old> {
  const clock = { aheadMs: 0 }
  const administrator = await makeAccount(crypto)
  const opened = await Promise.all(
    [0, 1, 2, 3, 4].map(async (server) => {
      const dir = fs.mkdtempSync(join(tmpdir(), "holdfast-upgrade-"))
      await fillDirectory(dir, server)
      const engine = await openEngine({
        ...{ dir, crypto, reservedBytes: 0 },
        clock: { ...nodeEnv.clock, nowMs: () => Date.now() + clock.aheadMs },
      })
      t.after(async () => {
        await engine.close()
        fs.rmSync(dir, { recursive: true })
      })
      const options = { placeId: `server-${server}`, administrator: () => administrator.publicKey }
      return { engine, namespace: await engine.tenant("local", options) }
    }),
  )
  return {
    places: opened.map(({ namespace }, i) => ({
      id: `server-${i}`,
      backendOf: (access) => ({ ...namespace.backendOf(access), close: async () => undefined }),
    })),
    pass(ms) {
      clock.aheadMs += ms
    },
    async dropLegacy() {
      const statement = { tenant: "local", account: legacyAccount, serial: 1, drops: true }
      const signed = await signStatement(crypto, administrator.seed, statement)
      for (const { namespace } of opened)
        await namespace.backendOf({ account: legacyAccount, roles: [] }).takeStatement(signed)
      clock.aheadMs += 31 * dayMs
      for (const { engine } of opened) assert.ok((await engine.finishDrops()) > 0)
    },
  }
}

async function fillDirectory(dir: string, server: number): Promise<void> {
  const { shares, registers } = heldBy(server)
  const database = new DatabaseSync(join(dir, "index.sqlite"))
  database.exec(version1)
  for (const [i, { id, index, bytes }] of shares.entries()) {
    database.prepare("INSERT INTO shares VALUES (?, 1, ?, ?, ?, 7, NULL)").run(i + 1, fromHex(id), index, bytes.length)
    database.prepare("INSERT INTO small VALUES (?, ?)").run(i + 1, bytes)
  }
  for (const value of registers) {
    const { publicKey, sequence } = await decodeRegisterValue(crypto, value)
    database.prepare("INSERT INTO registers VALUES (1, ?, ?, ?)").run(registerIdOf(publicKey), sequence, value)
  }
  const bytes = [...shares.map((share) => share.bytes), ...registers].reduce((sum, one) => sum + one.length, 0)
  database.prepare("INSERT INTO tenants VALUES (1, 'local', ?, ?)").run(bytes, shares.length)
  database.exec("INSERT INTO meta VALUES ('clean', 1)")
  database.close()
}

async function oldBuckets(): Promise<Old & { readonly buckets: readonly MemoryBucket[] }> {
  const buckets = await Promise.all(
    [0, 1, 2, 3, 4].map(async (server) => {
      const bucket = new MemoryBucket()
      const { shares, registers } = heldBy(server)
      const set = (key: string, bytes: Uint8Array) => void bucket.objects.set(key, { bytes, modifiedMs: bucket.nowMs })
      set("holdfast-volume", utf8(`${volumeId}\n`))
      for (const { id, index, bytes } of shares) set(`shares/${id}.${String(index).padStart(3, "0")}`, bytes)
      for (const value of registers) {
        const { publicKey, sequence } = await decodeRegisterValue(crypto, value)
        const rest = (Number.MAX_SAFE_INTEGER - sequence).toString(16).padStart(14, "0")
        set(`registers/${toHex(registerIdOf(publicKey))}/${rest}`, value)
      }
      return bucket
    }),
  )
  const open = (bucket: MemoryBucket, id: string, access: Parameters<TestPlace["backendOf"]>[0]) =>
    createObjectBackend(bucket.connect(), { id, crypto, access, conditionalWrites: true })
  return {
    buckets,
    places: buckets.map((bucket, i) => ({
      id: `server-${i}`,
      backendOf: (access) => open(bucket, `server-${i}`, access),
    })),
    pass(ms) {
      for (const bucket of buckets) bucket.nowMs += ms
    },
    async dropLegacy() {
      for (const bucket of buckets)
        for (const key of bucket.keys(`marks/${toHex(legacyAccount)}/`)) bucket.objects.delete(key)
    },
  }
}

/** The same device over other places. */
function deviceOn({ profile, folder }: Device, { places }: Old): Device {
  return { profile, folder, open: () => openOver(profile, places) }
}

/** A device whose profile is from before there were accounts' lists. */
async function oldDevice(t: TestContext, old: Old, kind?: "s3"): Promise<Device> {
  const device = await createDevice(t, old.places, kind)
  await device.profile.setAlias("golden", writeCap, { volume: "disks" })
  return device
}

async function assertWhole(device: Device): Promise<void> {
  assert.deepEqual(inOrder(await findAll(nodeEnv, (await device.open()).store, readCap)), inOrder(expected))
}

async function upgradeAndCollect(device: Device, old: Old): Promise<void> {
  const planned = await upgradeAccount(await device.open(), { dryRun: true, ...quiet })
  assert.deepEqual([planned.listed, planned.claimed], [["golden"], ["golden"]])
  assert.equal(device.profile.aliasState("golden"), undefined, "a dry run lists nothing")
  const done = await upgradeAccount(await device.open(), { dryRun: false, ...quiet })
  assert.deepEqual([done.listed, [...done.leftOut], done.problems], [["golden"], [], []])
  assert.deepEqual(done.claimed, ["golden"])
  await assertOwned(device)
  assert.ok([...done.marked.values()].every((count) => count > 0))
  assert.deepEqual([...planned.marked].sort(), [...done.marked].sort())
  const again = await upgradeAccount(await device.open(), { dryRun: false, ...quiet })
  assert.deepEqual([[...again.marked.values()], again.claimed], [[0, 0, 0, 0, 0], []])
  await collectLegacy(device, old)
}

async function collectLegacy(device: Device, old: Old): Promise<void> {
  await old.dropLegacy()
  for (let run = 0; run < 4; run++) {
    old.pass(2 * dayMs)
    const session = await device.open()
    const { leftOut } = await collectAccount(session, { graceMs: 0, dryRun: false, keep: [], ...quiet })
    assert.deepEqual([...leftOut], [])
    for (const backend of session.backends) await backend.sweep?.()
  }
  await assertWhole(device)
  await assertHealthy(device)
}

/** The tree's values are of version 4 now, and name the key of this profile as their owner's. */
async function assertOwned({ open, profile }: Device): Promise<void> {
  const { backends } = await open()
  const { publicKey } = await keysOfCap(crypto, decodeCap(writeCap))
  const id = registerIdOf(publicKey)
  const owner = toHex(await crypto.publicKeyOf(await profile.ownerSeed(toHex(id))))
  const values = await Promise.all(backends.map(async (backend) => (await backend.readRegisters([id]))[0]!))
  const owners = await Promise.all(values.map(async (value) => (await decodeRegisterValue(crypto, value)).bound?.owner))
  assert.ok(owners.filter((one) => one && toHex(one) === owner).length >= 3)
}

/** Every chunk that the account holds has all of its shares. */
async function assertHealthy({ open }: Device): Promise<void> {
  const { store, backends } = await open()
  const ids = new Map((await backends[0]!.listMarks({ limit: 4096 })).map(({ id }) => [toHex(id), id]))
  assert.ok(ids.size > 10)
  for (const id of ids.values()) {
    const { goodShares, distinctServers, corrupt } = await store.checkChunk(id, { verify: true })
    assert.deepEqual([goodShares, distinctServers, corrupt], [5, 5, []])
  }
}

/** The places, which all die for good once so many requests changed something there. */
function dying(old: Old, changes: number): { readonly old: Old; died(): boolean } {
  let left = changes
  const step = () => {
    if (left-- <= 0) throw new Error("killed")
  }
  const places = old.places.map(({ id, backendOf }) => ({
    id,
    backendOf: (access: Parameters<TestPlace["backendOf"]>[0]) => {
      const backend = backendOf(access)
      const markShares: typeof backend.markShares = async (...args) => (step(), backend.markShares(...args))
      const proposeRegisters: typeof backend.proposeRegisters = async (...args) => (
        step(), backend.proposeRegisters(...args)
      )
      return { ...backend, markShares, proposeRegisters }
    },
  }))
  return { old: { ...old, places }, died: () => left < 0 }
}

test("an upgrade that is killed at any of its steps is gone on with, claims the trees once, and loses nothing", async (t) => {
  const old = await oldDirectories(t)
  let deaths = 0
  let device = await oldDevice(t, old)
  for (let changes = 0; ; changes += 2) {
    const mortal = dying(old, changes)
    device = await deviceOn(device, mortal.old)
    await upgradeAccount(await device.open(), { dryRun: false, ...quiet }).catch(() => undefined)
    if (!mortal.died()) break
    deaths++
    await assertWhole(await deviceOn(device, old))
  }
  assert.ok(deaths >= 5, `${deaths}`)
  device = await deviceOn(device, old)
  const again = await upgradeAccount(await device.open(), { dryRun: false, ...quiet })
  assert.deepEqual([again.claimed, [...again.marked.values()]], [[], [0, 0, 0, 0, 0]])
  await assertOwned(device)
  await collectLegacy(device, old)
})

test("without claims a tree gets no owner, and whoever claims it first stays its owner", async (t) => {
  const old = await oldDirectories(t)
  const [first, second] = [await oldDevice(t, old), await oldDevice(t, old)]
  const run = async (device: Device, claims: boolean) =>
    (await upgradeAccount(await device.open(), { dryRun: false, claims, ...quiet })).claimed
  assert.deepEqual(await run(first, false), [])
  assert.deepEqual(await run(second, true), ["golden"])
  assert.deepEqual(await run(first, true), [])
  await assertOwned(second)
  await assert.rejects(assertOwned(first))
})

test("after an upgrade a device that was away for more than 20 versions is shown that nothing was left out", async (t) => {
  const old = await oldDirectories(t)
  const [laptop, phone] = [await oldDevice(t, old), await oldDevice(t, old)]
  await upgradeAccount(await laptop.open(), { dryRun: false, ...quiet })
  await assertWhole(phone)
  const keys = await keysOfCap(crypto, decodeCap(writeCap))
  const { chunks, registers } = (await laptop.open()).store
  const tree = new Tree({ chunks, registers, env: nodeEnv, keys })
  for (let i = 0; i < 25; i++) await tree.snapshots.create(`later-${i}`)
  await assertWhole(phone)
  const { sequence } = (await (await phone.open()).store.registers.read(keys))!
  assert.ok(sequence > 25)
})

test("directories of version 1 open, are upgraded, and gc afterwards removes nothing that is needed", async (t) => {
  const old = await oldDirectories(t)
  const device = await oldDevice(t, old)
  await assertWhole(device)
  assert.deepEqual(await upgradePlaces(volumeOver(old.places), { dryRun: false }), [])
  await upgradeAndCollect(device, old)
})

test("buckets of version 1 open, are upgraded in two runs, and gc afterwards removes nothing that is needed", async (t) => {
  const old = await oldBuckets()
  const device = await oldDevice(t, old, "s3")
  await assertWhole(device)
  const volume = volumeOver(old.places, "s3")
  const bucketOf = ({ id }: { id: string }) => old.buckets[Number(id.at(-1))]!.connect()
  const run = (dryRun = false) => upgradePlaces(volume, { dryRun, bucketOf })
  const before = old.buckets.map((bucket) => bucket.keys().join())
  assert.ok((await run(true)).every(({ state, chunks }) => state === "waiting" && chunks > 0))
  const planned = await upgradeAccount(await device.open(), { dryRun: true, ...quiet })
  assert.ok([...planned.marked.values()].every((count) => count > 0))
  assert.deepEqual(
    old.buckets.map((bucket) => bucket.keys().join()),
    before,
    "a dry run writes nothing",
  )
  assert.ok((await run()).every(({ state, waitMs }) => state === "waiting" && waitMs === 3_600_000))
  old.pass(3_600_000)
  assert.ok((await run()).every(({ state, chunks }) => state === "done" && chunks > 0))
  assert.ok((await run()).every(({ state, chunks }) => state === "done" && chunks === 0))
  await upgradeAndCollect(device, old)
})

test("without an upgrade, a command that writes into buckets of version 1 says that it is needed", async (t) => {
  const old = await oldBuckets()
  const device = await oldDevice(t, old, "s3")
  const session = await device.open()
  const { syncAccount } = await import("../../client/src/account/sync.ts")
  await assert.rejects(syncAccount(session), /holdfast upgrade/)
})
