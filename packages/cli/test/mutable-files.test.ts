import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createHarness, type Harness, withCode } from "./files-harness.ts"

async function withFile(
  t: Parameters<typeof createHarness>[0],
): Promise<Harness & { put(text: string, to: string): Promise<string> }> {
  const harness = await createHarness(t)
  await harness.run("alias", "create", "notes", "--file")
  const put = (text: string, to: string) => {
    fs.writeFileSync(`${harness.folder}/new.txt`, text, { mode: 0o640 })
    return harness.run("put", `${harness.folder}/new.txt`, to)
  }
  return { ...harness, put }
}

test("a mutable file is empty at first, and put replaces its content", async (t) => {
  const { run, put, json, aliases, folder } = await withFile(t)
  assert.match(aliases.get("notes")!, /^hf:fw:/)
  assert.equal(await run("cat", "notes:"), "")
  assert.match(await put("one", "notes:"), /in notes:\.\n$/)
  assert.equal(await run("cat", "notes:"), "one")
  await put("second", aliases.get("notes")!)
  assert.equal(await run("cat", aliases.get("notes")!), "second")
  const { size, mode, kind } = await json<{ size: number; mode: string; kind: string }>("stat", "notes:")
  assert.deepEqual([size, mode, kind], [6, "0640", "file"])
  assert.equal(await run("ls", "notes:"), "notes\n")
  await run("get", "notes:", `${folder}/copy.txt`)
  assert.equal(fs.readFileSync(`${folder}/copy.txt`, "utf8"), "second")
  await run("get", "notes:", `${folder}/in/`)
  assert.equal(fs.readFileSync(`${folder}/in/notes`, "utf8"), "second")
})

test("cp takes a mutable file as source and as destination", async (t) => {
  const { run, put } = await withFile(t)
  await put("one", "notes:")
  await run("cp", "notes:", "home:/")
  await run("cp", "notes:", "home:/named")
  assert.equal(await run("ls", "home:"), "named\nnotes\n")
  await put("two", "home:/other")
  await run("cp", "home:/other", "notes:")
  assert.equal(await run("cat", "notes:"), "two")
  assert.equal(await run("cat", "home:/notes"), "one")
})

test("its read capability reads what it becomes, its verify capability checks it, and neither writes", async (t) => {
  const { run, put, json, replaceServer, reopen } = await withFile(t)
  const read = (await run("cap", "notes:", "--read")).trim()
  const verify = (await run("cap", "notes:", "--verify")).trim()
  assert.match(read, /^hf:fr:/)
  assert.match(verify, /^hf:fv:/)
  assert.equal((await run("cap", read, "--verify")).trim(), verify)
  await put("x".repeat(2000), "notes:")
  assert.equal((await run("cat", read)).length, 2000)
  await assert.rejects(put("no", read), withCode("ERR_WRONG_CAPABILITY"))
  await assert.rejects(run("cat", verify), withCode("ERR_WRONG_CAPABILITY"))
  replaceServer(0)
  await reopen()
  const repaired = await json<{ ok: boolean; placed: number; chunks: number }>("check", verify, "--repair")
  assert.ok(repaired.ok && repaired.placed === repaired.chunks && repaired.chunks >= 2)
  const deep = await json<{ ok: boolean; chunks: number; registers: unknown[] }>("check", "--deep", "notes:")
  assert.deepEqual([deep.ok, deep.registers.length], [true, 5])
  assert.ok(deep.chunks >= repaired.chunks)
})

test("snapshots of a mutable file keep what it was", async (t) => {
  const { run, put } = await withFile(t)
  await put("old", "notes:")
  await run("snapshot", "create", "notes:", "monday")
  await put("new", "notes:")
  assert.equal(await run("cat", "notes:@monday"), "old")
  assert.match(await run("diff", "notes:@monday", "notes:"), /^~/)
  assert.match(await run("cap", "notes:@monday", "--read"), /^hf:ci:/)
  await run("cp", "notes:@monday", "notes:")
  assert.equal(await run("cat", "notes:"), "old")
  await assert.rejects(put("no", "notes:@monday"), withCode("ERR_NOT_A_DIRECTORY"))
})

