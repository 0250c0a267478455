import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import type { Writer } from "../src/file-system.ts"
import { LocalReadError } from "../src/node/read-local.ts"
import { upload } from "../src/node/upload.ts"
import { fill, setUp } from "./local-folders.ts"

test("a mirror has what the folder has; what is left out of it, or cannot be read, stays", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fill(from)
  fs.mkdirSync(`${from}/kept`)
  fs.writeFileSync(`${from}/kept/x`, "x")
  await upload(home.writer(), from, ["docs"], options)
  for (const gone of ["d/5", "empty", "link"]) fs.rmSync(`${from}/${gone}`, { recursive: true })
  fs.rmSync(`${from}/d/7`)
  fs.mkdirSync(`${from}/d/7`)
  fs.rmSync(`${from}/kept/x`)
  const exclude = { patterns: ["/kept", "/d/6"] }

  const seen: string[] = []
  const onItem = (what: string, path: readonly string[]) => void seen.push(`${what} ${path.join("/")}`)
  const tried = await upload(home.writer(), from, ["docs"], { ...options, exclude, mirror: true, dryRun: true, onItem })
  assert.equal(tried.removed, 3)
  assert.ok(await home.lookup(["docs", "d", "5"]), "nothing was done")
  const planned = seen.splice(0)

  const done = await upload(home.writer(), from, ["docs"], { ...options, exclude, mirror: true, onItem })
  assert.deepEqual([done.removed, seen.toSorted()], [3, planned.toSorted()])
  const names = async (...path: string[]) => {
    const all: string[] = []
    for await (const [name] of home.writer().list(path)) all.push(name)
    return all
  }
  assert.deepEqual(await names("docs"), ["d", "e\u0301 ü\n", "kept"])
  assert.deepEqual(await names("docs", "kept"), ["x"])
  assert.equal((await home.lookup(["docs", "d", "7"]))?.entry.kind, "directory")
  assert.ok(await home.lookup(["docs", "d", "6"]))

  fs.rmdirSync(`${from}/d/7`)
  fs.writeFileSync(`${from}/d/7`, "a file again")
  await upload(home.writer(), from, ["docs"], { ...options, exclude })
  assert.match(problems.pop()!.message, /a directory of this name is there/)
  await upload(home.writer(), from, ["docs"], { ...options, exclude, mirror: true })
  assert.equal((await home.lookup(["docs", "d", "7"]))?.entry.kind, "file")
  assert.deepEqual(problems, [])
  fs.chmodSync(`${from}/d/e`, 0o755)
})

test("a directory gives way in a mirror only to what is stored, and not to a file that was named", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fs.mkdirSync(`${from}/x`)
  fs.writeFileSync(`${from}/x/precious`, "precious")
  await upload(home.writer(), from, ["docs"], options)
  fs.rmSync(`${from}/x`, { recursive: true })
  fs.writeFileSync(`${from}/x`, "a file now")

  await upload(home.writer(), `${from}/x`, ["docs", "x"], { ...options, mirror: true })
  assert.match(problems.pop()!.message, /a directory of this name is there/)
  const writer = home.writer()
  const failing: Writer = {
    ...writer,
    // As when the disk fails to read it, which is found when it is read.
    add: () => Promise.reject(new LocalReadError("", { cause: Object.assign(new Error(), { code: "EIO" }) })),
  }
  fs.writeFileSync(`${from}/x`, Buffer.alloc(3_000_000, 1))
  const failed = await upload(failing, from, ["docs"], { ...options, mirror: true })
  assert.deepEqual([problems.length, failed.removed, failed.files], [1, 0, 0])
  assert.ok(await home.lookup(["docs", "x", "precious"]))
})

test("a mirror keeps what patterns leave out, though the folder does not have it", async (t) => {
  const { from, home, options } = await setUp(t)
  for (const folder of ["raw", "d"]) fs.mkdirSync(`${from}/${folder}`)
  for (const name of ["raw/1", "d/2.raw", "d/3"]) fs.writeFileSync(`${from}/${name}`, name)
  await upload(home.writer(), from, ["docs"], options)
  fs.rmSync(`${from}/raw`, { recursive: true })
  for (const name of ["d/2.raw", "d/3"]) fs.rmSync(`${from}/${name}`)
  fs.writeFileSync(`${from}/d/.holdfastignore`, "*.raw")
  const exclude = { patterns: ["raw/"] }
  const done = await upload(home.writer(), from, ["docs"], { ...options, mirror: true, exclude })
  const names = async (...path: string[]) => {
    const all: string[] = []
    for await (const [name] of home.writer().list(path)) all.push(name)
    return all
  }
  assert.deepEqual(
    [done.removed, await names("docs"), await names("docs", "d")],
    [...[1, ["d", "raw"], [".holdfastignore", "2.raw"]]],
  )
})

test("a folder does not take the place of a file, unless it is a mirror", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/a`, "a")
  fs.writeFileSync(`${from}/b`, "b")
  await upload(home.writer(), from, ["docs"], options)
  fs.rmSync(`${from}/a`)
  fs.mkdirSync(`${from}/a/in`, { recursive: true })
  fs.writeFileSync(`${from}/a/in/x`, "x")
  fs.writeFileSync(`${from}/c`, "c")
  assert.equal((await upload(home.writer(), from, ["docs"], options)).files, 1)
  assert.deepEqual(
    problems.splice(0).map(({ code }) => code),
    ["ERR_NOT_A_DIRECTORY"],
  )
  assert.equal((await home.lookup(["docs", "a"]))?.entry.kind, "file")
  assert.equal((await upload(home.writer(), from, ["docs"], { ...options, mirror: true })).files, 1)
  assert.ok(await home.lookup(["docs", "a", "in", "x"]))
  assert.deepEqual(problems, [])
})
