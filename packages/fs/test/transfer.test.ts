import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import type { Writer } from "../src/file-system.ts"
import { download } from "../src/node/download.ts"
import { sameTime } from "../src/node/local.ts"
import { upload } from "../src/node/upload.ts"
import { uploadStream } from "../src/node/upload-stream.ts"
import { fill, fingerprint, setUp } from "./local-folders.ts"
import { distorted, names, write } from "./world.ts"

test("what goes up comes down with content, modes, times and symlinks", async (t) => {
  const { from, to, home, options, problems } = await setUp(t)
  fill(from)
  const up = await upload(home.writer(), from, ["docs"], options)
  assert.deepEqual([up.files, up.symlinks, up.directories], [303, 1, 4])
  await download((await home.lookup(["docs"]))!, to, options)
  assert.deepEqual(fingerprint(to), fingerprint(from))
  assert.deepEqual(problems, [])
  for (const root of [from, to]) fs.chmodSync(`${root}/d/e`, 0o755)
})

test("a second upload stores nothing, and one changed file stores one", async (t) => {
  const { from, home, options } = await setUp(t)
  fill(from)
  await upload(home.writer(), from, ["docs"], options)
  const newest = async () => (await home.listVersions())[0]!.sequence
  const version = await newest()
  const again = await upload(home.writer(), from, ["docs"], options)
  assert.deepEqual([again.files, again.unchanged, await newest()], [0, 304, version])
  fs.writeFileSync(`${from}/d/7`, "changed")
  assert.equal((await upload(home.writer(), from, ["docs"], options)).files, 1)
  fs.chmodSync(`${from}/d/8`, 0o600)
  await upload(home.writer(), from, ["docs"], options)
  assert.equal((await home.lookup(["docs", "d", "8"]))!.entry.mode, 0o600)
  fs.chmodSync(`${from}/d/e`, 0o755)
})

test("a second download writes nothing, and restores what was changed here", async (t) => {
  const { from, to, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/a`, "one")
  fs.writeFileSync(`${from}/b`, "two")
  fs.symlinkSync("a", `${from}/l`)
  await upload(home.writer(), from, [], options)
  const root = (await home.lookup([]))!
  await download(root, to, options)
  fs.writeFileSync(`${to}/a`, "mine")
  const again = await download(root, to, options)
  assert.deepEqual([again.files, again.symlinks, again.unchanged], [1, 0, 2])
  assert.equal(fs.readFileSync(`${to}/a`, "utf8"), "one")
})

/** A writer of which `add` is watched, or changed. */
function watched(
  writer: Writer,
  around: (add: Writer["add"], ...args: Parameters<Writer["add"]>) => ReturnType<Writer["add"]>,
): Writer {
  return { ...writer, add: (source, target) => around(writer.add, source, target) }
}

test("a long upload is committed on the way, and after an interruption goes on from there", async (t) => {
  const { from, home, options } = await setUp(t)
  for (let i = 0; i < 40; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(1000, i))
  const cause = new HoldfastError("ERR_NOT_ENOUGH_SERVERS", "Only 3 of the 4 servers needed took the data.")
  let added = 0
  const failing = watched(home.writer(), (add, source, target) =>
    ++added <= 30 ? add(source, target) : Promise.reject(cause),
  )
  await assert.rejects(upload(failing, from, ["x"], { ...options, commitBytes: 5000 }), cause)
  const kept = (await names(home, ["x"])).length
  assert.ok(kept >= 20 && kept < 40, `${kept} files were committed`)
  const rest = await upload(home.writer(), from, ["x"], options)
  assert.equal(rest.unchanged, kept)
  assert.equal((await names(home, ["x"])).length, 40)
})

test("bytes in flight are bounded however large the folder is", async (t) => {
  const { from, home, options } = await setUp(t)
  for (let i = 0; i < 60; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(1024 * 1024, i + 1))
  let [pending, most] = [0, 0]
  const writer = watched(home.writer(), async (add, source, target) => {
    most = Math.max(most, ++pending)
    return add(source, target).finally(() => pending--)
  })
  await upload(writer, from, ["x"], options)
  assert.ok(most <= 25, `${most} MiB were in flight`)
})

test("many streamed files end although each waits for its pack", async (t) => {
  const { from, home, options } = await setUp(t)
  for (let i = 0; i < 12; i++) fs.writeFileSync(`${from}/${i}`, Buffer.alloc(9_000_000, i))
  const totals = await upload(home.writer(), from, ["x"], options)
  assert.deepEqual([totals.files, totals.bytes], [12, 108_000_000])
})

test("a file that cannot be read is reported, and the others are stored", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/good`, "x")
  fs.writeFileSync(Buffer.concat([Buffer.from(`${from}/`), Buffer.from([0xff])]), "x")
  await upload(home.writer(), from, ["x"], options)
  assert.deepEqual(await names(home, ["x"]), ["good"])
  assert.equal(problems.length, 1)
})

