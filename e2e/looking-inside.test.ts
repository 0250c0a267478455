/** The page about looking into a running client, command by command as it stands there, over a local grid. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { startGrid } from "./grid.ts"
import { blocksOf, runBlock } from "./guide-commands.ts"
import { missingPrograms } from "./processes.ts"

const root = paths.dirname(import.meta.dirname)
const missing = missingPrograms(["curl"])
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

test("each command of the page shows what the page says", { skip: why }, async (t) => {
  const grid = await startGrid({ nodes: 3, coding: "2/3/3" })
  t.after(() => grid.close())
  fs.writeFileSync(`${grid.folder}/report.txt`, randomBytes(3_000_000))
  // Tests of the page are no part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = grid.env
  const user = { folder: grid.folder, env: { ...env, HOME: grid.folder } }
  const printed: string[] = []
  for (const block of blocksOf(fs.readFileSync(`${root}/docs/guides/looking-inside.md`, "utf8"))) {
    if (block.device === "by-hand") continue
    const { stdout, stderr } = await runBlock(user, block, block.device === "checkout" ? root : grid.folder)
    printed.push(stdout, stderr)
  }
  const all = printed.join("\n")
  for (const expected of [
    /^n1: \d+ requests, .* sent, .* received, \d+ ms on average, \d+ ms at most$/m,
    /^n[123] getShares of 1: 32 B sent, 1\.4 MiB received, \d+ ms$/m,
    /^HoldfastError: home:\/nothing does not exist\..*\n +at .*advice/m,
    /^\{"ok":true\}$/m,
    /^holdfast_node_requests_total\{endpoint="shares\/put",status="200"\} \d+$/m,
    /^\{"event":"round",.*"ok":true/m,
    /^seed 4f2a, 5 steps: ok;/m,
  ])
    assert.match(all, expected)
  assert.match(
    fs.readFileSync(`${grid.folder}/events`, "utf8"),
    /^\{"event":"progress","task":"put",.*"isEnd":true\}$/m,
  )
  assert.equal(JSON.parse(fs.readFileSync(`${grid.folder}/status.json`, "utf8")).local.running, true)
  const profiles = fs.readdirSync(`${grid.folder}/profiles`)
  for (const kind of [".cpuprofile", ".heapprofile"])
    assert.ok(
      profiles.some((name) => name.endsWith(kind)),
      kind,
    )
})
