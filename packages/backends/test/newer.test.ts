/** After a downgrade: shares and values that a later version wrote are told, and are neither rot nor what a crash left. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { isNewerShare, isNewerValue, registerIdOf, shareName } from "@holdfast/protocol"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { registerKey } from "../src/s3/keys.ts"
import { newBucket, newRegister } from "./bucket-fixture.ts"
import { opened, temporary, tenantOf } from "./engine-fixture.ts"

/** A share as a later version might begin it. */
function laterShare(sizeBytes: number): Uint8Array {
  const later = randomBytes(sizeBytes)
  later.set([0x48, 0x46, 0x53, 3])
  return later
}

/** A value as a later version might begin it: an array with a number above those known. */
function laterValue(sizeBytes: number, version: readonly number[] = [5]): Uint8Array {
  return Uint8Array.from([0x8c, ...version, ...randomBytes(sizeBytes)])
}

function alter(dir: string, change: (index: DatabaseSync) => void): void {
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  change(index)
  index.close()
}

/** A directory with a small share, a large one and a register, closed. */
async function filled(t: TestContext) {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const tenant = await tenantOf(engine, "alice")
  const [small, large] = [await randomChunk(crypto, 300), await randomChunk(crypto, 100_000)]
  await tenant.putShares([small.shares[0]!, large.shares[0]!], newBatch(crypto))
  const seed = crypto.random(32)
  await tenant.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "root")])
  await engine.close()
  const part = join(dir, "shares/alice", fs.readdirSync(join(dir, "shares/alice"))[0]!)
  const register = registerIdOf(await crypto.publicKeyOf(seed))
  return { dir, small, large, register, file: join(part, fs.readdirSync(part)[0]!) }
}

for (const [what, largeBytes, smallBytes, valueBytes] of [
  ["of usual sizes", 100_200, 500, 300],
  ["larger than anything of this version", 2 ** 25, 2 ** 20, 2 ** 18],
] as const)
  it(`a scrub tells of what a later version wrote, ${what}, and leaves it`, async (t) => {
    const { dir, small, large, register, file } = await filled(t)
    fs.writeFileSync(file, laterShare(largeBytes))
    const share = laterShare(smallBytes)
    alter(dir, (index) => {
      index.prepare("UPDATE small SET bytes = ?").run(share)
      index.prepare("UPDATE registers SET value = ?").run(laterValue(valueBytes))
    })
    const engine = await opened(t, dir)
    for (let time = 0; time < 2; time++) {
      const report = await engine.scrub()
      assert.deepEqual(report.rot, [])
      assert.deepEqual(
        report.newer.map((found) => found.share).sort(),
        [shareName(small.id, 0), shareName(large.id, 0), `register.${toHex(register)}`].sort(),
      )
    }
    assert.deepEqual(await (await tenantOf(engine, "alice")).hasShares([small.id, large.id]), [[0], [0]])
    assert.ok(fs.existsSync(file) && !fs.existsSync(join(dir, "quarantine")))
  })

it("what is too large for this version and does not begin as a later one's is rot", async (t) => {
  const { dir, register, file } = await filled(t)
  fs.writeFileSync(file, new Uint8Array(2 ** 25).fill(1))
  const tooLarge = (sizeBytes: number) => new Uint8Array(sizeBytes).fill(1)
  alter(dir, (index) => {
    index.prepare("UPDATE small SET bytes = ?").run(tooLarge(2 ** 20))
    index.prepare("UPDATE registers SET value = ?").run(tooLarge(2 ** 18))
  })
  const engine = await opened(t, dir)
  const report = await engine.scrub()
  assert.deepEqual([report.rot.length, report.newer], [3, []])
  assert.ok(report.rot.some(({ share }) => share.includes(toHex(register))))
})

it("a value of usual size whose version rotted is rot in a directory, though its beginning alone might be a later one's", async (t) => {
  const { dir } = await filled(t)
  alter(dir, (index) => {
    const { value } = index.prepare("SELECT value FROM registers").get() as { value: Uint8Array }
    const rotten = Uint8Array.from(value)
    rotten[1]! ^= 0x10
    index.prepare("UPDATE registers SET value = ?").run(rotten)
  })
  const report = await (await opened(t, dir)).scrub()
  assert.deepEqual([report.rot.length, report.newer], [1, []])
})