test("a source that does not exist is reported with its name", async (t) => {
  const { home, options, problems } = await setUp(t)
  await upload(home.writer(), "/no/such/folder", ["x"], options)
  assert.equal(problems[0]!.code, "ERR_NOT_FOUND")
  assert.match(problems[0]!.message, /\/no\/such\/folder/)
})

test("stdin is stored under its name", async (t) => {
  const { home } = await setUp(t)
  async function* source() {
    yield new TextEncoder().encode("from a pipe")
  }
  const totals = await uploadStream(home.writer(), source(), ["a"], { mode: 0o644, mtimeNs: 5n })
  assert.equal(totals.bytes, 11)
  assert.equal((await home.lookup(["a"]))!.entry.size, 11)
})

test("a hostile tree cannot write outside the destination", async (t) => {
  const { base, to, home, options, problems } = await setUp(t)
  fs.mkdirSync(`${base}/outside`)
  await home.edit((edit) => edit.mkdir(["d"]))
  await write(home, ["d", "a"], "bad")
  await write(home, ["good"], "good")
  const root = (await home.lookup([]))!
  const [d, bad, good] = [(await home.lookup(["d"]))!, (await home.lookup(["d", "a"]))!, (await home.lookup(["good"]))!]
  const hostile = distorted(root, {
    async *list(item) {
      if (item.entry !== root.entry) return yield* home.list({ ...item, owner: home })
      yield ["..", d]
      yield ["../outside/b", bad]
      yield ["x/../../outside/c", bad]
      yield [`${base}/outside/d`, bad]
      yield ["", bad]
      yield ["good", good]
    },
  })
  await download(hostile, to, options)
  assert.deepEqual(fs.readdirSync(`${base}/outside`), [])
  assert.deepEqual(fs.readdirSync(to), ["good"])
  assert.equal(problems.length, 5)
  assert.ok(problems.every((problem) => problem.code === "ERR_INVALID_NAME"))
})

test("a symlink that a first version left does not lead a second version outside", async (t) => {
  const { base, from, to, home, options } = await setUp(t)
  fs.mkdirSync(`${base}/outside`)
  fs.symlinkSync(`${base}/outside`, `${from}/d`)
  await upload(home.writer(), from, [], options)
  await download((await home.lookup([]))!, to, options)
  await home.edit((edit) => edit.remove(["d"]))
  await home.edit((edit) => edit.mkdir(["d"]))
  await write(home, ["d", "a"], "bad")
  await download((await home.lookup([]))!, to, options)
  assert.deepEqual(fs.readdirSync(`${base}/outside`), [])
  assert.equal(fs.readFileSync(`${to}/d/a`, "utf8"), "bad")
  assert.ok(fs.lstatSync(`${to}/d`).isDirectory())
})

