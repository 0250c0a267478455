import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { Folder } from "@holdfast/core/node"
import { removeOldParts } from "../src/node/parts.ts"
import {
  finishDirectory,
  openDirectory,
  openTarget,
  placeDirectory,
  placeFile,
  placeSmallFile,
  placeSymlink,
  targetIn,
} from "../src/node/place.ts"

const attributes = { mode: 0o640, mtimeNs: 1700000000123456000n, uid: 0, gid: 0 }
const bytes = (text: string) => new TextEncoder().encode(text)

function temporaryFolders(t: { after(done: () => void): void }) {
  const base = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-place-"))
  t.after(() => fs.rmSync(base, { recursive: true, force: true }))
  const [inside, outside] = [`${base}/inside`, `${base}/outside`]
  fs.mkdirSync(inside)
  fs.mkdirSync(outside)
  const folder = Folder.open(inside)
  t.after(() => folder.close())
  return { inside, outside, at: (name: string) => targetIn(folder, name) }
}

async function* pieces(...texts: string[]) {
  for (const text of texts) yield bytes(text)
}

test("a file gets its content, mode and time", async (t) => {
  const { inside, at } = temporaryFolders(t)
  await placeFile(at("a"), pieces("hello ", "world"), attributes)
  placeSmallFile(at("b"), bytes("small"), { ...attributes, mode: 0o444 })
  assert.equal(fs.readFileSync(`${inside}/a`, "utf8"), "hello world")
  const [a, b] = [fs.statSync(`${inside}/a`), fs.statSync(`${inside}/b`)]
  assert.deepEqual([a.mode & 0o7777, b.mode & 0o7777], [0o640, 0o444])
  assert.ok(Math.abs(a.mtimeMs - 1700000000123.456) < 0.001)
  assert.deepEqual(fs.readdirSync(inside).sort(), ["a", "b"])
})

test("names that lead elsewhere are refused", (t) => {
  const { at } = temporaryFolders(t)
  for (const name of ["..", ".", "", "a/b", "/etc", "a\0b"])
    assert.throws(
      () => at(name),
      (error) => isHoldfastError(error, "ERR_INVALID_NAME"),
      name,
    )
})

test("a symlink in the place of a directory is replaced, not followed", (t) => {
  const { inside, outside, at } = temporaryFolders(t)
  fs.symlinkSync(outside, `${inside}/dir`)
  const { folder: dir } = placeDirectory(at("dir"))
  t.after(() => dir.close())
  placeSmallFile(targetIn(dir, "file"), bytes("x"), attributes)
  assert.deepEqual(fs.readdirSync(outside), [])
  assert.ok(fs.lstatSync(`${inside}/dir`).isDirectory())
})

test("a symlink in the place of a file is replaced, not written through", async (t) => {
  const { inside, outside, at } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/victim`, "untouched")
  for (const name of ["small", "large"]) fs.symlinkSync(`${outside}/victim`, `${inside}/${name}`)
  placeSmallFile(at("small"), bytes("x"), attributes)
  await placeFile(at("large"), pieces("x"), attributes)
  assert.equal(fs.readFileSync(`${outside}/victim`, "utf8"), "untouched")
  assert.ok(fs.lstatSync(`${inside}/small`).isFile() && fs.lstatSync(`${inside}/large`).isFile())
})

test("the time of a symlink is set on the link, not on what it points to", (t) => {
  const { inside, outside, at } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/victim`, "x")
  const before = fs.statSync(`${outside}/victim`).mtimeMs
  placeSymlink(at("link"), `${outside}/victim`, attributes)
  placeSymlink(at("link"), `${outside}/victim`, attributes) // again, over itself
  assert.equal(fs.readlinkSync(`${inside}/link`), `${outside}/victim`)
  assert.equal(fs.statSync(`${outside}/victim`).mtimeMs, before)
  assert.equal(Math.floor(fs.lstatSync(`${inside}/link`).mtimeMs), 1700000000123)
})

