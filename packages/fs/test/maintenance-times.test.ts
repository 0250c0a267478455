/** When maintenance does what, what it tells, and what it remembers. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import {
  decodeMemory,
  encodeMemory,
  type MaintenanceMemory,
  maintain,
  maintainVolumes,
  type RoundReport,
} from "../src/care/index.ts"
import { boundOf, untilHoursMs } from "../src/care/maintenance/schedule.ts"
import { openMaintenanceFolder } from "../src/node/index.ts"
import { chunkCount, dayMs, depsOf, fill, folderFor, movedClock, volumeOf } from "./maintenance-rig.ts"
import { createWorld } from "./world.ts"

test("outside its hours nothing is done, and what is left when they end is done in the next", async (t) => {
  const { folder } = await folderFor(t)
  const world = await createWorld()
  await fill(world)
  const count = await chunkCount(world)
  const clock = movedClock(Date.UTC(2026, 0, 5, 12, 30))
  const stop = new AbortController()
  const rounds: { atHour: number; report: RoundReport }[] = []
  // Each look takes minutes, so that the hours end within a round.
  const volume = await volumeOf(world)
  const store = {
    ...world.store,
    async checkChunk(...args: Parameters<typeof world.store.checkChunk>) {
      clock.pass(11 * 60_000)
      return world.store.checkChunk(...args)
    },
  }
  const slow = { ...volume, store }
  const running = maintain(
    { open: async () => [slow], settle: async () => undefined },
    depsOf({
      clock,
      folder,
      schedule: { sampleBlocks: 0, everyMs: 0 },
      more: { hours: { from: 22 * 60, to: 6 * 60 }, signal: stop.signal },
    }),
    {
      onRound: (report) => {
        rounds.push({ atHour: new Date(report.startedMs).getUTCHours(), report })
        if (rounds.length >= 12) stop.abort(new HoldfastError("ERR_ABORTED", "Stopped."))
      },
    },
  )
  await assert.rejects(running, (error) => isHoldfastError(error, "ERR_ABORTED"))
  assert.ok(
    rounds.every(({ atHour }) => atHour >= 22 || atHour < 6),
    rounds.map(({ atHour }) => atHour).join(),
  )
  assert.equal(rounds[0]!.atHour, 22)
  assert.equal(rounds[0]!.report.trees[0]!.sweep!.chunks, count)
})

test("collection has its interval, and what keeps it from collecting is told and tried again", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 1)
  let [tries, isAble] = [0, false]
  const collect = async () => {
    tries++
    if (!isAble) throw new HoldfastError("ERR_NO_QUORUM", "Too few servers answered.")
    return { shares: 3, bytes: 300, problems: [] }
  }
  const round = async () =>
    (await maintainVolumes([await volumeOf(world, { collect })], depsOf({ clock, folder }))).volumes[0]!
  assert.ok(isHoldfastError((await round()).error, "ERR_NO_QUORUM"))
  isAble = true
  assert.equal((await round()).collected!.shares, 3)
  clock.pass(6 * dayMs)
  assert.deepEqual([(await round()).collected, tries], [undefined, 2])
  clock.pass(dayMs)
  assert.deepEqual([(await round()).collected!.shares, tries], [3, 3])
})

test("a tree that cannot be looked after is told, and the others are looked after", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 2)
  const volume = await volumeOf(world)
  const gone = {
    key: "volume/v/gone",
    label: "gone:",
    footing: async () => Promise.reject(new HoldfastError("ERR_NOT_FOUND", "No server knows it.")),
  }
  const { trees } = await maintainVolumes([{ ...volume, trees: [gone, ...volume.trees] }], depsOf({ clock, folder }))
  assert.ok(isHoldfastError(trees[0]!.error, "ERR_NOT_FOUND"))
  assert.equal(trees[1]!.sweep!.isDone, true)
})

test("what is remembered reads back as it was written, and what is no such thing is refused", async (t) => {
  const { folder, dir } = await folderFor(t)
  const pass = { startedMs: 1, position: "ab".repeat(32), chunks: 7, mended: 1, below: ["cd".repeat(32)], broken: [] }
  const tree = { lookedMs: 5, mended: 2, below: [], broken: ["ef".repeat(32)] }
  const memory: MaintenanceMemory = {
    trees: {
      k: {
        ...tree,
        sweep: pass,
        verify: pass,
        rebalance: pass,
        sweptMs: 1,
        sweptMended: 6,
        verifiedMs: 2,
        rebalancedMs: 3,
        mendedMs: 4,
      },
    },
    volumes: {
      "volume/v": {
        ...{ places: ["a"], awaySinceMs: { a: 9 }, collectedMs: 8 },
        relabelled: { places: ["a site=b"], sinceMs: 7 },
      },
    },
  }
  assert.deepEqual(decodeMemory(encodeMemory(memory)), memory)
  const good = JSON.parse(encodeMemory(memory))
  const bad: unknown[] = [
    "nothing",
    [],
    { ...good, version: 0 },
    { ...good, trees: [] },
    { ...good, trees: { k: { ...tree, lookedMs: -1 } } },
    { ...good, trees: { k: { ...tree, below: ["AB".repeat(32)] } } },
    { ...good, trees: { k: { ...tree, sweep: { ...pass, position: "ab" } } } },
    { ...good, trees: { k: { ...tree, below: new Array(1001).fill("ab".repeat(32)) } } },
    { ...good, volumes: { v: { places: [1], awaySinceMs: {} } } },
    { ...good, volumes: { v: { places: ["a"], awaySinceMs: {}, relabelled: { places: ["a"] } } } },
  ]
  for (const value of bad)
    assert.throws(
      () => decodeMemory(JSON.stringify(value)),
      (error) => isHoldfastError(error, "ERR_BAD_FORMAT"),
    )
  assert.throws(
    () => decodeMemory(JSON.stringify({ ...good, version: 2 })),
    (error) => isHoldfastError(error, "ERR_UNSUPPORTED_VERSION"),
  )
  fs.writeFileSync(join(dir, "state.json"), "{")
  const damaged: string[] = []
  const read = openMaintenanceFolder(dir, { onDamaged: (path) => damaged.push(path) })
  assert.deepEqual(await read.load(), { trees: {}, volumes: {} })
  assert.deepEqual(damaged, [join(dir, "state.json")])
})

test("a part of the time is a part of the ids, and hours go over midnight", () => {
  const bounds = [0, 0.25, 0.5, 1, 7].map((part) => boundOf({ startedMs: 1000 }, 1000 + part * dayMs, dayMs))
  assert.deepEqual(bounds, ["000000000000", "400000000000", "800000000000", "g", "g"])
  assert.equal(boundOf({ startedMs: 1000 }, 500, dayMs), "000000000000", "a clock that was set back")
  const minute = (ms: number) => Math.floor(ms / 60_000) % 1440
  const until = (from: number, to: number, at: number) => untilHoursMs({ from, to }, at * 60_000, minute) / 60_000
  assert.deepEqual([until(60, 120, 59), until(60, 120, 60), until(60, 120, 119), until(60, 120, 120)], [1, 0, 0, 1380])
  assert.deepEqual([until(1320, 360, 0), until(1320, 360, 359), until(1320, 360, 360)], [0, 0, 960])
  assert.equal(untilHoursMs({ from: 60, to: 120 }, 59 * 60_000 + 1, minute), 59_999)
})