test("a damaged file is reported and the rest comes down; a full disk ends the download", async (t) => {
  const { to, home, options, problems } = await setUp(t)
  await write(home, ["a"], "bad")
  await write(home, ["b"], "fine!")
  const damaged = distorted((await home.lookup([]))!, {
    async *read(item, range) {
      if (item.entry.size === 3) throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", "Found 2 of the 3 shares needed.")
      if (item.entry.size === 4) throw new HoldfastError("ERR_DISK_FULL", "The local disk is full.")
      yield* home.read({ ...item, owner: home }, range)
    },
  })
  await download(damaged, to, options)
  assert.deepEqual(fs.readdirSync(to), ["b"])
  assert.deepEqual(
    problems.map((problem) => problem.code),
    ["ERR_NOT_ENOUGH_SHARES"],
  )
  await write(home, ["a"], "full")
  const full = { ...(await home.lookup([]))!, owner: damaged.owner }
  await assert.rejects(download(full, to, options), (error) => isHoldfastError(error, "ERR_DISK_FULL"))
  assert.deepEqual(fs.readdirSync(to), ["b"])
})

test("a time that no entry can have is stored as the nearest one, and the file is unchanged the next time", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/plain`, "a")
  fs.writeFileSync(`${from}/future`, "b")
  fs.utimesSync(`${from}/future`, 13_569_465_600, 13_569_465_600) // the year 2400, which ext4 and tmpfs have
  if (fs.statSync(`${from}/future`).mtime.getUTCFullYear() !== 2400) return t.skip("no such times on this file system")
  await upload(home.writer(), from, ["docs"], options)
  assert.deepEqual(problems, [])
  assert.equal((await home.lookup(["docs", "future"]))!.entry.mtimeNs, 2n ** 63n - 1n)
  assert.equal((await upload(home.writer(), from, ["docs"], options)).unchanged, 2)
})

test("a file that is longer than its size says is stored to its end", async (t) => {
  const { home, options, problems } = await setUp(t)
  const totals = await upload(home.writer(), "/proc/self/environ", ["environ"], options)
  const { entry } = (await home.lookup(["environ"]))!
  const expected = fs.readFileSync("/proc/self/environ").length
  assert.deepEqual([totals.bytes, entry.kind === "file" && entry.size, problems], [expected, expected, []])
})

test("a large file that is named by a symlink is stored", async (t) => {
  const { from, base, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/large`, Buffer.alloc(1_500_000, 7))
  fs.symlinkSync("from/large", `${base}/link`)
  await upload(home.writer(), `${base}/link`, ["large"], options)
  assert.deepEqual(problems, [])
  const { entry } = (await home.lookup(["large"]))!
  assert.equal(entry.kind === "file" && entry.size, 1_500_000)
})

test("times keep more than microseconds on the way up", async (t) => {
  const { from, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/a`, "x")
  const exact = fs.lstatSync(`${from}/a`, { bigint: true }).mtimeNs
  await upload(home.writer(), `${from}/a`, ["a"], options)
  const stored = (await home.lookup(["a"]))!.entry.mtimeNs
  assert.equal(stored, exact)
  assert.ok(sameTime(stored, exact))
})

test("an owner or mode that changed is stored without the content, which is not read", async (t) => {
  const { from, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/large`, Buffer.alloc(3_000_000, 7))
  fs.writeFileSync(`${from}/small`, "x")
  await upload(home.writer(), from, [], options)
  const before = fs.statSync(`${from}/large`).atimeMs
  for (const name of ["large", "small"]) fs.chmodSync(`${from}/${name}`, 0o4711)
  if (process.getuid?.() === 0) for (const name of ["large", "small"]) fs.lchownSync(`${from}/${name}`, 77, 78)
  for (const name of ["large", "small"]) fs.chmodSync(`${from}/${name}`, 0o4711)
  const again = await upload(home.writer(), from, [], options)
  assert.deepEqual([again.files, again.bytes, again.unchanged], [2, 0, 0])
  assert.equal(fs.statSync(`${from}/large`).atimeMs, before)
  for (const name of ["large", "small"]) {
    const { entry } = (await home.lookup([name]))!
    const own = fs.statSync(`${from}/${name}`)
    assert.deepEqual([entry.mode, entry.uid, entry.gid], [0o4711, own.uid, own.gid])
  }
  assert.equal((await upload(home.writer(), from, [], options)).unchanged, 2)
})

