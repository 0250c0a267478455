/** Which databases are taken for a storage index, and that several may make one at once. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it } from "node:test"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { openEngine } from "../src/directory/index.ts"
import { checkSchema, prepareSchema, version1 } from "../src/directory/schema.ts"
import { temporary } from "./engine-fixture.ts"

function made(sql = ""): DatabaseSync {
  const database = new DatabaseSync(":memory:")
  database.exec(sql)
  return database
}

function versionOf(database: DatabaseSync): unknown {
  return database.prepare("PRAGMA user_version").get()?.["user_version"]
}

it("an index of a newer Holdfast is told as that, not as one that somebody changed, and its tables stay", async (t) => {
  const dir = await temporary(t)
  const path = join(dir, "index.sqlite")
  const before = new DatabaseSync(path)
  before.exec("CREATE TABLE newer (x); PRAGMA user_version = 3")
  before.close()
  await assert.rejects(openEngine({ dir, crypto, clock }), { code: "ERR_UNSUPPORTED_VERSION" })
  const after = new DatabaseSync(path)
  t.after(() => after.close())
  assert.deepEqual(
    after
      .prepare("SELECT name FROM sqlite_schema")
      .all()
      .map(({ name }) => name),
    ["newer"],
  )
})

it("a database that says it is an index and has none of its tables is none", () => {
  for (const version of [1, 2])
    assert.throws(() => checkSchema(made(`PRAGMA user_version = ${version}`), "x"), { code: "ERR_CORRUPT" })
  checkSchema(made(), "x")
})

for (const [from, sql] of [
  ["nothing", ""],
  ["version 1", version1],
] as const)
  it(`tables that another process makes of ${from} at the same time are taken as they are`, async (t) => {
    const path = join(await temporary(t), "index.sqlite")
    const [first, second] = [new DatabaseSync(path), new DatabaseSync(path)]
    t.after(() => first.close())
    first.exec(sql)
    const exec = (text: string) => {
      if (text.startsWith("BEGIN") && versionOf(first) !== 2) {
        prepareSchema(second, path)
        second.exec("INSERT INTO meta (name, value) VALUES ('theirs', 1)")
        second.close()
      }
      first.exec(text)
    }
    prepareSchema({ exec, prepare: (text) => first.prepare(text), close: () => first.close() }, path)
    assert.equal(versionOf(first), 2)
    assert.equal(first.prepare("SELECT value FROM meta WHERE name = 'theirs'").get()?.["value"], 1)
    first.exec("BEGIN IMMEDIATE; ROLLBACK") // none is under way
  })
