/** A command that needs a grid says so to a profile that is a member of none, and how to become one. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { command, compiled } from "../../../e2e/command.ts"

test("every command that needs a grid tells a profile without one to join or start one", (t) => {
  const home = mkdtempSync(join(tmpdir(), "holdfast-no-grid-"))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [command, ...args], {
      env: { ...compiled, PATH: process.env["PATH"], HOME: home },
      encoding: "utf8",
      cwd: home,
    })
  const needsGrid = (...args: string[]) => {
    const { status, stdout } = run(...args, "--json")
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
    assert.equal(error.code, "ERR_NO_GRID", `${args.join(" ")}: ${error.message}`)
    assert.match(error.message, /member of no grid.*holdfast join.*holdfast up/, args.join(" "))
    assert.equal(status, 3, args.join(" "))
  }
  const disks = ["1", "2", "3"].map((disk) => `dir:${home}/${disk}`)
  const made = run("volume", "create", "disks", "--coding", "2/2/3", "--backend", ...disks)
  assert.equal(made.status, 0, made.stderr)
  for (const args of [
    ["grid", "show"],
    ["grid", "accept", "1"],
    ["volume", "create", "more", "--coding", "1/1/1", "--backend", "node:*"],
    ["--volume", "grid", "alias", "create", "home"],
    ["--volume", "grid", "gc"],
    ["--volume", "grid", "recovery", "kit"],
  ])
    needsGrid(...args)
  assert.equal(run("status").status, 0)
  assert.equal(run("alias", "remove", "disks", "--yes").status, 0)
  assert.equal(run("volume", "remove", "disks").status, 0)
  for (const args of [["status"], ["alias", "create", "home"], ["gc"], ["upgrade"]]) needsGrid(...args)
})