test("owner and special bits come back when that is asked for", { skip: process.getuid?.() !== 0 }, async (t) => {
  const { from, to, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/file`, "x")
  fs.mkdirSync(`${from}/dir`)
  fs.symlinkSync("file", `${from}/link`)
  for (const name of ["file", "dir", "link"]) fs.lchownSync(`${from}/${name}`, 77, 78)
  fs.chmodSync(`${from}/file`, 0o4755)
  fs.chmodSync(`${from}/dir`, 0o1777)
  await upload(home.writer(), from, [], options)
  const root = (await home.lookup([]))!
  const shown = () =>
    ["file", "dir", "link"].map((name) => {
      const { uid, gid, mode } = fs.lstatSync(`${to}/${name}`)
      return [uid, gid, (mode & 0o7777).toString(8)]
    })
  await download(root, to, options)
  assert.deepEqual(shown().slice(0, 2), [
    [0, 0, "755"],
    [0, 0, "777"],
  ])
  await download(root, to, { ...options, specialBits: true })
  assert.deepEqual(
    shown().slice(0, 2),
    [
      [0, 0, "755"],
      [0, 0, "1777"],
    ],
    "what anybody may run as its owner is not made root's",
  )
  fs.chownSync(to, 5, 6)
  const same = { ...options, owner: true, specialBits: true }
  assert.equal((await download(root, to, same)).files, 1)
  assert.deepEqual(shown(), [
    [77, 78, "4755"],
    [77, 78, "1777"],
    [77, 78, "777"],
  ])
  assert.equal((await download(root, to, same)).unchanged, 2)
  assert.deepEqual([fs.statSync(to).uid, fs.statSync(to).gid], [5, 6], "a folder that was there stays whose it is")
})

test("hard links are counted, and their content is read once", async (t) => {
  const { from, to, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/a`, Buffer.alloc(3_000_000, 7))
  fs.writeFileSync(`${from}/small`, "x")
  for (const name of ["b", "c"]) fs.linkSync(`${from}/a`, `${from}/${name}`)
  fs.linkSync(`${from}/small`, `${from}/tiny`)
  const up = await upload(home.writer(), from, [], options)
  assert.deepEqual([up.files, up.hardLinks, up.bytes], [5, 3, 3_000_001])
  await download((await home.lookup([]))!, to, options)
  assert.deepEqual(fingerprint(to), fingerprint(from))
})

test("another name of a file that changed meanwhile is read again", async (t) => {
  const { from, to, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/a`, "before")
  fs.linkSync(`${from}/a`, `${from}/c`)
  fs.writeFileSync(`${from}/b`, "")
  const onExcluded = () => fs.writeFileSync(`${from}/c`, "after") // between the one and the other
  await upload(home.writer(), from, [], { ...options, exclude: { patterns: ["b"] }, onExcluded })
  await download((await home.lookup([]))!, to, options)
  assert.equal(fs.readFileSync(`${to}/c`, "utf8"), "after")
})

test("long runs of zeros come back as holes", async (t) => {
  const { from, to, home, options } = await setUp(t)
  const file = fs.openSync(`${from}/sparse`, "w")
  fs.writeSync(file, "start", 0)
  fs.writeSync(file, "middle", 20_000_003)
  fs.ftruncateSync(file, 50_000_000)
  fs.closeSync(file)
  await upload(home.writer(), from, [], options)
  await download((await home.lookup([]))!, to, options)
  assert.deepEqual(fingerprint(to), fingerprint(from))
  assert.ok(fs.statSync(`${to}/sparse`).blocks * 512 < 1_000_000)
})
