import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { localError } from "@holdfast/core/node"
import fc from "fast-check"
import { folderIdentity, inspect, ownIdentities, sameTime, utimesValue, walkLocal } from "../src/node/local.ts"
import type { Problem } from "../src/node/problem.ts"
import { escapedName } from "../src/node/raw-name.ts"

function temporaryFolder(t: { after(done: () => void): void }): string {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-local-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

function walk(root: string, ownFolders: ReadonlySet<string> = new Set()) {
  const problems: Problem[] = []
  const leftOut: string[] = []
  const options = { onProblem: (problem: Problem) => void problems.push(problem), ownFolders }
  const items = [...walkLocal(root, { ...options, onLeftOut: (text) => void leftOut.push(text) })]
  return { items, problems, leftOut, names: items.map((item) => item.path.join("/")) }
}

test("a walk gives each folder before what is in it, in order", (t) => {
  const root = temporaryFolder(t)
  fs.mkdirSync(`${root}/b/c`, { recursive: true })
  fs.writeFileSync(`${root}/b/c/1`, "x")
  fs.writeFileSync(`${root}/b/0`, "x")
  fs.writeFileSync(`${root}/a`, "x")
  fs.symlinkSync("a", `${root}/z`)
  const { names, items, problems } = walk(root)
  assert.deepEqual(names, ["", "a", "b", "b/0", "b/c", "b/c/1", "z"])
  assert.deepEqual(problems, [])
  assert.equal(items.at(-1)!.target, "a")
})

test("mode and nanoseconds of the modification time are read exactly", (t) => {
  const root = temporaryFolder(t)
  fs.writeFileSync(`${root}/a`, "abc", { mode: 0o640 })
  fs.chmodSync(`${root}/a`, 0o640)
  execFileSync("touch", ["-d", "2021-02-03T04:05:06.123456789Z", `${root}/a`])
  const item = inspect(["a"], `${root}/a`)
  assert.deepEqual([item.mode, item.mtimeNs, item.sizeBytes], [0o640, 1612325106123456789n, 3])
})

test("a time set through utimesValue comes back as the same time, before 1970 too", (t) => {
  const file = `${temporaryFolder(t)}/a`
  fs.writeFileSync(file, "")
  for (const ns of [0n, 1n, 1763685600999999999n, 1700000000123456789n, -1_500_000_000n]) {
    fs.lutimesSync(file, utimesValue(ns), utimesValue(ns))
    assert.ok(sameTime(fs.lstatSync(file, { bigint: true }).mtimeNs, ns), String(ns))
  }
  assert.ok(!sameTime(0n, 1000n))
})

test("a name that is not UTF-8 is reported and the rest is walked", (t) => {
  const root = temporaryFolder(t)
  fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.from([0xff])]), "x")
  fs.writeFileSync(`${root}/\ufffd`, "a true replacement character")
  fs.writeFileSync(`${root}/good`, "x")
  const { names, problems } = walk(root)
  assert.deepEqual(names, ["", "good", "\ufffd"])
  assert.equal(problems.length, 1)
  assert.equal(problems[0]!.code, "ERR_INVALID_NAME")
  assert.match(problems[0]!.message, /bad\\xFF.*not valid UTF-8/)
})

