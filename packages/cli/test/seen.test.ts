import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { promisify } from "node:util"
import { type HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import { mergeSeen, type Seen } from "@holdfast/store"
import { openSeen, type ProfileSeen } from "../../client/src/profile/seen.ts"

const seed = nodeCrypto.random(32)
const register = toHex(registerIdOf(await nodeCrypto.publicKeyOf(seed)))
const value = async (sequence: number, text = "") =>
  new Uint8Array(await makeRegisterValue(nodeCrypto, seed, sequence, text))

function setUp(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-seen-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return { folder, open: (name = "default") => openSeen(folder, name) }
}

/** As the store does: what is seen now, merged into what is on disk. */
function note({ seen }: ProfileSeen, mine: Seen, id = register): Promise<void> {
  return seen.update(id, async (before) => mergeSeen(nodeCrypto, id, before ?? { sequence: 0 }, mine))
}

test("what was seen is there after a restart", async (t) => {
  const { open } = setUp(t)
  await note(open(), { sequence: 4, stable: await value(3) })
  assert.deepEqual(await open().seen.get(register), { sequence: 4, stable: await value(3) })
})

test("what profiles kept before, in one file and a folder of values, is still known, exported and forgotten", async (t) => {
  const { folder, open } = setUp(t)
  const other = toHex(nodeCrypto.random(32))
  fs.writeFileSync(join(folder, "default.json"), JSON.stringify({ [register]: 7, [other]: 2 }), { mode: 0o600 })
  fs.mkdirSync(join(folder, "default.values"))
  fs.writeFileSync(join(folder, "default.values", register), await value(6))
  const seen = open()
  assert.deepEqual(await seen.seen.get(register), { sequence: 7, stable: await value(6) })
  assert.deepEqual(await seen.listSeen(), [register, other].sort())
  await note(seen, { sequence: 8 })
  assert.deepEqual(await open().seen.get(register), { sequence: 8, stable: await value(6) })
  assert.ok(await seen.forgetSeen(register))
  assert.equal(await open().seen.get(register), undefined)
  assert.deepEqual(await open().seen.get(other), { sequence: 2 })
})

test("of two commands at once the newest that either has seen stays, and what is not proven of the older", async (t) => {
  const { open } = setUp(t)
  await note(open(), { sequence: 5, stable: await value(5) })
  await note(open(), { sequence: 3, stable: await value(3) })
  assert.deepEqual(await open().seen.get(register), { sequence: 5, stable: await value(5), others: [await value(3)] })
})

test("what another command has seen is known to one that has read before", async (t) => {
  const { folder, open } = setUp(t)
  const [mine, other] = [open(), open()]
  for (let version = 1; version <= 5; version++) {
    await note(other, { sequence: version })
    assert.equal((await mine.seen.get(register))?.sequence, version)
    assert.deepEqual(await mine.seen.get(register), await open().seen.get(register))
  }
  await note(mine, { sequence: 6 })
  assert.equal((await mine.seen.get(register))?.sequence, 6)
  fs.writeFileSync(join(folder, "default", register), "not what was written")
  await assert.rejects(mine.seen.get(register), { code: "ERR_BAD_FORMAT" })
  assert.ok(await other.forgetSeen(register))
  assert.equal(await mine.seen.get(register), undefined)
})

test("of commands at once, in processes of their own, none loses what another has seen", async (t) => {
  const { folder } = setUp(t)
  const script = `
    import { openSeen } from ${JSON.stringify(new URL("../../client/src/profile/seen.ts", import.meta.url).href)}
    const [folder, from] = process.argv.slice(1)
    const { seen } = openSeen(folder, "default")
    for (let i = 0; i < 5; i++)
      await Promise.all([
        seen.update("ab".repeat(32), async (before) => ({ sequence: (before?.sequence ?? 0) + 1 })),
        seen.update(from.padStart(64, "0"), async () => ({ sequence: i + 1 })),
      ])`
  const run = (i: number) =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, folder, String(i)])
  await Promise.all(Array.from({ length: 4 }, (_, i) => run(i)))
  const { seen, listSeen } = openSeen(folder, "default")
  assert.equal((await seen.get("ab".repeat(32)))?.sequence, 20)
  assert.equal((await listSeen()).length, 5)
})

