/** What `get` says where a file system keeps no extended attributes. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { posix } from "@holdfast/core/node"
import { createHarness } from "./files-harness.ts"

test("get onto a file system without attributes says once how many came without, and fails for none of them", async (t) => {
  const calls = posix()
  if (!calls) return t.skip("extended attributes take Linux and koffi")
  const { folder, run, json, warnings } = await createHarness(t)
  const [from, to] = [`${folder}/from`, fs.mkdtempSync(join(tmpdir(), "holdfast-ramfs-"))]
  try {
    execFileSync("mount", ["-t", "ramfs", "ramfs", to], { stdio: "ignore" })
  } catch {
    fs.rmdirSync(to)
    assert.notEqual(process.env["HOLDFAST_REQUIRE_ALL"], "1", "nothing can be mounted here")
    return t.skip("mounting a file system without attributes is root's to do")
  }
  t.after(() => {
    execFileSync("umount", [to])
    fs.rmdirSync(to)
  })
  fs.mkdirSync(from)
  for (const name of ["a", "b", "plain"]) {
    const file = fs.openSync(`${from}/${name}`, "w")
    if (name !== "plain") calls.fsetxattr(file, "user.mine", Buffer.from(name))
    fs.closeSync(file)
  }
  await run("put", from, "home:/x")
  warnings.length = 0
  assert.match(await run("get", "home:/x", `${to}/x`), /^Fetched 3 files/)
  assert.deepEqual(
    warnings.map((text) => text.trim()).filter((text) => text !== ""),
    ["holdfast: 2 files and folders came without extended attributes: the file system there keeps none."],
  )
  const { unchanged, withoutXattrs } = await json<Record<string, number>>("get", "home:/x", `${to}/x`)
  assert.deepEqual([unchanged, withoutXattrs], [3, 2])
})
