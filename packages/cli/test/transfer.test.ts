import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { download } from "../src/transfer/download.ts"
import { type Problem, sameTime } from "../src/transfer/local.ts"
import { upload, uploadStream } from "../src/transfer/upload.ts"
import { directory, file, MemoryTree, symlink } from "./memory-port.ts"

function setUp(t: { after(done: () => void): void }) {
  const base = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-transfer-"))
  t.after(() => fs.rmSync(base, { recursive: true, force: true }))
  fs.mkdirSync(`${base}/from`)
  const problems: Problem[] = []
  const options = { onProblem: (problem: Problem) => void problems.push(problem) }
  return { from: `${base}/from`, to: `${base}/to`, base, problems, options, tree: new MemoryTree() }
}

/** Every path below `root` with all that must survive. */
function fingerprint(root: string): Map<string, string> {
  const lines = new Map<string, string>()
  for (const name of fs.readdirSync(root, { recursive: true, encoding: "utf8" })) {
    const stat = fs.lstatSync(`${root}/${name}`)
    const content = stat.isSymbolicLink()
      ? fs.readlinkSync(`${root}/${name}`)
      : stat.isFile()
        ? createHash("sha256")
            .update(fs.readFileSync(`${root}/${name}`))
            .digest("hex")
        : "directory"
    lines.set(name, `${(stat.mode & 0o777).toString(8)} ${Math.round(stat.mtimeMs * 100)} ${content}`)
  }
  return lines
}

function fill(root: string): void {
  fs.mkdirSync(`${root}/d/e`, { recursive: true })
  fs.mkdirSync(`${root}/empty`, { mode: 0o700 })
  for (let i = 0; i < 300; i++) fs.writeFileSync(`${root}/d/${i}`, `file ${i}`)
  fs.writeFileSync(`${root}/d/e/large`, Buffer.alloc(3_000_000, 7))
  fs.writeFileSync(`${root}/d/e/none`, "")
  fs.writeFileSync(`${root}/e\u0301 ü\n`, "odd name")
  fs.symlinkSync("../nowhere", `${root}/link`)
  fs.chmodSync(`${root}/d/1`, 0o750)
  fs.utimesSync(`${root}/d/1`, 1e9, 1e9 + 0.123456)
  fs.utimesSync(`${root}/d`, 1e9, 1e9)
  fs.chmodSync(`${root}/d/e`, 0o555)
}

test("what goes up comes down with content, modes, times and symlinks", async (t) => {
  const { from, to, tree, options, problems } = setUp(t)
  fill(from)
  const up = await upload(tree, from, ["docs"], options)
  assert.deepEqual([up.files, up.symlinks, up.directories], [303, 1, 4])
  const docs = (await tree.list([]))!.get("docs")!
  await download(tree, docs, to, options)
  assert.deepEqual(fingerprint(to), fingerprint(from))
  assert.deepEqual(problems, [])
  for (const root of [from, to]) fs.chmodSync(`${root}/d/e`, 0o755)
})

test("a second upload stores nothing, and one changed file stores one", async (t) => {
  const { from, tree, options } = setUp(t)
  fill(from)
  await upload(tree, from, ["docs"], options)
  const [added, commits] = [tree.added, tree.commits.length]
  const again = await upload(tree, from, ["docs"], options)
  assert.deepEqual([tree.added, tree.commits.length], [added, commits])
  assert.equal(again.unchanged, 304)
  fs.writeFileSync(`${from}/d/7`, "changed")
  await upload(tree, from, ["docs"], options)
  assert.equal(tree.added, added + 1)
  fs.chmodSync(`${from}/d/8`, 0o600)
  await upload(tree, from, ["docs"], options)
  assert.equal((await tree.list(["docs", "d"]))!.get("8")!.mode, 0o600)
  fs.chmodSync(`${from}/d/e`, 0o755)
})

test("a second download writes nothing, and restores what was changed here", async (t) => {
  const { to, tree, options } = setUp(t)
  tree.root = directory({ a: file("one"), b: file("two"), l: symlink("a") })
  await download(tree, tree.root, to, options)
  fs.writeFileSync(`${to}/a`, "mine")
  const again = await download(tree, tree.root, to, options)
  assert.deepEqual([again.files, again.symlinks, again.unchanged], [1, 0, 2])
  assert.equal(fs.readFileSync(`${to}/a`, "utf8"), "one")
})

test("a long upload is committed on the way, and after an interruption goes on from there", async (t) => {
  const { from, tree, options } = setUp(t)
  for (let i = 0; i < 40; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(1000, i))
  const cause = new HoldfastError("ERR_NOT_ENOUGH_SERVERS", "Only 3 of the 4 servers needed took the data.")
  const add = tree.add.bind(tree)
  tree.add = (source) => (tree.added < 30 ? add(source) : Promise.reject(cause))
  await assert.rejects(upload(tree, from, ["x"], { ...options, commitBytes: 5000 }), cause)
  const kept = (await tree.list(["x"]))!.size
  assert.ok(kept >= 20 && kept < 40, `${kept} files were committed`)
  tree.add = add
  const rest = await upload(tree, from, ["x"], options)
  assert.equal(rest.unchanged, kept)
  assert.equal((await tree.list(["x"]))!.size, 40)
})

