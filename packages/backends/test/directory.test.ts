import assert from "node:assert/strict"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { it, type TestContext } from "node:test"
import { toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf, shareName, verifyShare } from "@holdfast/protocol"
import { backendContract, makeChunkOf, makeRegisterValue, randomChunk } from "@holdfast/protocol/testing"
import { type EngineOptions, openDirectoryBackend, openEngine } from "../src/node/index.ts"

backendContract("directory", async () => {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  const backend = await openDirectoryBackend({ id: "d1", dir, crypto, clock, reservedBytes: 0 })
  return {
    ...backend,
    async close() {
      await backend.close()
      await rm(dir, { recursive: true })
    },
  }
})

async function temporary(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

async function opened(t: TestContext, dir: string, options: Partial<EngineOptions> = {}) {
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0, ...options })
  t.after(() => engine.close())
  return engine
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
  const before = await first.tenant("alice")
  await before.putShares([small.shares[0]!, large.shares[0]!])
  await before.proposeRegisters([value])
  const usage = await before.usage()
  await first.close()
  const second = await opened(t, dir)
  assert.equal(second.recovery, undefined)
  const after = await second.tenant("alice")
  const got = await after.getShares([{ id: small.id }, { id: large.id }])
  assert.deepEqual(
    got.map((bytes) => Buffer.from(bytes!)),
    [small, large].map((chunk) => Buffer.from(chunk.shares[0]!)),
  )
  const [register] = await after.readRegisters([registerIdOf(await crypto.publicKeyOf(seed))])
  assert.deepEqual(Buffer.from(register!), Buffer.from(value))
  assert.equal((await after.usage()).usedBytes, usage.usedBytes)
})

it("keeps tenants apart: none sees or removes what another holds", async (t) => {
  const engine = await opened(t, await temporary(t))
  const [alice, bob] = [await engine.tenant("alice"), await engine.tenant("../Bob %41/é")]
  const chunk = await randomChunk(crypto, 100_000)
  await alice.putShares([chunk.shares[0]!])
  assert.deepEqual(await bob.hasShares([chunk.id]), [[]])
  assert.deepEqual(await bob.getShares([{ id: chunk.id }]), [undefined])
  assert.deepEqual(await bob.listShares({ limit: 10 }), [])
  assert.deepEqual(await bob.putShares([chunk.shares[0]!]), [{ ok: true, existed: false }])
  await bob.removeShares([{ id: chunk.id }])
  assert.deepEqual(await alice.hasShares([chunk.id]), [[0]])
  await verifyShare(crypto, (await alice.getShares([{ id: chunk.id }]))[0]!)
})

it("answers quota when a tenant's allowance is used up, also for shares put in parallel", async (t) => {
  const engine = await opened(t, await temporary(t))
  const chunks = await Promise.all(Array.from({ length: 6 }, () => randomChunk(crypto, 100_000)))
  const sizeBytes = chunks[0]!.shares[0]!.length
  const tenant = await engine.tenant("alice", { quotaBytes: 2 * sizeBytes + 10 })
  const outcomes = (await Promise.all(chunks.map((chunk) => tenant.putShares([chunk.shares[0]!])))).flat()
  assert.equal(outcomes.filter((outcome) => !outcome.ok && outcome.code === "quota").length, 4)
  assert.equal((await tenant.usage()).shareCount, 2)
  const other = await engine.tenant("bob")
  assert.deepEqual(await other.putShares([chunks[5]!.shares[0]!]), [{ ok: true, existed: false }])
})

it("answers full when only the reserved space is left, and goes on reading and removing", async (t) => {
  const dir = await temporary(t)
  const held = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await engine.tenant("alice")).putShares([held.shares[0]!])
  await engine.close()
  const full = await (await opened(t, dir, { reservedBytes: Number.MAX_SAFE_INTEGER })).tenant("alice")
  for (const size of [100, 100_000]) {
    const [outcome] = await full.putShares([(await randomChunk(crypto, size)).shares[0]!])
    assert.equal(outcome!.ok || outcome!.code, "full")
  }
  assert.equal((await full.usage()).availableBytes, 0)
  assert.ok((await full.getShares([{ id: held.id }]))[0])
  await full.removeShares([{ id: held.id }])
  assert.deepEqual(await full.hasShares([held.id]), [[]])
})

