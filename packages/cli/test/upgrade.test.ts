/** The golden volume of format version 1, as an earlier version left it in directories and buckets, becomes an account's. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { openEngine } from "@holdfast/backends/node"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { fromHex, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { decodeRegisterValue, encodeCap, legacyAccount, registerIdOf, signStatement } from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { type Found, findAll } from "../../../e2e/golden.ts"
import { version1 } from "../../backends/src/directory/schema.ts"
import { MemoryBucket } from "../../backends/test/memory-bucket.ts"
import { collectAccount } from "../src/account/collect.ts"
import { upgradeAccount } from "../src/account/upgrade.ts"
import { upgradePlaces } from "../src/volumes/upgrade.ts"
import { createDevice, type Device, type TestPlace, volumeId, volumeOver } from "./devices.ts"

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
  assert.deepEqual(planned.listed, ["golden"])
  assert.equal(device.profile.aliasState("golden"), undefined, "a dry run lists nothing")
  const done = await upgradeAccount(await device.open(), { dryRun: false, ...quiet })
  assert.deepEqual([done.listed, [...done.leftOut], done.problems], [["golden"], [], []])
  assert.ok([...done.marked.values()].every((count) => count > 0))
  assert.deepEqual([...planned.marked].sort(), [...done.marked].sort())
  const again = await upgradeAccount(await device.open(), { dryRun: false, ...quiet })
  assert.deepEqual([...again.marked.values()], [0, 0, 0, 0, 0])
  await old.dropLegacy()
  for (let run = 0; run < 4; run++) {
    old.pass(2 * dayMs)
    const session = await device.open()
    const { leftOut } = await collectAccount(session, { graceMs: 0, dryRun: false, keep: [], ...quiet })
    assert.deepEqual([...leftOut], [])
    for (const backend of session.backends) await backend.sweep?.()
  }
  await assertWhole(device)
}

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
  const { syncAccount } = await import("../src/account/sync.ts")
  await assert.rejects(syncAccount(session), /holdfast upgrade/)
})