test("bytes in flight are bounded however large the folder is", async (t) => {
  const { from, tree, options } = setUp(t)
  for (let i = 0; i < 60; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(1024 * 1024))
  await upload(tree, from, ["x"], options) // packs of 100: ends only because waiting for room sends smaller ones
  assert.ok(tree.mostPending <= 25, `${tree.mostPending} MiB were in flight`)
})

test("many streamed files end although each waits for its pack", async (t) => {
  const { from, tree, options } = setUp(t)
  for (let i = 0; i < 12; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(9_000_000, i))
  const totals = await upload(tree, from, ["x"], options)
  assert.deepEqual([totals.files, totals.bytes], [12, 108_000_000])
})

test("a file that cannot be read is reported, and the others are stored", async (t) => {
  const { from, tree, options, problems } = setUp(t)
  fs.writeFileSync(`${from}/good`, "x")
  fs.writeFileSync(Buffer.concat([Buffer.from(`${from}/`), Buffer.from([0xff])]), "x")
  await upload(tree, from, ["x"], options)
  assert.deepEqual([...(await tree.list(["x"]))!.keys()], ["good"])
  assert.equal(problems.length, 1)
})

test("a source that does not exist is reported with its name", async (t) => {
  const { tree, options, problems } = setUp(t)
  await upload(tree, "/no/such/folder", ["x"], options)
  assert.equal(problems[0]!.code, "ERR_NOT_FOUND")
  assert.match(problems[0]!.message, /\/no\/such\/folder/)
})

test("stdin is stored under its name", async (t) => {
  const { tree } = setUp(t)
  async function* source() {
    yield new TextEncoder().encode("from a pipe")
  }
  const totals = await uploadStream(tree, source(), ["a"], { mode: 0o644, mtimeNs: 5n })
  assert.equal(totals.bytes, 11)
  assert.equal((await tree.list([]))!.get("a")!.sizeBytes, 11)
})

test("a hostile tree cannot write outside the destination", async (t) => {
  const { base, to, tree, options, problems } = setUp(t)
  fs.mkdirSync(`${base}/outside`)
  const hostile = directory({
    "..": directory({ outside: directory({ a: file("bad") }) }),
    "../outside/b": file("bad"),
    "x/../../outside/c": file("bad"),
    [`${base}/outside/d`]: file("bad"),
    "": file("bad"),
    good: file("good"),
  })
  await download(tree, hostile, to, options)
  assert.deepEqual(fs.readdirSync(`${base}/outside`), [])
  assert.deepEqual(fs.readdirSync(to), ["good"])
  assert.equal(problems.length, 5)
  assert.ok(problems.every((problem) => problem.code === "ERR_INVALID_NAME"))
})

test("a symlink that a first version left does not lead a second version outside", async (t) => {
  const { base, to, tree, options } = setUp(t)
  fs.mkdirSync(`${base}/outside`)
  await download(tree, directory({ d: symlink(`${base}/outside`) }), to, options)
  await download(tree, directory({ d: directory({ a: file("bad") }) }), to, options)
  assert.deepEqual(fs.readdirSync(`${base}/outside`), [])
  assert.equal(fs.readFileSync(`${to}/d/a`, "utf8"), "bad")
  assert.ok(fs.lstatSync(`${to}/d`).isDirectory())
})

test("a damaged file is reported and the rest comes down; a full disk ends the download", async (t) => {
  const { to, tree, options, problems } = setUp(t)
  const read = tree.read.bind(tree)
  tree.read = async function* (item) {
    if (item.sizeBytes === 3) throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", "Found 2 of the 3 shares needed.")
    if (item.sizeBytes === 4) throw new HoldfastError("ERR_DISK_FULL", "The local disk is full.")
    yield* read(item)
  }
  await download(tree, directory({ a: file("bad"), b: file("fine!") }), to, options)
  assert.deepEqual(fs.readdirSync(to), ["b"])
  assert.deepEqual(
    problems.map((problem) => problem.code),
    ["ERR_NOT_ENOUGH_SHARES"],
  )
  await assert.rejects(download(tree, directory({ a: file("full") }), to, options), (error) =>
    isHoldfastError(error, "ERR_DISK_FULL"),
  )
  assert.deepEqual(fs.readdirSync(to), ["b"])
})

test("times keep more than microseconds on the way up", async (t) => {
  const { from, tree, options } = setUp(t)
  fs.writeFileSync(`${from}/a`, "x")
  const exact = fs.lstatSync(`${from}/a`, { bigint: true }).mtimeNs
  await upload(tree, `${from}/a`, ["a"], options)
  const stored = (await tree.list([]))!.get("a")!.mtimeNs
  assert.equal(stored, exact)
  assert.ok(sameTime(stored, exact))
})
