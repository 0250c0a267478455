/** A scrub believes no row of the index: neither which share or register it is, nor its number. */
import assert from "node:assert/strict"
import { readdir, truncate } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf, shareName } from "@holdfast/protocol"
import { makeAccount, makeOrder, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { opened, temporary, tenantOf } from "./engine-fixture.ts"

it("sets aside registers whose value has another number, is of another key, or of another signature than the row says", async (t) => {
  const dir = await temporary(t)
  const before = await opened(t, dir)
  const writer = await tenantOf(before, "alice")
  const seeds = Array.from({ length: 4 }, () => crypto.random(32))
  const ids = await Promise.all(seeds.map(async (seed) => registerIdOf(await crypto.publicKeyOf(seed))))
  const values = await Promise.all(seeds.map((seed) => makeRegisterValue(crypto, seed, 1, "root")))
  const outcomes = await writer.proposeRegisters(values)
  assert.ok(outcomes.every(({ accepted }) => accepted))
  const clean = await before.scrub()
  assert.deepEqual([clean.registers, clean.rot], [4, []])
  const damaged = values[3]!.slice()
  damaged[damaged.length - 1]! ^= 1
  await before.close()
  alter(dir, (database) => {
    database.prepare("UPDATE registers SET sequence = 9 WHERE register = ?").run(ids[1]!)
    database.prepare("UPDATE registers SET value = ? WHERE register = ?").run(values[0]!, ids[2]!)
    database.prepare("UPDATE registers SET value = ? WHERE register = ?").run(damaged, ids[3]!)
  })
  const engine = await opened(t, dir)
  const tenant = await tenantOf(engine, "alice")
  const { rot } = await engine.scrub()
  const wrong = ids.slice(1).map((id) => `register.${toHex(id)}`)
  assert.deepEqual(rot.map(({ share }) => share).sort(), wrong.sort())
  assert.deepEqual((await tenant.readRegisters(ids)).map(plain), [values[0], undefined, undefined, undefined])
  assert.deepEqual((await engine.scrub()).rot, [])
})

it("sets aside shares that are those of another chunk, or others of the same one, than the row says", async (t) => {
  const dir = await temporary(t)
  const before = await opened(t, dir)
  const writer = await tenantOf(before, "alice")
  const [one, two] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
  await writer.putShares([one.shares[0]!, two.shares[0]!], newBatch(crypto))
  await before.close()
  alter(dir, (database) => {
    database.prepare("UPDATE shares SET chunk = ? WHERE chunk = ?").run(new Uint8Array(32).fill(1), one.id)
    database.prepare("UPDATE shares SET idx = 1 WHERE chunk = ?").run(two.id)
  })
  const engine = await opened(t, dir)
  const tenant = await tenantOf(engine, "alice")
  const { rot } = await engine.scrub()
  const names = [shareName(new Uint8Array(32).fill(1), 0), shareName(two.id, 1)]
  assert.deepEqual(rot.map(({ share }) => share).sort(), names.sort())
  assert.deepEqual(await tenant.hasShares([one.id, two.id]), [[], []])
})

/** An engine whose scrub is interrupted once, when it has read a file, or is about to hash a share or to check a signature. */
async function interruptible(t: TestContext) {
  const dir = await temporary(t)
  const account = await makeAccount(crypto)
  const time = { aheadMs: 0 }
  let next: (() => Promise<void>) | undefined
  const interrupt = async () => {
    const work = next
    next = undefined
    await work?.()
  }
  const disk = createNodeDisk(dir)
  const options = {
    clock: { ...clock, nowMs: () => clock.nowMs() + time.aheadMs },
    disk: {
      ...disk,
      readFile: async (...args: Parameters<typeof disk.readFile>) => disk.readFile(...args).finally(interrupt),
    },
    crypto: {
      ...crypto,
      sha256: (...parts: Uint8Array[]) => interrupt().then(() => crypto.sha256(...parts)),
      verify: (key: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
        interrupt().then(() => crypto.verify(key, message, signature)),
    },
  }
  const open = async () => {
    const engine = await opened(t, dir, options)
    const tenant = (await engine.tenant("alice", { placeId: "d1" })).backendOf(account)
    const unmark = async (what: { chunks?: Uint8Array[]; registers?: Uint8Array[] }) => {
      time.aheadMs += 25 * 3_600_000
      return tenant.unmark(await makeOrder(crypto, tenant, { seed: account.seed, ...what }))
    }
    const scrub = async (meanwhile: () => Promise<unknown>) => {
      next = async () => void (await meanwhile())
      const { rot } = await engine.scrub()
      assert.equal(next, undefined)
      return rot
    }
    return { tenant, unmark, scrub, close: () => engine.close() }
  }
  return { dir, open }
}

for (const sizeBytes of [300, 200_000])
  for (const what of ["repaired", "removed and stored again", "removed"])
    it(`a share of ${sizeBytes} bytes that was ${what} while its rotten bytes were read is left as it is`, async (t) => {
      const { dir, open } = await interruptible(t)
      const before = await open()
      const { id, shares } = await randomChunk(crypto, sizeBytes)
      await before.tenant.putShares([shares[0]!], newBatch(crypto))
      await before.close()
      alter(dir, (database) => void database.prepare("UPDATE small SET bytes = ?").run(shares[1]!))
      for (const name of await readdir(dir, { recursive: true }))
        if (name.includes(toHex(id))) await truncate(join(dir, name), 1000)
      const { tenant, scrub, unmark } = await open()
      const rot = await scrub(async () => {
        if (what.startsWith("removed")) assert.equal((await unmark({ chunks: [id] })).shares, 1)
        if (what === "removed") return
        assert.deepEqual(await tenant.putShares([shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
      })
      assert.deepEqual(rot, [])
      assert.deepEqual((await tenant.getShares([{ id }])).map(plain), [what === "removed" ? undefined : shares[0]!])
      assert.deepEqual(await tenant.hasShares([id]), [what === "removed" ? [] : [0]])
    })

for (const isRemoved of [false, true])
  it(`a register that ${isRemoved ? "went" : "got another value"} while its rotten one was checked is left as it is`, async (t) => {
    const { dir, open } = await interruptible(t)
    const before = await open()
    const seed = crypto.random(32)
    const id = registerIdOf(await crypto.publicKeyOf(seed))
    const [one, two] = await Promise.all([1, 2].map((number) => makeRegisterValue(crypto, seed, number, "root")))
    await before.tenant.proposeRegisters([one!])
    await before.close()
    alter(dir, (database) => database.exec("UPDATE registers SET sequence = 9"))
    const { tenant, scrub, unmark } = await open()
    const rot = await scrub(async () => {
      if (isRemoved) assert.equal((await unmark({ registers: [id] })).marks, 1)
      else assert.equal((await tenant.proposeRegisters([two!]))[0]!.accepted, true)
    })
    assert.deepEqual(rot, [])
    assert.deepEqual((await tenant.readRegisters([id])).map(plain), [isRemoved ? undefined : two])
  })

it("what rotted is set aside, whatever its size, and what is good stays", async (t) => {
  const { dir, open } = await interruptible(t)
  const before = await open()
  const chunks = await Promise.all([300, 200_000, 400, 300_000].map((sizeBytes) => randomChunk(crypto, sizeBytes)))
  const ids = chunks.map(({ id }) => id)
  await before.tenant.putShares(
    chunks.map(({ shares }) => shares[0]!),
    newBatch(crypto),
  )
  assert.deepEqual(await before.scrub(async () => undefined), [])
  assert.deepEqual(await before.tenant.hasShares(ids), [[0], [0], [0], [0]])
  await before.close()
  const rotten = chunks[0]!.shares[0]!.map((byte, i) => (i === 200 ? byte ^ 1 : byte))
  alter(dir, (database) => {
    const row = "row = (SELECT row FROM shares WHERE chunk = ?)"
    database.prepare(`UPDATE small SET bytes = ? WHERE ${row}`).run(rotten, ids[0]!)
  })
  for (const name of await readdir(dir, { recursive: true }))
    if (name.includes(toHex(ids[1]!))) await truncate(join(dir, name), 1000)
  const { tenant, scrub } = await open()
  assert.equal((await scrub(async () => undefined)).length, 2)
  assert.deepEqual(await tenant.hasShares(ids), [[], [], [0], [0]])
})

it("a share that cannot be read just now is reported and stays; one that the disk gives no more is set aside", async (t) => {
  const dir = await temporary(t)
  const disk = createNodeDisk(dir)
  let code: string | undefined
  const readFile = async (...args: Parameters<typeof disk.readFile>) => {
    if (code !== undefined) throw Object.assign(new Error("not now"), { code })
    return disk.readFile(...args)
  }
  const engine = await opened(t, dir, { disk: { ...disk, readFile } })
  const tenant = await tenantOf(engine, "alice")
  const { id, shares } = await randomChunk(crypto, 200_000)
  await tenant.putShares([shares[0]!], newBatch(crypto))
  for (code of ["EMFILE", "ENOMEM", "EACCES", "EIO"]) {
    const { rot } = await engine.scrub()
    assert.deepEqual(
      rot.map(({ why }) => why),
      [`it cannot be read (${code})`],
    )
    assert.deepEqual(await tenant.hasShares([id]), [code === "EIO" ? [] : [0]])
  }
})

const plain = (bytes: Uint8Array | undefined) => bytes && new Uint8Array(bytes)

/** Changes the index while no engine has it, as rot or another program would. */
function alter(dir: string, change: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(join(dir, "index.sqlite"))
  try {
    change(database)
  } finally {
    database.close()
  }
}
