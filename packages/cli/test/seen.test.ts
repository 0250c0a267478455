import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import { openSeen } from "../src/profile/seen.ts"

const seed = nodeCrypto.random(32)
const register = toHex(registerIdOf(await nodeCrypto.publicKeyOf(seed)))
const value = async (sequence: number, text = "") =>
  new Uint8Array(await makeRegisterValue(nodeCrypto, seed, sequence, text))

function setUp(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-seen-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return { folder, open: (name = "default") => openSeen(folder, name) }
}

test("what was seen is there after a restart", async (t) => {
  const { open } = setUp(t)
  const first = await open()
  first.seen.set(register, { sequence: 4, stable: await value(3) })
  await first.flush()
  assert.deepEqual((await open()).seen.get(register), { sequence: 4, stable: await value(3) })
})

test("sequence numbers that were kept before values were are still known", async (t) => {
  const { folder, open } = setUp(t)
  fs.writeFileSync(join(folder, "default.json"), JSON.stringify({ [register]: 7 }), { mode: 0o600 })
  assert.deepEqual((await open()).seen.get(register), { sequence: 7 })
})

test("of two commands at once the newest that either has seen stays", async (t) => {
  const { open } = setUp(t)
  const [a, b] = [await open(), await open()]
  a.seen.set(register, { sequence: 5, stable: await value(5) })
  b.seen.set(register, { sequence: 3, stable: await value(3) })
  await a.flush()
  await b.flush()
  assert.deepEqual((await open()).seen.get(register), { sequence: 5, stable: await value(5) })
})

test("two commands that were shown different values of one version find out, and the first keeps its own", async (t) => {
  const { open } = setUp(t)
  const [a, b] = [await open(), await open()]
  a.seen.set(register, { sequence: 3, stable: await value(3, "for a") })
  b.seen.set(register, { sequence: 3, stable: await value(3, "for b") })
  await a.flush()
  await assert.rejects(b.flush(), { code: "ERR_FORK" })
  assert.deepEqual((await open()).seen.get(register)?.stable, await value(3, "for a"))
})

test("what one device exports another takes over, and forgets again", async (t) => {
  const { open } = setUp(t)
  const [laptop, phone] = [await open("laptop"), await open("phone")]
  laptop.seen.set(register, { sequence: 9, stable: await value(9) })
  await laptop.flush()
  assert.equal(await phone.importSeen(JSON.parse(JSON.stringify(laptop.exportSeen()))), 1)
  assert.deepEqual((await open("phone")).seen.get(register), { sequence: 9, stable: await value(9) })
  assert.ok(await phone.forgetSeen(register))
  assert.equal((await open("phone")).seen.get(register), undefined)
  assert.equal(await phone.forgetSeen(register), false)
})

test("an import that is none, or of a value that was not signed, changes nothing", async (t) => {
  const { open } = setUp(t)
  const seen = await open()
  const forged = (await value(2)).map((byte, i) => (i === 60 ? byte ^ 1 : byte))
  for (const bad of [
    "text",
    { version: 2, registers: {} },
    { version: 1, registers: { short: { sequence: 1 } } },
    { version: 1, registers: { [register]: { sequence: 0 } } },
    { version: 1, registers: { [register]: { sequence: 2, value: "zz" } } },
    { version: 1, registers: { [register]: { sequence: 2, value: toHex(forged) } } },
    { version: 1, registers: { [toHex(nodeCrypto.random(32))]: { sequence: 2, value: toHex(await value(2)) } } },
  ])
    await assert.rejects(seen.importSeen(bad), { code: "ERR_BAD_FORMAT" }, JSON.stringify(bad).slice(0, 80))
  assert.deepEqual(seen.exportSeen(), { version: 1, registers: {} })
})
