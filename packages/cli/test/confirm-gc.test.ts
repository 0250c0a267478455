import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createHarness, withCode } from "./files-harness.ts"

const day = 86_400_000

test("gc on a terminal says how much would go for good and which trees were looked through, and frees after a yes", async (t) => {
  const harness = await createHarness(t)
  const { folder, run, warnings, pass, typing } = harness
  fs.writeFileSync(`${folder}/big`, Buffer.alloc(200_000, 7))
  await run("put", `${folder}/big`, "home:/kept")
  await run("alias", "create", "work")
  await run("put", `${folder}/big`, "work:/big")
  typing("n")
  await run("gc")
  assert.doesNotMatch(warnings.join(""), /\[y\/N\]/, "nothing would go")
  typing(undefined)
  await run("alias", "remove", "work", "--yes")
  await harness.reopen()
  pass(40 * day)
  const before = (await run("gc", "--dry-run")).split("\n")[0]!
  const [, shares] = /remove at most (\d+) shares?/.exec(before)!
  assert.ok(Number(shares) >= 5, before)
  typing("n")
  await assert.rejects(run("gc"), withCode("ERR_ABORTED"))
  assert.match(
    warnings.join(""),
    new RegExp(`${shares} shares .* would go for good[\\s\\S]*\\n  home:\\n[\\s\\S]*Free that\\? \\[y/N\\]`),
  )
  typing(undefined)
  assert.equal((await run("gc", "--dry-run")).split("\n")[0], before, "nothing was freed")
  warnings.length = 0
  typing("n")
  assert.match(await run("gc", "--yes"), new RegExp(`Removed ${shares} shares`))
  assert.doesNotMatch(warnings.join(""), /\[y\/N\]/)
})

test("gc without a terminal, and with --json on one, asks nothing", async (t) => {
  const harness = await createHarness(t)
  const { folder, run, json, warnings, pass, typing } = harness
  for (const name of ["one", "two"]) {
    fs.writeFileSync(`${folder}/${name}`, Buffer.alloc(200_000, name))
    await run("alias", "create", name)
    await run("put", `${folder}/${name}`, `${name}:/file`)
  }
  await run("alias", "remove", "one", "--yes")
  await harness.reopen()
  pass(40 * day)
  assert.match(await run("gc"), /Removed [1-9]/)
  await run("alias", "remove", "two", "--yes")
  await harness.reopen()
  pass(40 * day)
  typing("n")
  const { shares } = await json<{ shares: number }>("gc")
  assert.ok(shares > 0)
  assert.doesNotMatch(warnings.join(""), /\[y\/N\]/)
})
