/** Extended attributes of files that somebody else changes, of places that refuse them, and ACLs where others have a say too. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { type TestContext, test } from "node:test"
import { download } from "../src/node/download.ts"
import { inspect } from "../src/node/local.ts"
import { openLocal } from "../src/node/read-local.ts"
import { upload } from "../src/node/upload.ts"
import { setUp } from "./local-folders.ts"
import { of, python, set, skip } from "./xattr-tools.ts"

const builtin = createRequire(import.meta.url)("node:fs") as { lstatSync: typeof fs.lstatSync }
const isRoot = process.getuid?.() === 0
const acls = "system.posix_acl_access"
const defaults = "system.posix_acl_default"

/** An ACL in hexadecimal: version 2, then owner, user 1234, group, mask, others, each with what it may. */
function acl(owner: number, user: number, group: number, mask: number, others: number): string {
  const entry = (tag: string, may: number, id = "ffffffff") => `${tag}000${may}00${id}`
  const entries = [entry("01", owner), entry("02", user, "d2040000"), entry("04", group), entry("10", mask)]
  return `02000000${entries.join("")}${entry("20", others)}`
}

async function setUpStored(t: TestContext) {
  const world = await setUp(t)
  const { from, home, options } = world
  const put = () => upload(home.writer(), from, ["x"], options)
  return { ...world, put, entry: async (name: string) => (await home.lookup(["x", name]))!.entry }
}

test("attributes whose names are not UTF-8 are told, once, and the others are kept", { skip }, async (t) => {
  const { from, home, options, put, entry, problems } = await setUpStored(t)
  fs.mkdirSync(`${from}/f`)
  fs.writeFileSync(`${from}/f/in it`, "")
  await put()
  fs.rmSync(`${from}/f`, { recursive: true })
  fs.writeFileSync(`${from}/f`, "f")
  python("os.setxattr(a[0], b'user.\\xff', b'1'); os.setxattr(a[0], 'user.kept', b'1')", `${from}/f`)
  await upload(home.writer(), from, ["x"], { ...options, mirror: true })
  assert.deepEqual([...(await entry("f")).xattrs!.keys()], ["user.kept"])
  assert.equal(problems.length, 1)
  assert.match(problems[0]!.message, /f" is kept without its extended attributes whose names are not valid UTF-8\.$/)
})

test("what cannot be read of attributes leaves those that are stored", { skip }, async (t) => {
  if (!isRoot) return t.skip("becoming another user is root's to do")
  const { base, from, put, entry, problems } = await setUpStored(t)
  fs.chmodSync(base, 0o755)
  fs.chmodSync(from, 0o755)
  fs.writeFileSync(`${from}/f`, "f", { mode: 0o600 })
  set(`${from}/f`, "user.mine", "01")
  await put()
  process.seteuid!(65_534)
  try {
    await put()
  } finally {
    process.seteuid!(0)
  }
  assert.deepEqual([...((await entry("f")).xattrs?.keys() ?? [])], ["user.mine"])
  assert.match(problems[0]!.message, /attributes, as they cannot be read: getxattr: EACCES\.$/)
})

test("a file that comes in the place of one with attributes does not get them", { skip }, async (t) => {
  const { from } = await setUp(t)
  const [path, other] = [`${from}/f`, `${from}/other`]
  fs.writeFileSync(path, "seen")
  set(path, "user.seen", "01")
  const item = inspect(["f"], path)
  assert.deepEqual([...item.xattrs!.keys()], ["user.seen"])
  fs.writeFileSync(other, "read")
  fs.renameSync(other, path)
  const opened = openLocal(item)
  fs.closeSync(opened.file)
  assert.equal(opened.item.xattrs, null)
})

test("nor does one that is put aside while they are read, and back", { skip }, async (t) => {
  const { from } = await setUp(t)
  const [path, aside, other] = [`${from}/f`, `${from}/aside`, `${from}/other`]
  fs.writeFileSync(path, "mine")
  fs.writeFileSync(other, "privileged")
  set(other, "user.other", "01")
  set(path, "user.mine", "01")
  const { lstatSync } = builtin
  t.after(() => {
    builtin.lstatSync = lstatSync
    syncBuiltinESMExports()
  })
  let calls = 0
  const swapped = (...args: Parameters<typeof fs.lstatSync>) => {
    if (++calls === 2)
      for (const [old, now] of [
        [path, other],
        [aside, path],
      ] as const)
        fs.renameSync(old, now)
    const stat = lstatSync(...args)
    if (calls === 1)
      for (const [old, now] of [
        [path, aside],
        [other, path],
      ] as const)
        fs.renameSync(old, now)
    return stat
  }
  builtin.lstatSync = swapped as typeof fs.lstatSync
  syncBuiltinESMExports()
  const item = inspect(["f"], path)
  assert.deepEqual([calls, item.xattrs], [2, undefined])
})

test("a symlink in the place of a file has none of its attributes", { skip }, async (t) => {
  const { from, put, entry } = await setUpStored(t)
  fs.writeFileSync(`${from}/f`, "f")
  set(`${from}/f`, "user.mine", "01")
  await put()
  fs.rmSync(`${from}/f`)
  fs.symlinkSync("elsewhere", `${from}/f`)
  await put()
  const { kind, xattrs } = await entry("f")
  assert.deepEqual([kind, xattrs], ["symlink", null])
})

test("a file that has no name any more is stored by its descriptor, with its attributes", { skip }, async (t) => {
  const { from, home, options, problems } = await setUp(t)
  fs.writeFileSync(`${from}/f`, "nameless")
  set(`${from}/f`, "user.mine", "01")
  const file = fs.openSync(`${from}/f`, "r")
  t.after(() => fs.closeSync(file))
  fs.rmSync(`${from}/f`)
  await upload(home.writer(), `/proc/self/fd/${file}`, ["f"], options)
  assert.deepEqual(problems, [])
  assert.deepEqual([...(await home.lookup(["f"]))!.entry.xattrs!.keys()], ["user.mine"])
})

test("a file that lacks attributes alone is not written anew, whether the place takes them or not", {
  skip,
}, async (t) => {
  const { from, to, home, options, put, problems } = await setUpStored(t)
  fs.writeFileSync(`${from}/f`, "f")
  await put()
  const item = (await home.lookup(["x", "f"]))!
  fs.mkdirSync(to)
  const fetch = (xattrs: Record<string, string>) => {
    const map = new Map(Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value)]))
    return download({ ...item, entry: { ...item.entry, xattrs: map } } as typeof item, `${to}/f`, options)
  }
  await fetch({})
  const { ino } = fs.statSync(`${to}/f`)
  assert.equal((await fetch({ "user.new": "1" })).files, 1)
  assert.deepEqual(of(`${to}/f`), { "user.new": "31" })
  assert.equal((await fetch({ "user.new": "1" })).unchanged, 1)
  assert.deepEqual(problems, [])
  const refused = await fetch({ "user.": "no name, which the system refuses" })
  assert.deepEqual([refused.files, refused.unchanged, problems.length], [0, 1, 1])
  assert.equal(fs.statSync(`${to}/f`).ino, ino)
  fs.linkSync(`${to}/f`, `${to}/other name`)
  await fetch({ "user.new": "2" })
  assert.deepEqual(of(`${to}/other name`), { "user.new": "31" }, "another name may be a copy that was kept of it")
})

