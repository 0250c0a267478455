/**
 * A storage directory that somebody else wrote: whatever lies in it, nothing outside it is read, changed or removed, nothing in it
 * that is not ours is removed, and good shares still serve where that can be.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { isHoldfastError, toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountAccess, accountRoles, registerIdOf } from "@holdfast/protocol"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { openEngine } from "../src/directory/index.ts"

const someone: AccountAccess = { account: new Uint8Array(32).fill(7), roles: accountRoles }
/** Set by hostile-shared-directory.test.ts. */
const isShared = process.env["HOLDFAST_TEST_SHARED"] === "1"
const options = { crypto, clock, reservedBytes: 0, isShared }

interface Scene {
  readonly dir: string
  /** Files that have nothing to do with the directory. */
  readonly victim: string
  /** Changes the index as its writer may. */
  tamper(sql: string, ...values: (string | Uint8Array | number)[]): void
  /** Opens, uses, scrubs and closes the directory; the error that ended it, if one did. */
  use(): Promise<unknown>
}

const small = await randomChunk(crypto, 500)
const large = await randomChunk(crypto, 300_000)
const registerSeed = crypto.random(32)

async function scene(t: TestContext): Promise<Scene> {
  const top = fs.mkdtempSync(join(tmpdir(), "holdfast-"))
  const [dir, victim] = [join(top, "place"), join(top, "victim")]
  fs.mkdirSync(join(victim, "photos"), { recursive: true })
  fs.writeFileSync(join(victim, "thesis.tex"), "years of work")
  fs.writeFileSync(join(victim, "photos", "child.jpg"), "the only one")
  const database = new DatabaseSync(join(victim, "places.sqlite"))
  database.exec("CREATE TABLE history (url TEXT); INSERT INTO history VALUES ('https://example.org')")
  database.close()
  const engine = await openEngine({ dir, ...options })
  const backend = (await engine.tenant("local")).backendOf(someone)
  await backend.putShares([small.shares[0]!, large.shares[0]!], newBatch(crypto))
  await backend.proposeRegisters([await makeRegisterValue(crypto, registerSeed, 1, "kept")])
  await engine.close()
  const before = pictureOf(victim)
  t.after(() => {
    const now = pictureOf(victim)
    fs.rmSync(top, { recursive: true, force: true })
    assert.deepEqual(now, before, "the victim's files")
  })
  return {
    dir,
    victim,
    tamper(sql, ...values) {
      const index = new DatabaseSync(join(dir, "index.sqlite"))
      if (values.length > 0) index.prepare(sql).run(...values)
      else index.exec(sql)
      index.close()
    },
    use: () => use(dir),
  }
}

async function use(dir: string): Promise<unknown> {
  try {
    const engine = await openEngine({ dir, ...options })
    try {
      const place = (await engine.tenant("local")).backendOf(someone)
      await place.getShares([{ id: small.id }, { id: large.id }]).catch(() => undefined)
      await place.putShares([large.shares[1]!], newBatch(crypto)).catch(() => undefined)
      await place.readRegisters([registerIdOf(await crypto.publicKeyOf(registerSeed))]).catch(() => undefined)
      await engine.scrub()
      await engine.finishDrops()
    } finally {
      await engine.close()
    }
    return undefined
  } catch (error) {
    return error
  }
}

/** Every file with its content, mode and time. */
function pictureOf(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const { mode, mtimeMs, size } = fs.lstatSync(path)
      return [path, mode, mtimeMs, entry.isFile() ? `${size} ${fs.readFileSync(path, "base64")}` : ""].join(" ")
    })
    .sort()
}

const unclean = "UPDATE meta SET value = 0 WHERE name = 'clean'"

test("a link in the place of a folder of shares is not followed, whatever the index says", async (t) => {
  const { dir, victim, tamper, use } = await scene(t)
  fs.symlinkSync(victim, join(dir, "shares", "local", "deadbeef"))
  fs.symlinkSync(victim, join(dir, "shares", "other"))
  tamper(unclean)
  assert.equal(await use(), undefined)
  assert.ok(fs.lstatSync(join(dir, "shares", "local", "deadbeef")).isSymbolicLink(), "what is not ours stays")
})

test("names in the index lead nowhere else", async (t) => {
  const { dir, victim, tamper, use } = await scene(t)
  const up = "../../../../victim/thesis.tex"
  tamper("UPDATE shares SET file = ? WHERE file IS NOT NULL", up)
  for (const file of [up, `${victim}/thesis.tex`, "deadbeef/../../../../../victim/thesis.tex", "..", "", "x\0y"])
    for (const tenant of ["local", "..", "../../victim", ""])
      tamper("INSERT OR IGNORE INTO removing (tenant, file) VALUES (?, ?)", tenant, file)
  tamper(unclean)
  assert.equal(await use(), undefined)
  assert.equal(await use(), undefined)
  assert.ok(fs.existsSync(dir))
})

