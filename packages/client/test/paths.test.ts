import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import { pathsOf } from "../src/profile/paths.ts"

test("an empty or relative HOME or XDG folder is not used", () => {
  const { homedir } = userInfo()
  for (const HOME of ["", "here", "./x", undefined])
    for (const XDG_CONFIG_HOME of ["", "config", "../x", undefined]) {
      const { config, data } = pathsOf({ HOME, XDG_CONFIG_HOME })
      assert.equal(config, join(homedir, ".config", "holdfast"))
      assert.equal(data, join(homedir, ".local/share", "holdfast"))
    }
  assert.equal(pathsOf({ HOME: "/a", XDG_STATE_HOME: "/b" }).state, "/b/holdfast")
})

test("what root makes in somebody's folder belongs to that person", {
  skip: process.getuid?.() !== 0 && "needs root",
}, async (t) => {
  const home = fs.mkdtempSync(join(tmpdir(), "holdfast-"))
  t.after(() => fs.rmSync(home, { recursive: true }))
  fs.chownSync(home, 12345, 12345)
  const deep = join(home, ".local/state/holdfast")
  makePrivateFolder(deep)
  await writeSecretFile(join(deep, "seen"), "x")
  for (const path of [".local", ".local/state", ".local/state/holdfast", ".local/state/holdfast/seen"])
    assert.equal(fs.statSync(join(home, path)).uid, 12345, path)
})

test("a folder that cannot be made is an error and not a loop", () => {
  const code = `import("@holdfast/core/node").then(({ makePrivateFolder }) => makePrivateFolder("/proc/no/such"))`
  const { status, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    cwd: import.meta.dirname,
    timeout: 20_000,
  })
  assert.deepEqual([status, signal], [1, null])
})
