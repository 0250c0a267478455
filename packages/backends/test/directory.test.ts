import assert from "node:assert/strict"
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it } from "node:test"
import { toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { accountRoles, type Backend, legacyAccount, registerIdOf, shareName, verifyShare } from "@holdfast/protocol"
import {
  backendContract,
  makeAccount,
  makeChunkOf,
  makeOrder,
  makeRegisterValue,
  newBatch,
  randomChunk,
  type TestAccount,
} from "@holdfast/protocol/testing"
import { type NamespaceOptions, openDirectoryBackend, openEngine } from "../src/directory/index.ts"
import { version1 } from "../src/directory/schema.ts"
import { batchBytes, leastGraceMs, markBytes, rowBytes } from "../src/index.ts"
import { opened, someone, temporary, tenantOf } from "./engine-fixture.ts"

backendContract("directory", () => directoryPlace({}), { limited: (quotaBytes) => directoryPlace({ quotaBytes }) })
backendContract("directory with a quota of accounts", () => directoryPlace({ accountQuotaBytes: 10 ** 9 }), {
  limited: (accountQuotaBytes) => directoryPlace({ accountQuotaBytes }),
})

backendContract("directory that several have open, of whom each caller is one", sharedPlace, {
  limited: (quotaBytes) => sharedPlace({ quotaBytes }),
})

/** As processes share it: each caller opens it anew, and no memory is common. */
async function sharedPlace(limits: { quotaBytes?: number } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  const time = movingClock()
  const open = new Set<Backend>()
  return {
    async backendOf(access: TestAccount) {
      const backend = await openDirectoryBackend({
        ...{ id: "d1", dir, crypto, clock: time.clock, reservedBytes: 0, access },
        ...limits,
      })
      open.add(backend)
      return backend
    },
    advance: time.advance,
    async close() {
      for (const backend of open) await backend.close()
      await rm(dir, { recursive: true })
    },
  }
}

async function directoryPlace(limits: NamespaceOptions) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  const time = movingClock()
  const engine = await openEngine({ dir, crypto, clock: time.clock, reservedBytes: 0 })
  const namespace = await engine.tenant("local", { placeId: "d1", ...limits })
  return {
    backendOf: async (account: TestAccount) => namespace.backendOf(account),
    advance: time.advance,
    async close() {
      await engine.close()
      await rm(dir, { recursive: true })
    },
  }
}

function movingClock() {
  let offsetMs = 0
  const advance = (ms: number) => {
    offsetMs += ms
  }
  return { clock: { ...clock, nowMs: () => clock.nowMs() + offsetMs }, advance }
}

