/** Audits by chance with a verify capability. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import type { Backend } from "@holdfast/protocol"
import { createHarness } from "./files-harness.ts"

interface Audit {
  readonly ok: boolean
  readonly sampled: number
  readonly good: number
  readonly faults: readonly { readonly state: string; readonly server?: string }[]
  readonly lostAtMost: number | null
}

/** Counts whole shares read, and answers about blocks with `change`. */
function watch(
  backends: readonly Backend[],
  change: (blocks: Uint8Array, server: string) => Uint8Array,
): { whole: number } {
  const seen = { whole: 0 }
  for (const backend of backends) {
    const { getBlocks, getShares } = backend
    backend.getBlocks = async (...args) =>
      (await getBlocks(...args)).map((answer) => answer && { ...answer, blocks: change(answer.blocks, backend.id) })
    backend.getShares = async (queries, options) => {
      seen.whole += queries.length
      return getShares(queries, options)
    }
  }
  return seen
}

test("an audit with a verify capability reads blocks only, finds what is lost or wrong, and says how much may be", async (t) => {
  const { folder, run, json, backends, aliases, reopen, replaceServer } = await createHarness(t)
  writeFileSync(join(folder, "large"), randomBytes(3_000_000))
  await run("put", join(folder, "large"), "home:/large")
  aliases.set("home", (await run("cap", "home:", "--verify")).trim())
  await reopen()
  let rotten: string | undefined
  const seen = watch(backends, (blocks, server) => (server === rotten ? blocks.map((byte) => byte ^ 1) : blocks))
  const good = await json<Audit>("check", "--sample", "100", "home:")
  assert.deepEqual([good.ok, good.sampled, good.good, good.faults.length], [true, 100, 100, 0])
  assert.ok(good.lostAtMost! > 0.04 && good.lostAtMost! < 0.05) // 1 - 0.01^(1/100)
  assert.equal(seen.whole, 0)
  assert.match(await run("check", "--sample", "100", "home:"), /100 good, 0 not.*\n.*less than 4.50 %/)
  rotten = "n2"
  const wrong = await json<Audit>("check", "--sample", "100", "home:")
  assert.ok(!wrong.ok && wrong.faults.length > 0 && wrong.lostAtMost === null)
  assert.ok(wrong.faults.every(({ state, server }) => state === "wrong" && server === "n2"))
  assert.equal(process.exitCode, 5)
  process.exitCode = 0
  rotten = undefined
  replaceServer(3)
  await reopen()
  const missing = await json<Audit>("check", "--sample", "100", "home:")
  assert.ok(missing.faults.length > 0 && missing.faults.every(({ state }) => state === "missing"))
  process.exitCode = 0
  for (const words of [
    ["--sample", "0"],
    ["--sample", "x"],
    ["--sample", "5", "--repair"],
  ])
    await assert.rejects(run("check", ...words, "home:"), { code: "ERR_INVALID_ARGUMENT" })
})