test("a file to be removed that never was, in a folder that never was, keeps nobody from opening the directory", async (t) => {
  const { tamper, use } = await scene(t)
  const file = `deadbeef/${toHex(large.id)}.0.deadbeef`
  for (const tenant of ["local", "nobody", "../.."])
    tamper("INSERT INTO removing (tenant, file) VALUES (?, ?)", tenant, file)
  tamper(unclean)
  assert.equal(await use(), undefined)
})

test("a number that JavaScript does not have ends use of the directory with an error of ours", async (t) => {
  const { tamper, use } = await scene(t)
  const tooMuch = "9223372036854775000"
  for (const change of [
    `UPDATE shares SET size = ${tooMuch}`,
    `UPDATE registers SET sequence = ${tooMuch}`,
    `UPDATE tenants SET cost = ${tooMuch}`,
    `INSERT OR REPLACE INTO meta (name, value) VALUES ('stamp', ${tooMuch})`,
  ]) {
    tamper(change)
    assert.ok(isHoldfastError(await use(), "ERR_CORRUPT"), change)
    tamper(change.replaceAll(tooMuch, "1"))
  }
})

test("an account that is said to be dropped at no time that has a date is refused, and told so", async (t) => {
  const { dir, tamper } = await scene(t)
  for (const stamp of [-Number.MAX_SAFE_INTEGER, 8.64e15, Number.MAX_SAFE_INTEGER]) {
    tamper(
      "INSERT OR REPLACE INTO statements (tenant, id, serial, drops, stamp) SELECT tenant, id, 1, 1, ? FROM accounts",
      stamp,
    )
    const engine = await openEngine({ dir, ...options })
    const place = (await engine.tenant("local")).backendOf(someone)
    await assert.rejects(place.putShares([large.shares[1]!], newBatch(crypto)), { code: "ERR_REFUSED" })
    await engine.close()
  }
})

test("a tenant's name in the index leads nowhere else", async (t) => {
  const { tamper, use } = await scene(t)
  tamper("UPDATE tenants SET name = '../../victim' WHERE name = 'local'")
  tamper(unclean)
  assert.equal(await use(), undefined)
})

test("files with names that we never give stay, also where only ours should be", async (t) => {
  const { dir, tamper, use } = await scene(t)
  const [part] = fs.readdirSync(join(dir, "shares", "local"))
  const strange = [
    join(dir, "letter.txt"),
    join(dir, "shares", "letter.txt"),
    join(dir, "shares", "local", "letter.txt"),
    join(dir, "shares", "local", part!, "letter.txt"),
    join(dir, "shares", "local", part!, `${toHex(large.id)}.000`),
  ]
  for (const path of strange) fs.writeFileSync(path, "somebody's")
  for (const name of ["%zz", "%2E%2e", "Upper", "a".repeat(200)])
    fs.mkdirSync(join(dir, "shares", name, "deadbeef"), { recursive: true })
  tamper(unclean)
  assert.equal(await use(), undefined)
  for (const path of strange) assert.equal(fs.readFileSync(path, "utf8"), "somebody's", path)
  assert.ok(fs.existsSync(join(dir, "shares", "Upper", "deadbeef")))
})

for (const [what, replace] of [
  ["shares", (dir, victim) => [join(dir, "shares"), victim]],
  ["a tenant's shares", (dir, victim) => [join(dir, "shares", "local"), victim]],
] as [string, (dir: string, victim: string) => [string, string]][])
  test(`a link in the place of ${what} is an error that names it`, async (t) => {
    const { dir, victim, tamper } = await scene(t)
    tamper(unclean)
    const [path, target] = replace(dir, victim)
    fs.rmSync(path, { recursive: true })
    fs.symlinkSync(target, path)
    const engine = await openEngine({ dir, ...options }).catch((error: Error) => error)
    if (engine instanceof Error) return assert.match(engine.message, new RegExp(`${path} is a link`))
    const place = (await engine.tenant("local")).backendOf(someone)
    const [outcome] = await place.putShares([large.shares[1]!], newBatch(crypto)).catch((error: Error) => [error])
    assert.match(JSON.stringify(outcome) + String(outcome), /link|ENOTDIR|ELOOP/)
    await engine.close()
  })

for (const name of ["index.sqlite", "index.sqlite-wal", "index.sqlite-journal", "index.sqlite-shm"])
  test(`a link in the place of ${name} is an error, and its target is not opened`, async (t) => {
    const { dir, victim, use } = await scene(t)
    fs.rmSync(join(dir, name), { force: true })
    fs.symlinkSync(join(victim, "places.sqlite"), join(dir, name))
    assert.equal(((await use()) as { code?: string }).code, "ERR_CORRUPT")
  })