it("names a chunk whose parity does not follow from its data, where enough shares lie together, and keeps it", async (t) => {
  const engine = await opened(t, await temporary(t))
  const tenant = await engine.tenant("alice")
  const coding = { k: 2, n: 4 }
  const payloads = (fill: number) => [1, 2, 3, 4].map((factor) => new Uint8Array(70_000).fill(fill * factor))
  const chunks = [
    await makeChunkOf(crypto, { ...coding, ciphertextBytes: 140_000 }, payloads(1)),
    await makeChunkOf(crypto, { ...coding, ciphertextBytes: 140_000 }, payloads(3)),
  ]
  const honest = await randomChunk(crypto, 70_000)
  await tenant.putShares([...chunks[0]!.shares.slice(1, 3), chunks[1]!.shares[0]!, honest.shares[1]!])
  const report = await engine.scrub()
  assert.deepEqual(report.rot, [])
  assert.deepEqual(report.inconsistent, [{ tenant: "alice", chunk: toHex(chunks[0]!.id) }])
  assert.deepEqual(await tenant.hasShares([chunks[0]!.id]), [[1, 2]])
})

it("finds shares that rotted on the disk, moves them aside and takes good ones again", async (t) => {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const tenant = await engine.tenant("alice")
  const chunks = await Promise.all([70_000, 80_000, 100].map((size) => randomChunk(crypto, size)))
  await tenant.putShares(chunks.map((chunk) => chunk.shares[0]!))
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
  assert.deepEqual(await tenant.hasShares(chunks.map((chunk) => chunk.id)), [[], [], [0]])
  assert.deepEqual(
    (await filesUnder(join(dir, "quarantine"))).map((file) => file.includes(rotten!)),
    [true],
  )
  await tenant.putShares(chunks.map((chunk) => chunk.shares[0]!))
  assert.deepEqual((await engine.scrub()).rot, [])
})

it("replaces a corrupt share by the good one that is put over it", async (t) => {
  const dir = await temporary(t)
  const tenant = await (await opened(t, dir)).tenant("alice")
  const chunk = await randomChunk(crypto, 100_000)
  await tenant.putShares([chunk.shares[0]!])
  const [file] = await filesUnder(join(dir, "shares"))
  await writeFile(file!, "rubbish")
  assert.deepEqual(await tenant.putShares([chunk.shares[0]!]), [{ ok: true, existed: false }])
  await verifyShare(crypto, (await tenant.getShares([{ id: chunk.id }]))[0]!)
  assert.equal((await filesUnder(join(dir, "shares"))).length, 1)
  assert.equal((await tenant.usage()).shareCount, 1)
})

it("takes in good files that no row names after a crash and removes the rest", async (t) => {
  const dir = await temporary(t)
  const chunk = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await engine.tenant("alice")).putShares([chunk.shares[0]!])
  await engine.close()
  const [file] = await filesUnder(join(dir, "shares"))
  await rm(join(dir, "index.sqlite")) // the worst crash: the index is gone
  await writeFile(file!.replace(/[0-9a-f]{8}$/, "00000000"), (await readFile(file!)).subarray(0, 50_000))
  const recovered = await opened(t, dir)
  assert.deepEqual(recovered.recovery, { adopted: 1, removed: 1 })
  assert.deepEqual(await (await recovered.tenant("alice")).hasShares([chunk.id]), [[0]])
  assert.deepEqual(await filesUnder(join(dir, "shares")), [file])
})

it("starts although a file that no row names cannot be read, and sets that aside", async (t) => {
  const dir = await temporary(t)
  const chunk = await randomChunk(crypto, 100_000)
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0 })
  await (await engine.tenant("alice")).putShares(chunk.shares.slice(0, 2))
  await engine.close()
  await rm(join(dir, "index.sqlite"))
  const [bad, good] = await filesUnder(join(dir, "shares"))
  await rm(bad!)
  await mkdir(bad!) // reading it fails as a bad sector does
  const recovered = await opened(t, dir)
  assert.deepEqual(recovered.recovery, { adopted: 1, removed: 0 })
  assert.deepEqual(await filesUnder(join(dir, "shares")), [good])
  assert.deepEqual(await readdir(join(dir, "quarantine", "alice")), [basename(bad!)])
})

it("refuses to open a directory that is open already", async (t) => {
  const dir = await temporary(t)
  await opened(t, dir)
  await assert.rejects(openEngine({ dir, crypto, clock }), { code: "ERR_IO" })
})
