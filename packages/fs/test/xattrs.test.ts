/** Extended attributes, seen and made by another program (Python). */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { posix } from "@holdfast/core/node"
import { download } from "../src/node/download.ts"
import { upload } from "../src/node/upload.ts"
import { setUp } from "./local-folders.ts"
import { of, python, set, skip } from "./xattr-tools.ts"

/** Owner rw, user 1234 r, group r, mask r, others nothing: version 2, then tag, permissions and id of each. */
const acl = [
  "02000000",
  "01000600ffffffff",
  "02000400d2040000",
  "04000400ffffffff",
  "10000400ffffffff",
  "20000000ffffffff",
].join("")

test("extended attributes of files and folders go up and come down, and alone are a change", { skip }, async (t) => {
  const { from, to, home, options, problems } = await setUp(t)
  fs.mkdirSync(`${from}/d`)
  fs.writeFileSync(`${from}/d/small`, "small")
  fs.writeFileSync(`${from}/d/large`, Buffer.alloc(700_000, 7))
  fs.writeFileSync(`${from}/plain`, "plain")
  set(`${from}/d`, "user.colour", "ff00")
  set(`${from}/d/small`, "user.origin", Buffer.from("https://example.org").toString("hex"))
  set(`${from}/d/small`, "user.empty", "")
  set(`${from}/d/large`, "user.__proto__", "00")
  await upload(home.writer(), from, ["x"], options)
  const fetched = (await home.lookup(["x"]))!
  await download(fetched, to, options)
  for (const name of ["d", "d/small", "d/large", "plain"]) assert.deepEqual(of(`${to}/${name}`), of(`${from}/${name}`))
  assert.deepEqual(of(`${to}/d/small`)["user.empty"], "")

  const again = await upload(home.writer(), from, ["x"], options)
  assert.deepEqual([again.files, again.unchanged], [0, 3])
  const { mtimeMs } = fs.statSync(`${from}/plain`)
  set(`${from}/plain`, "user.new", "01")
  assert.equal(fs.statSync(`${from}/plain`).mtimeMs, mtimeMs)
  const third = await upload(home.writer(), from, ["x"], options)
  assert.deepEqual([third.files, third.bytes], [1, 0], "its content is not stored again")
  assert.deepEqual([...(await home.lookup(["x", "plain"]))!.entry.xattrs!.keys()], ["user.new"])
  await download((await home.lookup(["x"]))!, to, options)
  assert.deepEqual(of(`${to}/plain`), { "user.new": "01" })
  python("os.removexattr(a[0], a[1])", `${from}/plain`, "user.new")
  await upload(home.writer(), from, ["x"], options)
  assert.equal((await home.lookup(["x", "plain"]))!.entry.xattrs, null)
  assert.deepEqual(problems, [])
})

test("ACLs come down with owners only, and capabilities of programs with special bits too", { skip }, async (t) => {
  if (process.getuid?.() !== 0) return t.skip("restoring owners is root's to do")
  const { from, to, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/f`, "f", { mode: 0o640 })
  set(`${from}/f`, "system.posix_acl_access", acl)
  set(`${from}/f`, "security.capability", "0100000200200000000000000000000000000000") // cap_net_raw
  set(`${from}/f`, "trusted.mine", "01")
  await upload(home.writer(), from, ["x"], options)
  const item = (await home.lookup(["x"]))!
  await download(item, to, options)
  assert.deepEqual(of(`${to}/f`), {}, "they name users of another machine")
  await download(item, `${to}-owned`, { ...options, owner: true })
  assert.deepEqual(Object.keys(of(`${to}-owned/f`)), ["system.posix_acl_access"], "the tree may be a stranger's")
  await download(item, `${to}-owned`, { ...options, owner: true, specialBits: true })
  t.after(() => fs.rmSync(`${to}-owned`, { recursive: true, force: true }))
  const { "trusted.mine": _, ...kept } = of(`${from}/f`)
  assert.deepEqual(of(`${to}-owned/f`), kept)
  assert.equal((await download(item, `${to}-owned`, { ...options, owner: true })).unchanged, 0)
  assert.equal(of(`${to}-owned/f`)["security.capability"], undefined)
  assert.equal(Object.keys(kept).length, 2)
  assert.equal(fs.statSync(`${to}-owned/f`).mode & 0o777, fs.statSync(`${from}/f`).mode & 0o777)
  assert.deepEqual(problems, [])
})

test("attributes that a place does not take are told, and the file is kept", {
  skip,
}, async (t) => {
  const { from, to, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/f`, "kept")
  set(`${from}/f`, "user.a", "01")
  await upload(home.writer(), from, ["x"], options)
  const item = (await home.lookup(["x", "f"]))!
  fs.mkdirSync(to)
  const strange = new Map([["user.", new Uint8Array(1)]]) // no name, which the system refuses
  await download({ ...item, entry: { ...item.entry, xattrs: strange } } as typeof item, `${to}/f`, options)
  assert.equal(fs.readFileSync(`${to}/f`, "utf8"), "kept")
  assert.match(problems.map(({ message }) => message).join(), /f" is kept without its extended attributes: user\. \(E/)
})

test("a tree cannot set attributes that mean something to the system", { skip }, async (t) => {
  const { from, to, home, options } = await setUp(t)
  fs.writeFileSync(`${from}/f`, "f")
  await upload(home.writer(), from, ["x"], options)
  const item = (await home.lookup(["x", "f"]))!
  fs.mkdirSync(to)
  const names = ["trusted.overlay.opaque", "security.ima", "security.selinux", "system.posix_acl_access", "USER.x"]
  const xattrs = new Map(names.map((name) => [name, Buffer.from(acl, "hex")] as const))
  await download({ ...item, entry: { ...item.entry, xattrs } } as typeof item, `${to}/f`, options)
  assert.deepEqual(of(`${to}/f`), {})
})

test("times come down to the nanosecond, before 1970 too", { skip }, async (t) => {
  const { from, to, home, options } = await setUp(t)
  for (const [name, ns] of [
    ["now", 1_790_000_000_123_456_789n],
    ["early", -1_234_567_890_000_000_011n],
  ] as const) {
    fs.writeFileSync(`${from}/${name}`, name)
    python("t = int(a[1]); os.utime(a[0], ns=(t, t))", `${from}/${name}`, String(ns))
    assert.equal(fs.statSync(`${from}/${name}`, { bigint: true }).mtimeNs, ns)
  }
  await upload(home.writer(), from, ["x"], options)
  await download((await home.lookup(["x"]))!, to, options)
  for (const name of ["now", "early"])
    assert.equal(
      fs.statSync(`${to}/${name}`, { bigint: true }).mtimeNs,
      fs.statSync(`${from}/${name}`, { bigint: true }).mtimeNs,
    )
})

test("what the C library has is there where it is installed", { skip }, () => {
  assert.ok(posix(), "koffi is an optional dependency, and on this machine it should work")
})