async function filesUnder(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

it("keeps shares and registers over an orderly close", async (t) => {
  const dir = await temporary(t)
  const [small, large] = [await randomChunk(crypto, 100), await randomChunk(crypto, 200_000)]
  const seed = crypto.random(32)
  const value = await makeRegisterValue(crypto, seed, 1, "kept")
  const first = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  const before = await tenantOf(first, "alice")
  await before.putShares([small.shares[0]!, large.shares[0]!], newBatch(crypto))
  await before.proposeRegisters([value])
  const usage = await before.usage()
  await first.close()
  const second = await opened(t, dir)
  assert.equal(second.recovery, undefined)
  const after = await tenantOf(second, "alice")
  const got = await after.getShares([{ id: small.id }, { id: large.id }])
  assert.deepEqual(
    got.map((bytes) => Buffer.from(bytes!)),
    [small, large].map((chunk) => Buffer.from(chunk.shares[0]!)),
  )
  const [register] = await after.readRegisters([registerIdOf(await crypto.publicKeyOf(seed))])
  assert.deepEqual(Buffer.from(register!), Buffer.from(value))
  assert.equal((await after.usage()).usedBytes, usage.usedBytes)
})

it("keeps tenants apart: none sees what another holds", async (t) => {
  const engine = await opened(t, await temporary(t))
  const [alice, bob] = [await tenantOf(engine, "alice"), await tenantOf(engine, "../Bob %41/é")]
  const chunk = await randomChunk(crypto, 100_000)
  await alice.putShares([chunk.shares[0]!], newBatch(crypto))
  assert.deepEqual(await bob.hasShares([chunk.id]), [[]])
  assert.deepEqual(await bob.getShares([{ id: chunk.id }]), [undefined])
  assert.deepEqual(await bob.listMarks({ limit: 10 }), [])
  assert.deepEqual(await bob.putShares([chunk.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
  assert.deepEqual(await alice.hasShares([chunk.id]), [[0]])
  await verifyShare(crypto, (await alice.getShares([{ id: chunk.id }]))[0]!)
})

it("answers quota when a tenant's allowance is used up, also for shares put in parallel", async (t) => {
  const engine = await opened(t, await temporary(t))
  const chunks = await Promise.all(Array.from({ length: 6 }, () => randomChunk(crypto, 100_000)))
  const sizeBytes = chunks[0]!.shares[0]!.length
  const tenant = await tenantOf(engine, "alice", {
    quotaBytes: 2 * (sizeBytes + rowBytes + markBytes + batchBytes) + rowBytes + 10,
  })
  const outcomes = (
    await Promise.all(chunks.map((chunk) => tenant.putShares([chunk.shares[0]!], newBatch(crypto))))
  ).flat()
  assert.equal(outcomes.filter((outcome) => !outcome.ok && outcome.code === "quota").length, 4)
  assert.equal((await tenant.usage()).shareCount, 2)
  const other = await tenantOf(engine, "bob")
  assert.deepEqual(await other.putShares([chunks[5]!.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
})

it("answers full when only the reserved space is left, and goes on reading", async (t) => {
  const dir = await temporary(t)
  const held = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await tenantOf(engine, "alice")).putShares([held.shares[0]!], newBatch(crypto))
  await engine.close()
  const full = await tenantOf(await opened(t, dir, { reservedBytes: Number.MAX_SAFE_INTEGER }), "alice")
  for (const size of [100, 100_000]) {
    const [outcome] = await full.putShares([(await randomChunk(crypto, size)).shares[0]!], newBatch(crypto))
    assert.equal(outcome!.ok || outcome!.code, "full")
  }
  assert.equal((await full.usage()).availableBytes, 0)
  assert.ok((await full.getShares([{ id: held.id }]))[0])
})

it("names a chunk whose parity does not follow from its data, where enough shares lie together, and keeps it", async (t) => {
  const engine = await opened(t, await temporary(t))
  const tenant = (await engine.tenant("alice")).backendOf(await makeAccount(crypto))
  const coding = { k: 2, n: 4 }
  const payloads = (fill: number) => [1, 2, 3, 4].map((factor) => new Uint8Array(70_000).fill(fill * factor))
  const chunks = [
    await makeChunkOf(crypto, { ...coding, ciphertextBytes: 140_000 }, payloads(1)),
    await makeChunkOf(crypto, { ...coding, ciphertextBytes: 140_000 }, payloads(3)),
  ]
  const honest = await randomChunk(crypto, 70_000)
  await tenant.putShares([...chunks[0]!.shares.slice(1, 3), chunks[1]!.shares[0]!, honest.shares[1]!], newBatch(crypto))
  const report = await engine.scrub()
  assert.deepEqual(report.rot, [])
  assert.deepEqual(report.inconsistent, [{ tenant: "alice", chunk: toHex(chunks[0]!.id) }])
  assert.deepEqual(await tenant.hasShares([chunks[0]!.id]), [[1, 2]])
})

it("finds shares that rotted on the disk, moves them aside and takes good ones again", async (t) => {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const tenant = await tenantOf(engine, "alice")
  const chunks = await Promise.all([70_000, 80_000, 100].map((size) => randomChunk(crypto, size)))
  await tenant.putShares(
    chunks.map((chunk) => chunk.shares[0]!),
    newBatch(crypto),
  )
  assert.deepEqual((await engine.scrub()).rot, [])
  const [rotten, missing] = chunks.map((chunk) => shareName(chunk.id, 0))
  const files = await filesUnder(join(dir, "shares"))
  const rottenFile = files.find((file) => file.includes(rotten!))!
  const bytes = await readFile(rottenFile)
  bytes[60_000]! ^= 4
  await writeFile(rottenFile, bytes)
  await rm(files.find((file) => file.includes(missing!))!)
  const report = await engine.scrub()
  assert.equal(report.shares, 3)
  assert.deepEqual(
    report.rot.map(({ tenant: name, share }) => `${name} ${share}`).sort(),
    [rotten, missing].map((share) => `alice ${share}`).sort(),
  )
  assert.equal(report.rot.find(({ share }) => share === missing)?.why, "it is missing") // the disk did not fail
  assert.deepEqual(await tenant.hasShares(chunks.map((chunk) => chunk.id)), [[], [], [0]])
  assert.deepEqual(
    (await filesUnder(join(dir, "quarantine"))).map((file) => file.includes(rotten!)),
    [true],
  )
  await tenant.putShares(
    chunks.map((chunk) => chunk.shares[0]!),
    newBatch(crypto),
  )
  assert.deepEqual((await engine.scrub()).rot, [])
})

it("replaces a corrupt share by the good one that is put over it", async (t) => {
  const dir = await temporary(t)
  const tenant = await tenantOf(await opened(t, dir), "alice")
  const chunk = await randomChunk(crypto, 100_000)
  await tenant.putShares([chunk.shares[0]!], newBatch(crypto))
  const [file] = await filesUnder(join(dir, "shares"))
  await writeFile(file!, "rubbish")
  assert.deepEqual(await tenant.putShares([chunk.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
  await verifyShare(crypto, (await tenant.getShares([{ id: chunk.id }]))[0]!)
  assert.equal((await filesUnder(join(dir, "shares"))).length, 1)
  assert.equal((await tenant.usage()).shareCount, 1)
})

it("takes in good files that no row names after a crash and removes the rest", async (t) => {
  const dir = await temporary(t)
  const chunk = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await tenantOf(engine, "alice")).putShares([chunk.shares[0]!], newBatch(crypto))
  await engine.close()
  const [file] = await filesUnder(join(dir, "shares"))
  await rm(join(dir, "index.sqlite")) // the worst crash: the index is gone
  await writeFile(file!.replace(/[0-9a-f]{8}$/, "00000000"), (await readFile(file!)).subarray(0, 50_000))
  const recovered = await opened(t, dir)
  assert.deepEqual(recovered.recovery, { adopted: 1, removed: 1, left: 0 })
  assert.deepEqual(await (await tenantOf(recovered, "alice")).hasShares([chunk.id]), [[0]])
  assert.deepEqual(await filesUnder(join(dir, "shares")), [file])
})

it("starts although a file that no row names cannot be read, and sets that aside", async (t) => {
  const dir = await temporary(t)
  const chunk = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await tenantOf(engine, "alice")).putShares(chunk.shares.slice(0, 2), newBatch(crypto))
  await engine.close()
  await rm(join(dir, "index.sqlite"))
  const [bad, good] = await filesUnder(join(dir, "shares"))
  await truncate(bad!, 1 << 30) // reading it fails as a bad sector does
  const recovered = await opened(t, dir)
  assert.deepEqual(recovered.recovery, { adopted: 1, removed: 0, left: 0 })
  assert.deepEqual(await filesUnder(join(dir, "shares")), [good])
  assert.deepEqual(await readdir(join(dir, "quarantine", "alice")), [basename(bad!)])
})

it("refuses to open a directory that is open already", async (t) => {
  const dir = await temporary(t)
  await opened(t, dir)
  await assert.rejects(openEngine({ dir, crypto, clock }), { code: "ERR_IO" })
})

it("is a backend of its own, whose shares nobody can take away when no account is given", async (t) => {
  const dir = await temporary(t)
  const time = movingClock()
  const backend = await openDirectoryBackend({ id: "d1", dir, crypto, clock: time.clock, reservedBytes: 0 })
  t.after(() => backend.close())
  const chunk = await randomChunk(crypto, 300)
  await backend.putShares([chunk.shares[0]!], newBatch(crypto))
  time.advance(365 * 86_400_000)
  const { seed } = await makeAccount(crypto)
  const order = await makeOrder(crypto, backend, { seed, token: new Uint8Array(24), chunks: [chunk.id] })
  await assert.rejects(backend.unmark(order), { code: "ERR_REFUSED" })
  assert.deepEqual(await backend.hasShares([chunk.id]), [[0]])
})

it("keeps marks and stamps over a restart, after which earlier tokens are refused, whatever the clock did", async (t) => {
  const dir = await temporary(t)
  const time = movingClock()
  const account = await makeAccount(crypto)
  const chunk = await randomChunk(crypto, 100_000)
  const first = await openEngine({ dir, crypto, clock: time.clock, reservedBytes: 0, graceMs: 0 })
  const before = (await first.tenant("alice")).backendOf(account)
  await before.putShares([chunk.shares[0]!], newBatch(crypto))
  const old = await makeOrder(crypto, before, { seed: account.seed, chunks: [chunk.id] })
  await first.close()
  time.advance(-3 * leastGraceMs)
  const second = await opened(t, dir, { clock: time.clock, graceMs: 0 })
  const after = (await second.tenant("alice")).backendOf(account)
  await assert.rejects(after.unmark(old), { code: "ERR_REFUSED", message: /last start/ })
  const unmark = async () => after.unmark(await makeOrder(crypto, after, { seed: account.seed, chunks: [chunk.id] }))
  time.advance(2 * leastGraceMs)
  assert.equal((await unmark()).young, 1, "the clock has not passed the mark yet")
  time.advance(2 * leastGraceMs)
  assert.equal((await unmark()).shares, 1)
  assert.deepEqual(await filesUnder(join(dir, "shares")), [])
})

it("lets no command vouch for a share that rotted since it was marked", async (t) => {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const tenant = await tenantOf(engine, "alice")
  const chunk = await randomChunk(crypto, 100_000)
  const options = newBatch(crypto)
  await tenant.putShares([chunk.shares[0]!], options)
  const [file] = await filesUnder(join(dir, "shares"))
  await writeFile(file!, "rubbish")
  assert.equal((await engine.scrub()).rot.length, 1)
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "root")
  const [outcome] = await tenant.proposeRegisters([value], options)
  assert.equal(!outcome!.accepted && outcome!.marksGone, true)
  assert.equal((await tenant.usage()).usedBytes, 0)
})

it("charges registers and rows, so that neither fills the disk for nothing", async (t) => {
  const engine = await opened(t, await temporary(t))
  const tenant = await tenantOf(engine, "alice", { quotaBytes: 10_000 })
  let accepted = 0
  for (;;) {
    const value = await makeRegisterValue(crypto, crypto.random(32), 1, "junk")
    if (!(await tenant.proposeRegisters([value]))[0]!.accepted) break
    accepted++
  }
  assert.ok(accepted < 10_000 / (rowBytes + markBytes), `${accepted} registers within 10,000 bytes`)
})

it("takes over a directory of version 1: all of it is held for the account that nobody is", async (t) => {
  const dir = await temporary(t)
  const chunks = await Promise.all([300, 400].map((size) => randomChunk(crypto, size)))
  const seed = crypto.random(32)
  const value = await makeRegisterValue(crypto, seed, 4, "old")
  const database = new DatabaseSync(join(dir, "index.sqlite"))
  database.exec(version1)
  for (const [i, chunk] of chunks.entries()) {
    const bytes = chunk.shares[0]!
    database.prepare("INSERT INTO shares VALUES (?, 1, ?, 0, ?, 7, NULL)").run(i + 1, chunk.id, bytes.length)
    database.prepare("INSERT INTO small VALUES (?, ?)").run(i + 1, bytes)
  }
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  database.prepare("INSERT INTO registers VALUES (1, ?, 4, ?)").run(id, value)
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.shares[0]!.length, value.length)
  database.prepare("INSERT INTO tenants VALUES (1, 'alice', ?, 2)").run(bytes)
  database.exec("INSERT INTO meta VALUES ('clean', 1)")
  database.close()
  const engine = await opened(t, dir)
  const namespace = await engine.tenant("alice")
  const mine = namespace.backendOf(someone)
  const legacy = namespace.backendOf({ account: legacyAccount, roles: accountRoles })
  assert.equal((await mine.getShares(chunks.map((chunk) => ({ id: chunk.id })))).filter(Boolean).length, 2)
  assert.deepEqual(await mine.listMarks({ limit: 9 }), [])
  assert.equal((await legacy.listMarks({ limit: 9 })).length, 2)
  assert.equal((await legacy.usage()).usedBytes, bytes + 3 * (rowBytes + markBytes))
  await mine.proposeRegisters([await makeRegisterValue(crypto, seed, 5, "new")])
  assert.deepEqual(
    (await legacy.keptValues(id)).map(({ sequence }) => sequence),
    [5],
  )
  assert.deepEqual(await mine.putShares([chunks[0]!.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
  assert.equal((await engine.scrub()).rot.length, 0)
})

it("forgets batches that hold nothing after a year, but never an account's last 65,536", async (t) => {
  const dir = await temporary(t)
  const first = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await tenantOf(first, "alice")).putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  await first.close()
  const counted = (change: string) => {
    const database = new DatabaseSync(join(dir, "index.sqlite"))
    database.exec(change)
    const { n } = database.prepare("SELECT count(*) AS n FROM batches").get() as { n: number }
    database.close()
    return n
  }
  const before = counted(
    `UPDATE batches SET stamp = 0; INSERT INTO batches (payer, token, stamp)
     WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 65540) SELECT 1, CAST(printf('%016d', i) AS BLOB), 0 FROM c`,
  )
  assert.equal(before, 65_541)
  await (await openEngine({ dir, crypto, clock, reservedBytes: 0 })).close()
  assert.equal(counted(""), 65_537, "the last ones, and the one that holds something")
})