test("owners come down without rights that the folder's default ACL gives", { skip }, async (t) => {
  if (!isRoot) return t.skip("restoring owners is root's to do")
  const { from, to, home, options, put, problems } = await setUpStored(t)
  fs.mkdirSync(`${from}/d`)
  for (const name of ["private", "d/private"]) fs.writeFileSync(`${from}/${name}`, "p", { mode: 0o640 })
  await put()
  fs.mkdirSync(to)
  set(to, defaults, acl(7, 7, 5, 7, 5))
  const fetch = async () => download((await home.lookup(["x"]))!, to, { ...options, owner: true })
  await fetch()
  for (const name of ["private", "d", "d/private"]) assert.deepEqual(of(`${to}/${name}`), {}, name)
  assert.equal(fs.statSync(`${to}/private`).mode & 0o777, 0o640)
  set(`${to}/private`, acls, acl(6, 6, 4, 4, 0))
  await fetch()
  assert.deepEqual(of(`${to}/private`), {}, "nor one that was given since")
  assert.deepEqual(problems, [])
})

test("an ACL follows a mode that was changed by who knows no ACLs", { skip }, async (t) => {
  if (!isRoot) return t.skip("restoring owners is root's to do")
  const { from, to, home, options, put, entry } = await setUpStored(t)
  fs.writeFileSync(`${from}/f`, "f")
  set(`${from}/f`, acls, acl(6, 6, 4, 6, 4))
  await put()
  const { kind, ...before } = await entry("f")
  assert.ok(kind === "file" && "content" in before)
  const { uid, gid, mtimeNs, content } = before
  await home.writer().commit([{ path: ["x", "f"], kind: "file", mode: 0o600, uid, gid, mtimeNs, content }])
  const fetch = async () => download((await home.lookup(["x"]))!, to, { ...options, owner: true })
  await fetch()
  assert.equal(fs.statSync(`${to}/f`).mode & 0o777, 0o600)
  assert.equal(of(`${to}/f`)[acls], acl(6, 6, 4, 0, 0))
  assert.equal((await fetch()).unchanged, 1)
})

test("a group gets no rights from an ACL that stays behind", { skip }, async (t) => {
  const { from, to, home, options, put } = await setUpStored(t)
  fs.writeFileSync(`${from}/f`, "f")
  set(`${from}/f`, acls, acl(6, 6, 0, 6, 0))
  assert.equal(fs.statSync(`${from}/f`).mode & 0o777, 0o660, "the mask of the ACL")
  await put()
  const fetch = async () => download((await home.lookup(["x"]))!, to, options)
  await fetch()
  assert.equal(fs.statSync(`${to}/f`).mode & 0o777, 0o600)
  assert.equal((await fetch()).unchanged, 1)
})
