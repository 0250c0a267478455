/** The words of `maintain`: hours, what a round says, what it ends with, its metrics, and what is told of damage that reads met. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import type { RoundReport, TreeReport, VolumeReport } from "@holdfast/fs/care"
import { parseHours } from "../src/commands/files/maintain.ts"
import { createMaintenanceMetrics } from "../src/maintenance/metrics.ts"
import { exitCodeOfRound, roundLines, roundValue } from "../src/maintenance/report.ts"
import { MetDamage } from "../src/met-damage.ts"
import { createHarness } from "./files-harness.ts"

const tree: TreeReport = { tree: "home:", volume: "v", suspects: 0, mended: 0, below: 0, broken: 0, registers: [] }
const volume: VolumeReport = { volume: "v", away: [], account: "ab".repeat(32), hasMoved: false, refusing: [] }

function round(trees: Partial<TreeReport>, volumes: Partial<VolumeReport> = {}): RoundReport {
  const isCutShort = false
  return {
    startedMs: 0,
    endedMs: 5000,
    trees: [{ ...tree, ...trees }],
    volumes: [{ ...volume, ...volumes }],
    isCutShort,
  }
}

test("hours are two times of the day, and anything else is refused without being repeated", () => {
  assert.deepEqual(parseHours("22-6"), { from: 1320, to: 360 })
  assert.deepEqual(parseHours("22:30-6:15"), { from: 1350, to: 375 })
  assert.deepEqual(parseHours("0-24"), { from: 0, to: 0 })
  for (const text of ["", "22", "22-22", "25-6", "24:01-6", "1:60-2", "-1-2", "22-6x", "1-2-3"])
    assert.throws(
      () => parseHours(text),
      (error) => isHoldfastError(error, "ERR_INVALID_ARGUMENT"),
      text,
    )
})

test("a round ends with 5 for what lacks shares, with an error's code for what could not be looked after, else with 0", () => {
  const away = new HoldfastError("ERR_NO_QUORUM", "Too few servers answered.")
  const cases: [RoundReport, number][] = [
    [round({}), 0],
    [round({ mended: 7 }), 0],
    [round({ below: 1 }), 5],
    [round({ broken: 1 }, { error: away }), 5],
    [round({ error: away }), 4],
    [round({}, { error: away }), 4],
    [round({ registers: [{ server: "a", problem: "has no value", what: "the root" }] }), 5],
  ]
  for (const [report, code] of cases) {
    assert.equal(exitCodeOfRound(report), code, JSON.stringify(report))
    assert.equal((roundValue(report) as { ok: boolean }).ok, code === 0)
  }
})

test("what a round says names what it did, what is wrong, and places as people call them", () => {
  const since = Date.UTC(2026, 0, 2)
  const report = round(
    {
      sample: { asked: 60, good: 59 },
      verify: { chunks: 12, part: 0.256, isDone: false },
      mended: 1,
      below: 2,
      broken: 1,
    },
    { away: [{ server: "x", sinceMs: since }], collected: { shares: 1, bytes: 2048, problems: ["b: why"] } },
  )
  assert.deepEqual(
    roundLines(report, (id) => (id === "x" ? "n3" : id)),
    [
      "home: NOT WELL: 59 of 60 blocks by chance good; 12 chunks verified (25 % of this full check); 1 share put right.",
      "  2 chunks lack shares still.",
      "  1 chunk cannot be read now, or contradicts itself: `holdfast check --deep home:` says which files.",
      "n3 of v has not answered since 2026-01-02T00:00:00.000Z.",
      "v: 1 share removed that nothing needs (2.0 KiB).",
      "  b: why",
    ],
  )
})

test("metrics count what rounds did, and health tells of what cannot be read", async () => {
  const metrics = createMaintenanceMetrics()
  metrics.addChunk()
  metrics.add(round({ mended: 3, sample: { asked: 60, good: 58 }, verifiedMs: 7000 }))
  metrics.add(round({ mended: 2, below: 4 }, { away: [{ server: "x", sinceMs: 1 }] }))
  assert.equal(metrics.health().ok, true)
  const text = await metrics.render()
  for (const line of [
    "holdfast_maintain_rounds_total 2",
    "holdfast_maintain_checked_chunks_total 1",
    "holdfast_maintain_mended_shares_total 5",
    'holdfast_maintain_sampled_blocks_total{state="bad"} 2',
    'holdfast_maintain_below_chunks{tree="home:"} 4',
    'holdfast_maintain_away_places{volume="v"} 1',
    "holdfast_maintain_round_end_seconds 5",
  ])
    assert.ok(text.split("\n").includes(line), line)
  metrics.add(round({ broken: 1 }))
  assert.equal(metrics.health().ok, false)
  metrics.add(round({}))
  metrics.addFailure()
  assert.equal(metrics.health().ok, false)
})

test("damage that a read met is told by server, and left for maintenance under the volume's id", async () => {
  const met = new MetDamage()
  const left: string[] = []
  const folder = { addSuspects: async (of: string, ids: Iterable<string>) => void left.push(of, ...ids) }
  await met.leave(folder, "grid/g")
  assert.deepEqual([met.lines(String), left], [[], []])
  const chunk = new Uint8Array(32).fill(7)
  met.add({ chunk, server: "x", state: "damaged" })
  met.add({ chunk, server: "x", state: "missing" })
  met.add({ chunk, server: "y", state: "missing" })
  assert.deepEqual(met.lines((id) => `n-${id}`).slice(0, 2), [
    "n-x: 1 share damaged and 1 share missing, read from others.",
    "n-y: 1 share missing, read from others.",
  ])
  await met.leave(folder, "grid/g")
  assert.deepEqual(left, ["grid/g", "07".repeat(32)])
  const failing = { addSuspects: async () => Promise.reject(new HoldfastError("ERR_DISK_FULL", "full")) }
  await met.leave(failing, "grid/g") // what was read was read
})

test("dry runs of repair and rebalance tell what would be done and change nothing", async (t) => {
  const harness = await createHarness(t)
  const { writeFileSync } = await import("node:fs")
  writeFileSync(`${harness.folder}/file`, nodeCrypto.random(200_000))
  await harness.run("put", `${harness.folder}/file`, "home:/file")
  harness.replaceServer(0)
  await harness.reopen()
  const shares = async () => (await harness.backends[0]!.usage()).shareCount
  const dry = await harness.json<{ placed: number; dryRun: boolean; ok: boolean }>(
    ...["check", "--deep", "--repair", "--dry-run", "home:"],
  )
  assert.deepEqual([dry.placed > 0, dry.dryRun, dry.ok, await shares()], [true, true, false, 0])
  const rebalanced = await harness.json<{ moved: number; dryRun: boolean }>("rebalance", "--dry-run", "home:")
  assert.deepEqual([rebalanced.dryRun, await shares()], [true, 0])
  const done = await harness.json<{ placed: number }>("check", "--deep", "--repair", "home:")
  assert.deepEqual([done.placed, await shares()], [dry.placed, dry.placed])
  await assert.rejects(harness.run("check", "--dry-run", "home:"), (error) =>
    isHoldfastError(error, "ERR_INVALID_ARGUMENT"),
  )
  process.exitCode = 0
})
