import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import {
  childPath,
  finishDirectory,
  placeDirectory,
  placeFile,
  placeSmallFile,
  placeSymlink,
} from "../src/transfer/place.ts"

const attributes = { mode: 0o640, mtimeNs: 1700000000123456000n }
const bytes = (text: string) => new TextEncoder().encode(text)

function temporaryFolders(t: { after(done: () => void): void }) {
  const base = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-place-"))
  t.after(() => fs.rmSync(base, { recursive: true, force: true }))
  const [inside, outside] = [`${base}/inside`, `${base}/outside`]
  fs.mkdirSync(inside)
  fs.mkdirSync(outside)
  return { inside, outside }
}

async function* pieces(...texts: string[]) {
  for (const text of texts) yield bytes(text)
}

test("a file gets its content, mode and time", async (t) => {
  const { inside } = temporaryFolders(t)
  await placeFile(`${inside}/a`, pieces("hello ", "world"), attributes)
  placeSmallFile(`${inside}/b`, bytes("small"), { ...attributes, mode: 0o444 })
  assert.equal(fs.readFileSync(`${inside}/a`, "utf8"), "hello world")
  const [a, b] = [fs.statSync(`${inside}/a`), fs.statSync(`${inside}/b`)]
  assert.deepEqual([a.mode & 0o7777, b.mode & 0o7777], [0o640, 0o444])
  assert.ok(Math.abs(a.mtimeMs - 1700000000123.456) < 0.001)
  assert.deepEqual(fs.readdirSync(inside).sort(), ["a", "b"])
})

test("names that lead elsewhere are refused", () => {
  for (const name of ["..", ".", "", "a/b", "/etc", "a\0b"])
    assert.throws(
      () => childPath("/x", name),
      (error) => isHoldfastError(error, "ERR_INVALID_NAME"),
      name,
    )
})

test("a symlink in the place of a directory is replaced, not followed", (t) => {
  const { inside, outside } = temporaryFolders(t)
  fs.symlinkSync(outside, `${inside}/dir`)
  placeDirectory(`${inside}/dir`)
  placeSmallFile(`${inside}/dir/file`, bytes("x"), attributes)
  assert.deepEqual(fs.readdirSync(outside), [])
  assert.ok(fs.lstatSync(`${inside}/dir`).isDirectory())
})

test("a symlink in the place of a file is replaced, not written through", async (t) => {
  const { inside, outside } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/victim`, "untouched")
  for (const name of ["small", "large"]) fs.symlinkSync(`${outside}/victim`, `${inside}/${name}`)
  placeSmallFile(`${inside}/small`, bytes("x"), attributes)
  await placeFile(`${inside}/large`, pieces("x"), attributes)
  assert.equal(fs.readFileSync(`${outside}/victim`, "utf8"), "untouched")
  assert.ok(fs.lstatSync(`${inside}/small`).isFile() && fs.lstatSync(`${inside}/large`).isFile())
})

test("the time of a symlink is set on the link, not on what it points to", (t) => {
  const { inside, outside } = temporaryFolders(t)
  fs.writeFileSync(`${outside}/victim`, "x")
  const before = fs.statSync(`${outside}/victim`).mtimeMs
  placeSymlink(`${inside}/link`, `${outside}/victim`, attributes)
  placeSymlink(`${inside}/link`, `${outside}/victim`, attributes) // again, over itself
  assert.equal(fs.readlinkSync(`${inside}/link`), `${outside}/victim`)
  assert.equal(fs.statSync(`${outside}/victim`).mtimeMs, before)
  assert.equal(Math.floor(fs.lstatSync(`${inside}/link`).mtimeMs), 1700000000123)
})

test("a failed download leaves the old file and no temporary file", async (t) => {
  const { inside } = temporaryFolders(t)
  fs.writeFileSync(`${inside}/a`, "old")
  async function* failing() {
    yield bytes("new")
    throw new Error("the network went away")
  }
  await assert.rejects(placeFile(`${inside}/a`, failing(), attributes), /network/)
  assert.equal(fs.readFileSync(`${inside}/a`, "utf8"), "old")
  assert.deepEqual(fs.readdirSync(inside), ["a"])
})

test("a directory that stands where a file should go is an error and stays", (t) => {
  const { inside } = temporaryFolders(t)
  fs.mkdirSync(`${inside}/a/b`, { recursive: true })
  assert.throws(
    () => placeSmallFile(`${inside}/a`, bytes("x"), attributes),
    (error) => isHoldfastError(error, "ERR_IS_A_DIRECTORY"),
  )
  assert.deepEqual(fs.readdirSync(inside), ["a"])
  assert.throws(() => placeSymlink(`${inside}/a`, "/etc", attributes))
  assert.deepEqual(fs.readdirSync(inside), ["a"])
})

test("a directory gets its mode and time last, and set-user-id never comes out of a tree", (t) => {
  const { inside } = temporaryFolders(t)
  placeDirectory(`${inside}/d`)
  finishDirectory(`${inside}/d`, { mode: 0o4755, mtimeNs: 1_000_000_000n })
  const stat = fs.statSync(`${inside}/d`)
  assert.deepEqual([stat.mode & 0o7777, stat.mtimeMs], [0o755, 1000])
})