it("a version number that rotted is rot, wherever it stands", async (t) => {
  const { dir, small, large, file } = await filled(t)
  for (const [at, share] of [
    [3, small.shares[0]!],
    [8, large.shares[0]!],
  ] as const) {
    const rotten = share.slice()
    rotten[at]! ^= 0x10
    assert.equal(await isNewerShare(crypto, rotten), false)
    if (share === large.shares[0]) fs.writeFileSync(file, rotten)
    else alter(dir, (index) => index.prepare("UPDATE small SET bytes = ?").run(rotten))
  }
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "root")
  const rotten = value.slice()
  rotten[1]! ^= 0x10
  assert.deepEqual([await isNewerValue(crypto, rotten), await isNewerValue(crypto, value)], [false, false])
  const engine = await opened(t, dir)
  const report = await engine.scrub()
  assert.deepEqual([report.rot.length, report.newer], [2, []])
})

it("numbers of versions that take several bytes are later ones too, and what is no share or value at all is none", async () => {
  for (const version of [[5], [23], [0x18, 24], [0x19, 1, 0]])
    assert.ok(await isNewerValue(crypto, laterValue(100, version)))
  for (const bytes of [
    new Uint8Array(),
    crypto.random(0),
    Uint8Array.from([0x80]),
    Uint8Array.from([0x81, 0x61, 0x61]),
    Uint8Array.from([0x44, 5, 5, 5, 5]),
  ])
    assert.equal(await isNewerValue(crypto, bytes), false)
  for (const bytes of [new Uint8Array(), Uint8Array.from([0x48, 0x46, 0x53]), crypto.random(100).fill(0)])
    assert.equal(await isNewerShare(crypto, bytes), false)
})

for (const sizeBytes of [100_200, 2 ** 25])
  it(`a start after a crash leaves files of ${sizeBytes} bytes that a later version wrote, and looks again at the next`, async (t) => {
    const { dir, large, file } = await filled(t)
    fs.rmSync(join(dir, "index.sqlite"))
    const good = fs.readFileSync(file)
    fs.writeFileSync(file, laterShare(sizeBytes))
    for (let time = 0; time < 2; time++) {
      const engine = await opened(t, dir)
      assert.deepEqual(engine.recovery, { adopted: 0, removed: 0, left: 1 })
      await engine.close()
      assert.ok(fs.existsSync(file))
    }
    fs.writeFileSync(file, good) // what a version would take in that can read it
    const engine = await opened(t, dir)
    assert.deepEqual(engine.recovery, { adopted: 1, removed: 0, left: 0 })
    assert.deepEqual(await (await tenantOf(engine, "alice")).hasShares([large.id]), [[0]])
  })

for (const conditionalWrites of [true, false])
  for (const [what, at] of [
    ["under the number of the next", 2],
    ["above it", 3],
  ] as const)
    it(`a bucket's value of a later version, ${what}${conditionalWrites ? "" : ", without conditional writes"}, is not passed over, written over or removed`, async () => {
      const { open, bucket, lay } = newBucket()
      const backend = await open({ conditionalWrites })
      const register = await newRegister()
      await backend.proposeRegisters([await register.value(1)])
      const key = registerKey(register.id, at)
      const later = laterValue(300)
      lay(key, later)
      const before = [...bucket.objects.keys()].filter((name) => name.startsWith("registers/"))
      const refused = { code: "ERR_UNSUPPORTED_VERSION" }
      await assert.rejects(backend.readRegisters([register.id]), refused)
      await assert.rejects(backend.keptValues(register.id), refused)
      await assert.rejects(backend.proposeRegisters([await register.value(2)]), refused)
      assert.deepEqual(Buffer.from(bucket.objects.get(key)!.bytes), Buffer.from(later))
      const after = [...bucket.objects.keys()].filter((name) => name.startsWith("registers/"))
      assert.deepEqual(after.sort(), before.sort())
    })

it("a bucket's value whose version rotted is passed over, and written over", async () => {
  const { open, lay } = newBucket()
  const backend = await open({ conditionalWrites: true })
  const register = await newRegister()
  const [first, second] = [await register.value(1), await register.value(2)]
  await backend.proposeRegisters([first])
  const rotten = Uint8Array.from(second)
  rotten[1]! ^= 0x10
  lay(registerKey(register.id, 2), rotten)
  assert.deepEqual(Buffer.from((await backend.readRegisters([register.id]))[0]!), Buffer.from(first))
  assert.equal((await backend.proposeRegisters([second]))[0]?.accepted, true)
})
