/** Folders that somebody else may write: names stay in them, no link is followed, and what is no file of ours is not read. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { utf8 } from "../src/index.ts"
import { checkFile, Folder } from "../src/node/index.ts"

function opened(t: TestContext) {
  const base = fs.mkdtempSync(join(tmpdir(), "holdfast-folder-"))
  t.after(() => fs.rmSync(base, { recursive: true, force: true }))
  const [path, outside] = [join(base, "inside"), join(base, "outside")]
  for (const one of [path, outside]) fs.mkdirSync(one)
  fs.writeFileSync(join(outside, "secret"), "secret")
  const folder = Folder.open(path)
  t.after(() => folder.close())
  return { folder, path, outside }
}

test("only single names are looked up in a folder", (t) => {
  const { folder } = opened(t)
  for (const name of ["", ".", "..", "a/b", "/", "../outside", "a\0b"]) {
    assert.throws(() => folder.at(name), /a single name/, JSON.stringify(name))
    assert.throws(() => folder.folder(name), /a single name/)
    assert.throws(() => folder.readFile(name, 10), /a single name/)
  }
  for (const name of ["...", "..a", "a b", "ä"]) folder.writeNew(name, name)
})

test("a link is neither opened as a folder nor read as a file, and is told as what it is", (t) => {
  const { folder, path, outside } = opened(t)
  fs.symlinkSync(outside, join(path, "link"))
  fs.symlinkSync(join(outside, "secret"), join(path, "file"))
  assert.throws(() => folder.folder("link"), /ENOTDIR|ELOOP/)
  assert.throws(() => folder.readFile("file", 100), { code: "ELOOP" })
  assert.ok(folder.stat("link")?.isSymbolicLink() && folder.stat("file")?.isSymbolicLink())
  assert.throws(() => folder.writeNew("file", "over"), { code: "EEXIST" })
  assert.equal(folder.makeFolder("link"), false)
  assert.equal(fs.readFileSync(join(outside, "secret"), "utf8"), "secret")
})

test("a folder stays the one that was opened, whatever becomes of its path", (t) => {
  const { folder, path, outside } = opened(t)
  assert.equal(folder.makeFolder("below"), true)
  const below = folder.folder("below")
  t.after(() => below.close())
  fs.renameSync(path, `${path}-moved`)
  fs.symlinkSync(outside, path)
  below.writeNew("a", "a")
  folder.writeNew("b", "b")
  assert.deepEqual(
    folder
      .entries()
      .map(({ name }) => name)
      .sort(),
    ["b", "below"],
  )
  assert.deepEqual(fs.readdirSync(outside), ["secret"])
})

test("files are read up to their bound; what is larger, no file, or not there is told apart", (t) => {
  const { folder, path } = opened(t)
  folder.writeNew("ten", "0123456789")
  assert.deepEqual(folder.readFile("ten", 10), utf8("0123456789"))
  assert.throws(() => folder.readFile("ten", 9), { code: "EFBIG" })
  assert.equal(folder.readFile("none", 10), undefined)
  assert.equal(folder.stat("none"), undefined)
  execFileSync("mkfifo", [join(path, "pipe")])
  assert.throws(() => folder.readFile("pipe", 10), { code: "EINVAL" })
  fs.mkdirSync(join(path, "dir"))
  assert.throws(() => folder.readFile("dir", 10), { code: "EINVAL" })
  assert.throws(() => folder.folder("none"), { code: "ENOENT" })
  checkFile(fs.statSync(join(path, "ten")), "ten", 10)
  assert.throws(() => checkFile(fs.statSync(join(path, "ten")), "ten", 9), { code: "EFBIG" })
})

test("errors of the disk are not taken for a folder that is there, nor for a file that is not", (t) => {
  const { folder, path } = opened(t)
  assert.throws(() => folder.makeFolder("a".repeat(256)), { code: "ENAMETOOLONG" })
  assert.throws(() => folder.readFile("a".repeat(256), 10), { code: "ENAMETOOLONG" })
  assert.equal(fs.existsSync(path), true)
})