test("a failed download leaves the old file and no temporary file", async (t) => {
  const { inside, at } = temporaryFolders(t)
  fs.writeFileSync(`${inside}/a`, "old")
  async function* failing() {
    yield bytes("new")
    throw new Error("the network went away")
  }
  await assert.rejects(placeFile(at("a"), failing(), attributes), /network/)
  assert.equal(fs.readFileSync(`${inside}/a`, "utf8"), "old")
  assert.deepEqual(fs.readdirSync(inside), ["a"])
})

test("a directory that stands where a file should go is an error and stays", (t) => {
  const { inside, at } = temporaryFolders(t)
  fs.mkdirSync(`${inside}/a/b`, { recursive: true })
  assert.throws(
    () => placeSmallFile(at("a"), bytes("x"), attributes),
    (error) => isHoldfastError(error, "ERR_IS_A_DIRECTORY"),
  )
  assert.deepEqual(fs.readdirSync(inside), ["a"])
  assert.throws(() => placeSymlink(at("a"), "/etc", attributes))
  assert.deepEqual(fs.readdirSync(inside), ["a"])
})

test("a directory gets its mode and time last, and set-user-id never comes out of a tree", (t) => {
  const { inside, at } = temporaryFolders(t)
  const { folder: d } = placeDirectory(at("d"))
  t.after(() => d.close())
  finishDirectory(d, { ...attributes, mode: 0o4755, mtimeNs: 1_000_000_000n })
  const stat = fs.statSync(`${inside}/d`)
  assert.deepEqual([stat.mode & 0o7777, stat.mtimeMs], [0o755, 1000])
})

test("a folder that is swapped for a link while files are placed leads nowhere else", async (t) => {
  const { inside, outside, at } = temporaryFolders(t)
  const { folder: dir } = placeDirectory(at("dir"))
  t.after(() => dir.close())
  async function* swapping() {
    yield bytes("before ")
    fs.renameSync(`${inside}/dir`, `${inside}/moved`)
    fs.symlinkSync(outside, `${inside}/dir`)
    yield bytes("and after")
  }
  await placeFile(targetIn(dir, "large"), swapping(), attributes)
  placeSmallFile(targetIn(dir, "small"), bytes("x"), attributes)
  placeSymlink(targetIn(dir, "link"), "large", attributes)
  placeDirectory(targetIn(dir, "below")).folder.close()
  finishDirectory(dir, attributes)
  assert.deepEqual(fs.readdirSync(outside), [])
  assert.deepEqual(fs.readdirSync(`${inside}/moved`).sort(), ["below", "large", "link", "small"])
  assert.equal(fs.statSync(outside).mode & 0o777, 0o755 & ~process.umask())
})

test("a device, a pipe or a socket is never replaced", async (t) => {
  const { inside, outside, at } = temporaryFolders(t)
  execFileSync("mkfifo", [`${inside}/pipe`])
  const server = net.createServer().listen(`${inside}/socket`)
  t.after(() => server.close())
  await once(server, "listening")
  const refused = (error: unknown) => isHoldfastError(error, "ERR_ALREADY_EXISTS")
  for (const name of ["pipe", "socket"]) {
    assert.throws(() => placeSmallFile(at(name), bytes("x"), attributes), refused)
    await assert.rejects(placeFile(at(name), pieces("x"), attributes), refused)
    assert.throws(() => placeSymlink(at(name), "x", attributes), refused)
    fs.symlinkSync(`${inside}/${name}`, `${outside}/to-${name}`)
    assert.throws(() => openTarget(`${outside}/to-${name}`, "file"), refused)
  }
  if (process.getuid?.() === 0) {
    execFileSync("mknod", [`${inside}/null`, "c", "1", "3"])
    assert.throws(() => placeSmallFile(at("null"), bytes("x"), attributes), refused)
    assert.ok(fs.statSync(`${inside}/null`).isCharacterDevice())
    fs.rmSync(`${inside}/null`)
  }
  fs.symlinkSync("nowhere", `${outside}/dangling`)
  assert.throws(() => openTarget(`${outside}/dangling`, "file"), refused)
  assert.deepEqual(fs.readdirSync(inside).sort(), ["pipe", "socket"])
})