test("directory operations on a mutable file say that it is a file", async (t) => {
  const { run, put, folder } = await withFile(t)
  await put("one", "notes:")
  fs.mkdirSync(`${folder}/sub`)
  for (const command of [
    ["ls", "notes:/a"],
    ["cat", "notes:/content"],
    ["mkdir", "notes:/a"],
    ["put", `${folder}/new.txt`, "notes:/a"],
    ["put", `${folder}/new.txt`, `${folder}/new.txt`, "notes:"],
    ["put", `${folder}/sub`, "notes:"],
    ["cp", "notes:", "notes:/a"],
    ["tree", "notes:"],
    ["rm", "notes:/content"],
  ])
    await assert.rejects(run(...command), withCode("ERR_NOT_A_DIRECTORY"), command.join(" "))
  await assert.rejects(run("rm", "notes:"), withCode("ERR_INVALID_ARGUMENT"))
  await assert.rejects(run("ln", "hf:lit:aaaaaaaa", "notes:/a"))
  assert.equal(await run("cat", "notes:"), "one")
})

test("a mutable file linked into a directory is read and written there like any file", async (t) => {
  const { run, put, json, aliases, folder } = await withFile(t)
  await put("one", "notes:")
  await run("ln", aliases.get("notes")!, "home:/x")
  assert.equal(await run("cat", "home:/x"), "one")
  assert.match(await run("ls", "-l", "home:"), /^-rw-r----- \d+:\d+ +3 .* x\n$/)
  await put("second", "home:/x")
  assert.equal(await run("cat", "notes:"), "second")
  fs.mkdirSync(`${folder}/d`)
  fs.writeFileSync(`${folder}/d/x`, "from a folder")
  fs.writeFileSync(`${folder}/d/y`, "plain")
  await run("put", `${folder}/d/`, "home:")
  assert.equal(await run("cat", "notes:"), "from a folder")
  assert.equal((await json<{ unchanged: number }>("put", `${folder}/d/`, "home:")).unchanged, 2)
  await run("get", "home:", `${folder}/back`)
  assert.equal(fs.readFileSync(`${folder}/back/x`, "utf8"), "from a folder")
  assert.equal((await run("cap", "home:/x")).trim(), aliases.get("notes"))
  await assert.rejects(run("ls", "home:/x/below"), withCode("ERR_NOT_A_DIRECTORY"))
  await assert.rejects(put("no", "home:/x/below"), withCode("ERR_NOT_A_DIRECTORY"))
  await run("mv", "home:/x", "home:/z")
  await put("after the move", "notes:")
  assert.equal(await run("cat", "home:/z"), "after the move")
  await run("rm", "home:/z")
  assert.equal(await run("cat", "notes:"), "after the move")
})

test("readers of a directory read a mutable file in it and cannot write it; gc keeps it", async (t) => {
  const { run, put, json, aliases } = await withFile(t)
  await put("x".repeat(2000), "notes:")
  await run("ln", aliases.get("notes")!, "home:/x")
  const read = (await run("cap", "home:", "--read")).trim()
  assert.equal((await run("cat", `${read}/x`)).length, 2000)
  assert.match(await run("cap", `${read}/x`, "--read"), /^hf:fr:/)
  await assert.rejects(run("cap", `${read}/x`), withCode("ERR_WRONG_CAPABILITY"))
  await assert.rejects(put("no", `${read}/x`), withCode("ERR_WRONG_CAPABILITY"))
  aliases.delete("notes")
  await json("gc")
  assert.equal((await run("cat", "home:/x")).length, 2000)
  const { ok, registers } = await json<{ ok: boolean; registers: unknown[] }>("check", "--deep", "home:")
  assert.deepEqual([ok, registers.length], [true, 10])
})

test("of two writers at once both contents are kept, and the copy is told, listed, read and removed", async (t) => {
  const { run, folder, warnings } = await withFile(t)
  const texts = ["from the one", "from the other"]
  for (const [i, text] of texts.entries()) fs.writeFileSync(`${folder}/${i}`, text)
  await Promise.all(texts.map((_, i) => run("put", `${folder}/${i}`, "notes:")))
  const [name, copy, ...more] = (await run("ls", "notes:")).trim().split("\n")
  assert.equal(name, "notes")
  assert.match(copy!, /^content \(conflict [0-9a-f]{8}\)$/)
  assert.deepEqual(more, [])
  assert.match(warnings.join(""), /another writer .* kept as notes:\/content \(conflict/)
  const kept = [await run("cat", "notes:"), await run("cat", `notes:/${copy}`)]
  assert.deepEqual(kept.toSorted(), texts)
  await run("cp", `notes:/${copy}`, "notes:")
  await run("rm", `notes:/${copy}`)
  assert.equal(await run("cat", "notes:"), kept[1])
  assert.equal(await run("ls", "notes:"), "notes\n")
})