test("names that are not UTF-8 are told apart from each other and from any other name, with their bytes", (t) => {
  const root = temporaryFolder(t)
  const latin1 = (name: string) => Buffer.from(name, "latin1")
  const names = [latin1("ä"), latin1("\\xE4ä"), latin1("ÿ"), Buffer.concat([Buffer.from("ä漢"), latin1("ä€")])]
  fs.mkdirSync(Buffer.concat([Buffer.from(`${root}/`), latin1("Bücher")]))
  for (const name of names) fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/`), name]), "")
  const { problems } = walk(root)
  const told = problems.map(({ path }) => path)
  const expected = ["B\\xFCcher", "\\xE4", "\\\\xE4\\xE4", "\\xFF", "ä漢\\xE4\\xAC"]
  assert.deepEqual(told.toSorted(), expected.map((name) => `${root}/${name}`).toSorted())
  for (const { path, pathHex, message } of problems) {
    const bytes = Buffer.from(pathHex!, "hex")
    assert.ok(fs.existsSync(bytes), path)
    const shell = execFileSync("bash", ["--norc", "-c", 'printf %b "$1"', "-", path], { env: { LC_ALL: "C" } })
    assert.deepEqual(shell, bytes, path)
    assert.ok(message.includes(path))
  }
})

test("any bytes have one escaped form, from which they follow", () => {
  const unescaped = (text: string) => {
    const pieces = text.matchAll(/\\\\|\\x([0-9A-F]{2})|[^\\]/gsu)
    return Buffer.concat(
      [...pieces].map(([all, hex]) =>
        hex ? Buffer.from(hex, "hex") : Buffer.from(all.slice(0, all === "\\\\" ? 1 : undefined)),
      ),
    )
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      assert.deepEqual(unescaped(escapedName(bytes)), Buffer.from(bytes))
    }),
  )
})

test("a pipe in a folder is left out and told, and is a problem only where it was named", (t) => {
  const root = temporaryFolder(t)
  execFileSync("mkfifo", [`${root}/pipe`])
  const { names, problems, leftOut } = walk(root)
  assert.deepEqual(names, [""])
  assert.deepEqual(problems, [])
  assert.match(leftOut[0]!, /pipe/)
  assert.equal(walk(`${root}/pipe`).problems[0]!.code, "ERR_INVALID_ARGUMENT")
})

test("own folders are left out below what was named, by whatever path they are known", (t) => {
  const root = temporaryFolder(t)
  for (const name of ["home/a/own/deep", "home/b"]) fs.mkdirSync(`${root}/${name}`, { recursive: true })
  fs.symlinkSync("home/a/own", `${root}/link`)
  const own = new Set([folderIdentity(`${root}/link`)!])
  assert.equal(folderIdentity(`${root}/none`), undefined)
  const { names, problems, leftOut } = walk(`${root}/home`, own)
  assert.deepEqual(names, ["", "a", "b"])
  assert.deepEqual(problems, [])
  assert.match(leftOut[0]!, /home\/a\/own" was left out/)
  assert.deepEqual(walk(`${root}/home/a/own`, own).names, ["", "deep"])
})

test("a symlink that points to its own folder does not make the walk endless", (t) => {
  const root = temporaryFolder(t)
  fs.symlinkSync(".", `${root}/loop`)
  assert.deepEqual(walk(root).names, ["", "loop"])
})

test("a full disk becomes ERR_DISK_FULL and names the file", () => {
  const error = localError(Object.assign(new Error("no space"), { code: "ENOSPC" }), "/data/x")
  assert.ok(isHoldfastError(error, "ERR_DISK_FULL"))
  assert.match(error.message, /\/data\/x/)
})

test("what an interrupted download left is left out and told, unless it is what was named", (t) => {
  const root = temporaryFolder(t)
  const part = ".holdfast-56ebf361ac6d-0.part"
  for (const name of [part, ".holdfast-notes.part", "a.part"]) fs.writeFileSync(`${root}/${name}`, "half")
  const { names, problems, leftOut } = walk(root)
  assert.deepEqual(names, ["", ".holdfast-notes.part", "a.part"])
  assert.deepEqual(problems, [])
  assert.match(leftOut[0]!, /56ebf361ac6d-0\.part" was left out: an interrupted `get` left it/)
  assert.deepEqual(walk(`${root}/${part}`).names, [""])
})

test("the index of a volume's directory is never read, also where that was named, or a link to it", (t) => {
  const root = temporaryFolder(t)
  fs.mkdirSync(`${root}/place`)
  for (const name of ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "holdfast-volume"])
    fs.writeFileSync(`${root}/place/${name}`, "x")
  fs.writeFileSync(`${root}/index.sqlite`, "of another program")
  fs.symlinkSync("place/index.sqlite", `${root}/link`)
  const own = ownIdentities([`${root}/place`])
  const { names, leftOut } = walk(`${root}/place`, own)
  assert.deepEqual(names, ["", "holdfast-volume"])
  assert.equal(leftOut.length, 3)
  for (const named of ["place/index.sqlite", "link"]) assert.deepEqual(walk(`${root}/${named}`, own).names, [])
  assert.deepEqual(walk(`${root}/index.sqlite`, own).names, [""])
  fs.mkdirSync(`${root}/others`)
  for (const end of ["", "-wal", "-shm"]) fs.linkSync(`${root}/place/index.sqlite${end}`, `${root}/others/notes${end}`)
  assert.deepEqual(walk(`${root}/others`, own).names, [""])
  assert.deepEqual(walk(`${root}/others/notes`, own).names, [])
  assert.deepEqual(walk(`${root}/place`).names.length, 5, "nobody said that it is one's own")
})