test("two commands that were shown different values of one version find out, and the first keeps its own", async (t) => {
  const { open } = setUp(t)
  await note(open(), { sequence: 3, stable: await value(3, "for a") })
  await assert.rejects(note(open(), { sequence: 3, stable: await value(3, "for b") }), { code: "ERR_FORK" })
  assert.deepEqual((await open().seen.get(register))?.stable, await value(3, "for a"))
})

test("what one device exports another takes over, and forgets again", async (t) => {
  const { open } = setUp(t)
  const [laptop, phone] = [open("laptop"), open("phone")]
  const accepted = [{ timeMs: 5, from: { sequence: 1, hash: register }, to: { sequence: 9, hash: register } }]
  const mine: Seen = { sequence: 9, stable: await value(9), others: [await value(4)], accepted }
  await note(laptop, mine)
  assert.equal(await phone.importSeen(JSON.parse(JSON.stringify(await laptop.exportSeen()))), 1)
  assert.deepEqual(await open("phone").seen.get(register), mine)
  assert.ok(await phone.forgetSeen(register))
  assert.equal(await open("phone").seen.get(register), undefined)
  assert.equal(await phone.forgetSeen(register), false)
  const before = { version: 1, registers: { [register]: { sequence: 9, value: toHex(await value(9)) } } }
  assert.equal(await phone.importSeen(before), 1)
  assert.deepEqual(await phone.seen.get(register), { sequence: 9, stable: await value(9) })
})

test("a damaged file stops what needs it, names itself and says what to do; the rest goes on", async (t) => {
  const { folder, open } = setUp(t)
  const other = "cd".repeat(32)
  await note(open(), { sequence: 4 })
  await note(open(), { sequence: 2 }, other)
  const damaged = join(folder, "default", register)
  fs.writeFileSync(damaged, "")
  await assert.rejects(open().seen.get(register), (error: HoldfastError) => {
    assert.equal(error.code, "ERR_BAD_FORMAT")
    assert.ok(error.message.includes(damaged) && /Remove that file/.test(error.message), error.message)
    assert.doesNotMatch(error.message, /join again/)
    return true
  })
  assert.deepEqual(await open().seen.get(other), { sequence: 2 })
  assert.ok(await open().forgetSeen(register))
  assert.equal(await open().seen.get(register), undefined)
})

test("what cannot be written is an error that names the folder, and what was known stays", async (t) => {
  const { folder, open } = setUp(t)
  await note(open(), { sequence: 4 })
  fs.renameSync(join(folder, "default"), join(folder, "kept"))
  fs.writeFileSync(join(folder, "default"), "a file where the folder should be")
  await assert.rejects(note(open(), { sequence: 5 }), (error: HoldfastError) => {
    assert.equal(error.code, "ERR_IO")
    assert.ok(
      error.message.includes(join(folder, "default")) && error.message.includes("XDG_STATE_HOME"),
      error.message,
    )
    return true
  })
})

test("an import that is none, or of a value that was not signed, changes nothing", async (t) => {
  const { open } = setUp(t)
  const seen = open()
  const forged = (await value(2)).map((byte, i) => (i === 60 ? byte ^ 1 : byte))
  for (const bad of [
    "text",
    { version: 3, registers: {} },
    { version: 2, registers: { [register]: { sequence: 2, values: ["zz"] } } },
    { version: 1, registers: { short: { sequence: 1 } } },
    { version: 1, registers: { [register]: { sequence: 0 } } },
    { version: 1, registers: { [register]: { sequence: 2, value: "zz" } } },
    { version: 1, registers: { [register]: { sequence: 2, value: toHex(forged) } } },
    { version: 1, registers: { [toHex(nodeCrypto.random(32))]: { sequence: 2, value: toHex(await value(2)) } } },
  ])
    await assert.rejects(seen.importSeen(bad), { code: "ERR_BAD_FORMAT" }, JSON.stringify(bad).slice(0, 80))
  assert.deepEqual(await seen.exportSeen(), { version: 2, registers: {} })
})
