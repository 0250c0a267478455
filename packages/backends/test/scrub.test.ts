/** A scrub believes no row of the index: neither which share or register it is, nor its number. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf, shareName } from "@holdfast/protocol"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
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
