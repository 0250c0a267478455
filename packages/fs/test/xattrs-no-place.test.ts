/** Extended attributes where the file system keeps none: `ramfs`, which root can mount. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { download } from "../src/node/download.ts"
import { upload } from "../src/node/upload.ts"
import { setUp } from "./local-folders.ts"
import { set, skip } from "./xattr-tools.ts"

/** A file and a folder that have attributes, stored, and a place that keeps none; undefined where none can be mounted. */
async function setUpWithout(t: TestContext) {
  const { from, home, options, problems } = await setUp(t)
  const to = fs.mkdtempSync(join(tmpdir(), "holdfast-ramfs-"))
  try {
    execFileSync("mount", ["-t", "ramfs", "ramfs", to], { stdio: "ignore" })
  } catch {
    fs.rmdirSync(to)
    assert.notEqual(process.env["HOLDFAST_REQUIRE_ALL"], "1", "nothing can be mounted here")
    t.skip("mounting a file system without attributes is root's to do")
    return undefined
  }
  t.after(() => {
    execFileSync("umount", [to])
    fs.rmdirSync(to)
  })
  fs.mkdirSync(`${from}/d`)
  for (const name of ["f", "d/g"]) fs.writeFileSync(`${from}/${name}`, name)
  for (const name of ["f", "d"]) set(`${from}/${name}`, "user.mine", "01")
  const store = async () => {
    await upload(home.writer(), from, ["x"], options)
    return (await home.lookup(["x"]))!
  }
  let told = 0
  const more = { ...options, onWithoutXattrs: () => void told++ }
  return { to, from, home, options: more, problems, store, told: () => told }
}

test("where a file system keeps no attributes files come without those of users, which is no problem of any", {
  skip,
}, async (t) => {
  const place = await setUpWithout(t)
  if (!place) return
  const { to, options, problems, store, told } = place
  const item = await store()
  assert.equal((await download(item, `${to}/x`, options)).files, 2)
  assert.equal(fs.readFileSync(`${to}/x/d/g`, "utf8"), "d/g")
  assert.deepEqual([told(), problems], [2, []])
  const again = await download(item, `${to}/x`, options)
  assert.deepEqual([again.files, again.unchanged, told(), problems], [0, 2, 4, []], "and nothing is written anew")
})

test("where a file system keeps no attributes, an ACL and a program's capabilities that are asked for are problems", {
  skip,
}, async (t) => {
  const place = await setUpWithout(t)
  if (!place) return
  const { to, from, options, problems, store } = place
  const acl = "0200000001000600ffffffff02000400d204000004000400ffffffff10000400ffffffff20000000ffffffff"
  set(`${from}/f`, "system.posix_acl_access", acl)
  set(`${from}/d/g`, "security.capability", "0100000200200000000000000000000000000000")
  await download(await store(), `${to}/x`, { ...options, owner: true, specialBits: true })
  const told = problems.map(({ message }) =>
    /([^/]*)" is kept without its extended attributes: (.*)\.$/.exec(message)?.slice(1),
  )
  assert.deepEqual(told.sort(), [
    ["f", "system.posix_acl_access (ENOTSUP)"],
    ["g", "security.capability (ENOTSUP)"],
  ])
})

test("what comes back from a file system that keeps no attributes has those that it had when it was stored", {
  skip,
}, async (t) => {
  const place = await setUpWithout(t)
  if (!place) return
  const { to, from, options, problems, store, home } = place
  set(`${from}/f`, "security.capability", "0100000200200000000000000000000000000000")
  const item = await store()
  await download(item, `${to}/x`, options)
  const back = await upload(home.writer(), `${to}/x`, ["x"], options)
  assert.deepEqual([back.files, back.unchanged], [0, 2], "nothing is stored again")
  const namesOf = async (...path: string[]) => [...((await home.lookup(["x", ...path]))!.entry.xattrs?.keys() ?? [])]
  assert.deepEqual([await namesOf("f"), await namesOf("d")], [["security.capability", "user.mine"], ["user.mine"]])

  const { atime, mtime } = fs.statSync(`${to}/x/f`)
  fs.writeFileSync(`${to}/x/f`, "g") // as long as before, and as old
  fs.utimesSync(`${to}/x/f`, atime, mtime)
  await upload(home.writer(), `${to}/x`, ["x"], { ...options, overwrite: true })
  assert.deepEqual(await namesOf("f"), ["user.mine"], "nor what only looks like the program")

  fs.writeFileSync(`${to}/x/f`, "another program")
  fs.writeFileSync(`${to}/x/d/g`, "changed")
  fs.writeFileSync(`${to}/x/d/new`, "new")
  assert.equal((await upload(home.writer(), `${to}/x`, ["x"], options)).files, 3)
  assert.deepEqual(await namesOf("f"), ["user.mine"], "a program's capabilities are not another's")
  assert.deepEqual([await namesOf("d"), await namesOf("d", "g"), await namesOf("d", "new")], [["user.mine"], [], []])
  assert.deepEqual(problems, [])
})
