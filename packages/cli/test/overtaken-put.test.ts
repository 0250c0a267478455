/** What comes between the moment when `put` looks at a tree and the one when it commits. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { filesOf } from "@holdfast/fs"
import { type Problem, type UploadOptions, upload } from "@holdfast/fs/node"
import { createHarness, type Harness } from "./files-harness.ts"

/** Looks at `home:` now; what it gives stores the folder later. */
async function looked({ session, aliases, folder }: Harness) {
  const { store, env } = session()
  const view = await filesOf({ chunks: store.chunks, registers: store.registers, env }).open(aliases.get("home")!)
  return async (options: Partial<UploadOptions> = {}) => {
    const problems: Problem[] = []
    const onProblem = (problem: Problem) => void problems.push(problem)
    return { totals: await upload(view.writer(), `${folder}/src`, [], { onProblem, ...options }), problems }
  }
}

async function harnessWith(t: Parameters<typeof createHarness>[0], files: readonly string[]): Promise<Harness> {
  const harness = await createHarness(t)
  for (const file of files) {
    fs.mkdirSync(paths.dirname(`${harness.folder}/src/${file}`), { recursive: true })
    fs.writeFileSync(`${harness.folder}/src/${file}`, file)
  }
  fs.writeFileSync(`${harness.folder}/other`, "other")
  return harness
}

test("a directory that comes where a file is to be stays with all in it, and the other files are stored", async (t) => {
  const harness = await harnessWith(t, ["a", "b", "c"])
  const { run, folder } = harness
  const put = await looked(harness)
  await run("mkdir", "home:/b")
  await run("put", `${folder}/other`, "home:/b/precious")
  const { totals, problems } = await put()
  assert.equal(await run("cat", "home:/b/precious"), "other")
  assert.equal(await run("cat", "home:/a"), "a")
  assert.equal(await run("cat", "home:/c"), "c")
  assert.deepEqual(
    problems.map(({ path, code }) => ({ path, code })),
    [{ path: "b", code: "ERR_IS_A_DIRECTORY" }],
  )
  assert.match(problems[0]!.message, /"b" was left out: .*\/b is a directory since a moment ago/)
  assert.equal(totals.files, 2)
})

test("a file that comes where a folder is to be stays, the folder is left out and told once, and the rest is stored", async (t) => {
  const harness = await harnessWith(t, ["a", "dir/x", "dir/sub/y", "z"])
  const { run, folder } = harness
  const put = await looked(harness)
  await run("put", `${folder}/other`, "home:/dir")
  const { totals, problems } = await put()
  assert.equal(await run("cat", "home:/dir"), "other")
  assert.equal((await run("find", "home:")).split("\n").filter(Boolean).length, 4)
  assert.deepEqual(
    problems.map(({ path, code }) => ({ path, code })),
    [{ path: "dir", code: "ERR_NOT_A_DIRECTORY" }],
  )
  assert.match(problems[0]!.message, /left out with all in it/)
  assert.deepEqual({ files: totals.files, directories: totals.directories }, { files: 2, directories: 1 })
})

test("a directory that goes meanwhile takes only what was to be in it along", async (t) => {
  const harness = await harnessWith(t, ["dir/x", "z"])
  const { run, folder } = harness
  await run("put", `${folder}/src/`, "home:")
  fs.writeFileSync(`${folder}/src/dir/x`, "changed too") // which leaves the time of the folder as it is
  fs.writeFileSync(`${folder}/src/z`, "changed")
  const put = await looked(harness)
  await run("rm", "-r", "home:/dir")
  const { problems } = await put()
  assert.equal(await run("cat", "home:/z"), "changed")
  assert.deepEqual(
    problems.map(({ path, code }) => ({ path, code })),
    [{ path: "dir/x", code: "ERR_NOT_FOUND" }],
  )
})

test("a tree that is linked in meanwhile stays linked", async (t) => {
  const harness = await harnessWith(t, ["a", "team"])
  const { run, folder } = harness
  await run("alias", "create", "inner")
  await run("put", `${folder}/other`, "inner:/file")
  fs.writeFileSync(`${folder}/inner.cap`, await run("cap", "inner:"), { mode: 0o600 })
  const put = await looked(harness)
  await run("ln", `@file:${folder}/inner.cap`, "home:/team")
  const { problems } = await put()
  assert.equal(await run("cat", "home:/team/file"), "other")
  assert.equal(await run("cat", "home:/a"), "a")
  assert.match(problems[0]!.message, /is a link since a moment ago/)
})

test("a mirror takes a file's place, and not one that came since as a directory", async (t) => {
  const harness = await harnessWith(t, ["a/x", "b"])
  const { run, folder } = harness
  await run("put", `${folder}/other`, "home:/a")
  const put = await looked(harness)
  await run("mkdir", "home:/b")
  const { problems } = await put({ mirror: true })
  assert.equal(await run("cat", "home:/a/x"), "a/x")
  assert.deepEqual(
    problems.map(({ path }) => path),
    ["b"],
  )
})

test("one file that finds a directory in its place is refused, and nothing is changed", async (t) => {
  const harness = await harnessWith(t, ["a"])
  const { run, session, aliases } = harness
  const { store, env } = session()
  const view = await filesOf({ chunks: store.chunks, registers: store.registers, env }).open(aliases.get("home")!)
  const writer = view.writer()
  await run("mkdir", "home:/b")
  const [content] = await Promise.all([writer.add(new Uint8Array(1), { path: ["b"] }), writer.flush()])
  const change = { path: ["b"], kind: "file", mode: 0o644, mtimeNs: 0n, content } as const
  await assert.rejects(writer.commit([{ ...change, path: ["ok"] }, change]), { code: "ERR_IS_A_DIRECTORY" })
  assert.equal(await run("ls", "home:"), "b/\n")
})
