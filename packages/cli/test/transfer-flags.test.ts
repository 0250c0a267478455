import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { createHarness, fill, withCode } from "./files-harness.ts"

test("a mirror asks before an empty folder empties a directory, and tells beforehand what it would do", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  fs.rmSync(`${folder}/src/b.bin`)
  fs.writeFileSync(`${folder}/src/new`, "new")
  fs.writeFileSync(`${folder}/src/.holdfastignore`, "*.swp\n")
  fs.writeFileSync(`${folder}/src/x.swp`, "")
  const planned = await run("put", "--delete", "--dry-run", `${folder}/src`, "home:/docs")
  assert.deepEqual(planned.split("\n").slice(0, -2).toSorted(), [
    "remove home:/docs/b.bin",
    "store home:/docs",
    "store home:/docs/.holdfastignore",
    "store home:/docs/new",
  ])
  assert.match(planned, /Would store 2 files \(9\) in home:\/docs; 3 unchanged, 1 removed, 1 left out by patterns/)
  assert.equal(await run("ls", "home:/docs"), "a.txt\nb.bin\nsub/\n")
  const done = await json<object>("put", "--delete", `${folder}/src`, "home:/docs")
  assert.deepEqual(done, {
    ...{ files: 2, directories: 2, symlinks: 0, bytes: 9, unchanged: 3, removed: 1, hardLinks: 0 },
    ...{ excluded: 1, leftOut: [], degraded: null },
  })
  assert.equal(await run("ls", "home:/docs"), ".holdfastignore\na.txt\nnew\nsub/\n")

  fs.mkdirSync(`${folder}/unmounted`)
  const empty = ["put", "--delete", `${folder}/unmounted`, "home:/docs"]
  await assert.rejects(run(...empty), withCode("ERR_INVALID_ARGUMENT"))
  assert.match(await run("put", "--delete", `${folder}/unmounted/`, "home:/other"), /Stored 0 files/)
  assert.match(await run(...empty, "--yes"), /4 removed/)
  assert.equal(await run("ls", "home:/docs"), "")
})

test("what comes second under a name does not take the place of what came first", async (t) => {
  const { folder, run } = await createHarness(t)
  for (const name of ["a", "b"]) {
    fs.mkdirSync(`${folder}/${name}/x`, { recursive: true })
    fs.writeFileSync(`${folder}/${name}/x/${name}`, name)
    fs.writeFileSync(`${folder}/${name}/f`, name)
  }
  await run("mkdir", "home:/to", "home:/copies", "home:/moved")
  const incomplete = withCode("ERR_INCOMPLETE")
  await assert.rejects(run("put", "--delete", `${folder}/a/x`, `${folder}/b/x`, "home:/to"), incomplete)
  assert.equal(await run("ls", "home:/to/x"), "a\n")
  await run("put", `${folder}/a/x`, `${folder}/b/x`, "home:/to")
  assert.equal(await run("ls", "home:/to/x"), "a\nb\n", "folders may be merged")
  await assert.rejects(run("put", `${folder}/a/f`, `${folder}/b/f`, "home:/to"), incomplete)
  assert.equal(await run("cat", "home:/to/f"), "a")

  await run("put", `${folder}/a`, `${folder}/b`, "home:/")
  await assert.rejects(run("get", "home:/?/f", `${folder}/got/`), incomplete)
  assert.equal(fs.readFileSync(`${folder}/got/f`, "utf8"), "a")
  await assert.rejects(run("cp", "home:/?/f", "home:/copies"), incomplete)
  assert.equal(await run("cat", "home:/copies/f"), "a")
  await assert.rejects(run("mv", "home:/?/f", "home:/moved"), incomplete)
  assert.equal(await run("cat", "home:/moved/f", "home:/b/f"), "ab", "the second stays where it was")
})

test("a folder whose name is a link's is left out, and the others are stored; of a link only itself is removed", async (t) => {
  const { folder, run } = await createHarness(t)
  await run("alias", "create", "team")
  fs.mkdirSync(`${folder}/src/team/sub`, { recursive: true })
  for (const name of ["team/sub/mine", "tail", "theirs"]) fs.writeFileSync(`${folder}/src/${name}`, name)
  await run("put", `${folder}/src/theirs`, "team:")
  fs.writeFileSync(`${folder}/cap`, await run("cap", "team:"), { mode: 0o600 })
  await run("ln", `@file:${folder}/cap`, "home:/team")
  const left = (error: unknown) =>
    isHoldfastError(error, "ERR_INCOMPLETE") && /src\/+team\\" was left out/.test(JSON.stringify(error.details))
  await assert.rejects(run("put", "--delete", "--dry-run", `${folder}/src/`, "home:"), left)
  await assert.rejects(run("put", "--delete", `${folder}/src/`, "home:"), left)
  assert.equal(await run("ls", "home:"), "tail\nteam/\ntheirs\n")
  assert.equal(await run("ls", "home:/team"), "theirs\n")
  assert.match(
    await run("rm", "--dry-run", "home:/team"),
    /^remove home:\/team \(the link alone\)\nWould remove 1 entry/,
  )
})

test("patterns and --dry-run of get", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  fs.writeFileSync(`${folder}/patterns`, "# none of these\n*.bin\n")
  const flags = ["--exclude-from", `${folder}/patterns`, "--exclude", "/sub/l"]
  const planned = await run("get", ...flags, "--dry-run", "home:/docs", `${folder}/to/`)
  assert.match(planned, /^write .*\/to\/docs\/a.txt\nwrite .*\/to\/docs\/sub\/c.txt\nWould fetch 2 files/)
  assert.ok(!fs.existsSync(`${folder}/to`))
  assert.match(await run("get", ...flags, "home:/docs", `${folder}/to/`), /Fetched 2 files .* 2 left out by patterns/)
  assert.deepEqual(fs.readdirSync(`${folder}/to/docs`), ["a.txt", "sub"])
  assert.deepEqual(fs.readdirSync(`${folder}/to/docs/sub`), ["c.txt"])
})

test("a list of patterns may come through a pipe, and ends somewhere", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  const piped = (...sources: string[]) => run("put", ...sources, "--dry-run", `${folder}/src`, "home:/docs")
  await assert.rejects(piped("--exclude-from", "/dev/zero"), withCode("ERR_LIMIT"))
  execFileSync("mkfifo", [`${folder}/pipe`])
  const writer = spawn("sh", ["-c", `echo 'a.*' > ${folder}/pipe`])
  t.after(() => writer.kill())
  assert.doesNotMatch(await piped("--exclude-from", `${folder}/pipe`), /a\.txt/)
})