test("a link that the user named is followed to its file", (t) => {
  const { inside, outside } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/file`, "old")
  fs.symlinkSync(`${outside}/file`, `${inside}/link`)
  const target = openTarget(`${inside}/link`, "file")
  t.after(() => target.folder.close())
  placeSmallFile(target, bytes("new"), attributes)
  assert.equal(fs.readFileSync(`${outside}/file`, "utf8"), "new")
  assert.ok(fs.lstatSync(`${inside}/link`).isSymbolicLink())
})

test("the folder that the user named is made for its owner alone, its links are followed, and a file is none", (t) => {
  const { inside, outside } = temporaryFolders(t)
  const made = openDirectory(`${inside}/a/b`)
  t.after(() => made.close())
  assert.equal(fs.statSync(`${inside}/a/b`).mode & 0o777, 0o700)
  fs.symlinkSync(outside, `${inside}/link`)
  const linked = openDirectory(`${inside}/link`)
  t.after(() => linked.close())
  placeSmallFile(targetIn(linked, "file"), bytes("x"), attributes)
  assert.deepEqual(fs.readdirSync(outside), ["file"])
  for (const work of [() => openDirectory(`${outside}/file`), () => placeDirectory(targetIn(linked, "file"))])
    assert.throws(work, (error: Error) => {
      assert.match(error.message, /is a file here and a directory in the tree/)
      return isHoldfastError(error, "ERR_NOT_A_DIRECTORY")
    })
  assert.equal(fs.readFileSync(`${outside}/file`, "utf8"), "x")
})

test("a symlink with a target that no system has is refused, and nothing is left of it", (t) => {
  const { inside, at } = temporaryFolders(t)
  for (const target of ["", "a\0b"])
    assert.throws(
      () => placeSymlink(at("link"), target, attributes),
      (error) => isHoldfastError(error, "ERR_INVALID_NAME"),
    )
  assert.deepEqual(fs.readdirSync(inside), [])
})

test("what is not there yet is named as it is, and a symlink goes in the place of a link, not of what that points to", (t) => {
  const { inside, outside } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/file`, "kept")
  fs.symlinkSync(`${outside}/file`, `${inside}/link`)
  for (const [kind, name] of [
    ["file", "new"],
    ["symlink", "new"],
    ["symlink", "link"],
  ] as const) {
    const target = openTarget(`${inside}/${name}`, kind)
    t.after(() => target.folder.close())
    assert.deepEqual([target.folder.path, target.name], [inside, name])
  }
})

test("parts that nobody writes any more are removed, and nothing else", (t) => {
  const { inside } = temporaryFolders(t)
  const hourMs = 3_600_000
  const names = [".holdfast-56ebf361ac6d-0.part", ".holdfast-56ebf361ac6d-zz.part", ".holdfast-x.part", "a.part", "a"]
  for (const name of names) fs.writeFileSync(`${inside}/${name}`, "")
  fs.mkdirSync(`${inside}/.holdfast-56ebf361ac6d-1.part`)
  const folder = Folder.open(inside)
  t.after(() => folder.close())
  fs.utimesSync(`${inside}/${names[0]!}`, 0, 0) // that of what is fetched, already
  removeOldParts(folder, Date.now())
  assert.equal(fs.readdirSync(inside).length, 6, "another download may be writing them")
  removeOldParts(folder, Date.now() + 2 * hourMs)
  assert.deepEqual(fs.readdirSync(inside).sort(), [".holdfast-56ebf361ac6d-1.part", ".holdfast-x.part", "a", "a.part"])
})