test("rubbish as the log of the index and as what processes share beside it is not believed", async (t) => {
  const { dir, use } = await scene(t)
  for (const seed of [0, 1, 255]) {
    const rubbish = Buffer.from(Array.from({ length: 98_304 }, (_, i) => (i * 31 + seed * (i >> 3)) & 0xff))
    for (const suffix of ["-wal", "-shm"]) fs.writeFileSync(join(dir, `index.sqlite${suffix}`), rubbish)
    assert.equal(await use(), undefined)
    const engine = await openEngine({ dir, ...options })
    const place = (await engine.tenant("local")).backendOf(someone)
    const held = await place.getShares([{ id: small.id }, { id: large.id }])
    await engine.close()
    assert.ok(held.every((share) => share !== undefined))
  }
})

test("another program's database is not used, and stays as it is", async (t) => {
  const { dir, victim, use } = await scene(t)
  fs.copyFileSync(join(victim, "places.sqlite"), join(dir, "index.sqlite"))
  const before = fs.readFileSync(join(dir, "index.sqlite"))
  assert.equal(((await use()) as { code?: string }).code, "ERR_CORRUPT")
  assert.ok(fs.readFileSync(join(dir, "index.sqlite")).equals(before))
})

for (const [what, sql] of Object.entries({
  "a trigger": "CREATE TRIGGER t AFTER INSERT ON marks BEGIN DELETE FROM shares; END",
  "a view": "ALTER TABLE small RENAME TO hidden; CREATE VIEW small AS SELECT * FROM hidden",
  "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(x)",
  "a generated column": "ALTER TABLE meta ADD COLUMN g INTEGER AS (value + 1)",
  "an index that computes": "CREATE INDEX i ON shares (abs(size))",
  "a table more": "CREATE TABLE more (x)",
  "a table less": "DROP TABLE removing",
  "the number of another version": "PRAGMA user_version = 1",
  "another type": "DROP TABLE small; CREATE TABLE small (row INTEGER PRIMARY KEY, bytes)",
}))
  test(`an index with ${what} is not used`, async (t) => {
    const { tamper, use } = await scene(t)
    tamper(sql)
    assert.equal(((await use()) as { code?: string }).code, "ERR_CORRUPT")
  })

/** A journal that says that a transaction of several databases was under way: what it names is removed when that is over. */
function journalNaming(path: string): Buffer {
  const number = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const name = Buffer.from(path)
  const sum = name.reduce((total, byte) => total + byte, 0)
  const magic = Buffer.from("d9d505f920a163d7", "hex")
  return Buffer.concat([Buffer.alloc(1024, 1), number(0), name, number(name.length), number(sum), magic])
}

for (const mode of ["WAL", "DELETE"])
  test(`a journal beside an index of mode ${mode} leads nowhere, whatever file it names`, async (t) => {
    const { dir, victim, tamper, use } = await scene(t)
    tamper(`PRAGMA journal_mode = ${mode}`)
    fs.writeFileSync(join(dir, "index.sqlite-journal"), journalNaming(join(victim, "thesis.tex")))
    const error = await use()
    assert.ok(error === undefined || isHoldfastError(error), String(error))
  })

test("a pipe, a device or a file without end in the place of a share neither hangs nor fills the memory", {
  timeout: 30_000,
}, async (t) => {
  const { dir, tamper, use } = await scene(t)
  const [part] = fs.readdirSync(join(dir, "shares", "local"))
  const [name] = fs.readdirSync(join(dir, "shares", "local", part!))
  const path = join(dir, "shares", "local", part!, name!)
  fs.rmSync(path)
  execFileSync("mkfifo", [path])
  tamper(unclean)
  assert.equal(await use(), undefined)
  fs.rmSync(path, { force: true })
  fs.writeFileSync(path, "")
  fs.truncateSync(path, 2 ** 40)
  tamper(unclean)
  assert.equal(await use(), undefined)
})

test("bytes in the index that are larger than ours ever are do not come into memory", async (t) => {
  const { dir, tamper } = await scene(t)
  tamper("UPDATE small SET bytes = zeroblob(150000000)")
  tamper("UPDATE registers SET value = zeroblob(150000000)")
  const engine = await openEngine({ dir, ...options })
  t.after(() => engine.close())
  const place = (await engine.tenant("local")).backendOf(someone)
  const before = process.memoryUsage().rss
  await place.getShares([{ id: small.id }]).catch(() => undefined)
  await place.readRegisters([registerIdOf(await crypto.publicKeyOf(registerSeed))]).catch(() => undefined)
  await engine.scrub()
  assert.ok(process.memoryUsage().rss - before < 100_000_000, "more than the cache of pages, which has 64 MiB")
})
