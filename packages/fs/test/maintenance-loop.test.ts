/** Rounds that follow one another for months, in one process or in several of one profile. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { type HeldVolumes, maintain, maintainVolumes, type RoundReport } from "../src/care/index.ts"
import { changePlace, chunkCount, depsOf, fill, folderFor, hourMs, movedClock, volumeOf } from "./maintenance-rig.ts"
import { createWorld, type World } from "./world.ts"

const stopped = new HoldfastError("ERR_ABORTED", "Stopped.")
const isStopped = (error: unknown) => isHoldfastError(error, "ERR_ABORTED")

/** Lets one do its work after another, as the lock of a profile does. */
function turns() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
}

function heldOf(world: World, settled: (RoundReport | undefined)[] = []): HeldVolumes & { opened: number } {
  return {
    opened: 0,
    async open() {
      this.opened++
      return [await volumeOf(world)]
    },
    async settle(report) {
      settled.push(report)
    },
  }
}

test("of two processes of a profile one runs each round, and the other goes on when it has ended", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 2)
  const exclusively = turns()
  const begun: { by: string; startedMs: number }[] = []
  const start = (by: string, isLeaving: boolean) => {
    const stop = new AbortController()
    const deps = depsOf({ clock, folder, more: { isAll: true, exclusively, signal: stop.signal } })
    return maintain(heldOf(world), deps, {
      onRound({ startedMs }) {
        begun.push({ by, startedMs })
        if (begun.length >= (isLeaving ? 6 : 12)) stop.abort(stopped)
      },
    })
  }
  const [first, second] = [start("first", true), start("second", false)]
  await assert.rejects(first, isStopped)
  await assert.rejects(second, isStopped)
  assert.equal(begun.at(-1)!.by, "second")
  begun.sort((a, b) => a.startedMs - b.startedMs)
  for (let i = 1; i < begun.length; i++)
    assert.ok(begun[i]!.startedMs - begun[i - 1]!.startedMs >= hourMs, JSON.stringify(begun))
})

test("a round that was killed goes on at once, and one that came to its end is waited for by a process that begins", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 2)
  const startedAt = async () => {
    const stop = new AbortController()
    const beginMs = clock.nowMs()
    let startedMs = 0
    const deps = depsOf({ clock, folder, more: { isAll: true, signal: stop.signal } })
    const onRound = (report: RoundReport) => {
      startedMs = report.startedMs
      stop.abort(stopped)
    }
    await assert.rejects(maintain(heldOf(world), deps, { onRound }), isStopped)
    return startedMs - beginMs
  }
  assert.equal(await startedAt(), 0)
  assert.equal(await startedAt(), hourMs)
  const { endedMs: _, ...round } = (await folder.load()).round!
  await folder.save({ ...(await folder.load()), round })
  assert.equal(await startedAt(), 0)
})

test("beside other work what keeps rounds from beginning is told and tried again, less and less often, and settled each time", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  const stop = new AbortController()
  const [settled, failedMs]: [(RoundReport | undefined)[], number[]] = [[], []]
  const held = heldOf(world, settled)
  const open = held.open.bind(held)
  held.open = async () => {
    if (failedMs.length < 9) throw new HoldfastError("ERR_LOCKED", "The profile is locked.")
    return open()
  }
  const deps = depsOf({ clock, folder, more: { isAll: true, signal: stop.signal } })
  const onFailure = () => void failedMs.push(clock.nowMs())
  const running = maintain(held, deps, { isBeside: true, onFailure, onRound: () => stop.abort(stopped) })
  await assert.rejects(running, isStopped)
  const pauses = failedMs.slice(1).map((ms, i) => (ms - failedMs[i]!) / 60_000)
  assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])
  assert.equal(settled.length, 10)
  assert.ok(settled.slice(0, 9).every((report) => report === undefined) && settled[9] !== undefined)
})

test("what nobody expects of one tree keeps no other from being looked after, and rounds go on, less and less often until it is gone", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 2)
  const stop = new AbortController()
  const faults = [new TypeError("undefined is not a function"), new Error("EIO: i/o error, read"), "no error at all"]
  const [told, failedMs, collections]: [string[], number[], number[]] = [[], [], []]
  let rounds = 0
  const held: HeldVolumes = {
    async open() {
      const collect = async () => {
        collections.push(clock.nowMs())
        if (collections.length === 4) throw new Error("EMFILE: too many open files, open")
        return { shares: 0, bytes: 0, problems: [] }
      }
      const { trees, ...volume } = await volumeOf(world, { collect })
      const footing = async () => {
        if (rounds > 0 && faults.length > 0) throw faults.shift()
        return trees[0]!.footing()
      }
      return [{ ...volume, trees: [{ key: "volume/v/faulty", label: "faulty:", footing }, ...trees] }]
    },
    settle: async () => undefined,
  }
  const schedule = { collectEveryMs: 0 }
  const deps = depsOf({ clock, folder, schedule, more: { isAll: true, signal: stop.signal } })
  const onFailure = ({ message }: Error) => {
    told.push(message)
    failedMs.push(clock.nowMs())
    assert.equal(collections.length, 1 + failedMs.length, "the rest of the round was done")
  }
  const onRound = () => {
    if (++rounds === 2) stop.abort(stopped)
  }
  await assert.rejects(maintain(held, deps, { onRound, onFailure }), isStopped)
  assert.deepEqual(told, ["undefined is not a function", "EIO: i/o error, read", "no error at all"])
  assert.deepEqual(
    failedMs.slice(1).map((ms, i) => (ms - failedMs[i]!) / 60_000),
    [1, 2],
  )
  assert.equal(rounds, 2)
})

test("requests that others gave up, as with a session that is opened anew, end neither rounds nor what is left of one", async (t) => {
  const { folder } = await folderFor(t)
  const world = await createWorld()
  await fill(world, 2)
  const stop = new AbortController()
  const cutOff = [new HoldfastError("ERR_ABORTED", "The request was cancelled."), new DOMException("cut", "AbortError")]
  const [told, problems]: [string[], (string | undefined)[]] = [[], []]
  let rounds = 0
  const held: HeldVolumes = {
    async open() {
      const { trees, ...volume } = await volumeOf(world)
      const footing = async () => {
        if (rounds > 0 && cutOff.length > 0) throw cutOff.shift()
        return trees[0]!.footing()
      }
      return [{ ...volume, trees: [{ key: "volume/v/cut", label: "cut:", footing }, ...trees] }]
    },
    settle: async () => undefined,
  }
  const deps = depsOf({ clock: movedClock(), folder, more: { isAll: true, signal: stop.signal } })
  const onRound = ({ trees }: RoundReport) => {
    problems.push(trees[0]!.error?.message)
    if (++rounds === 4) stop.abort(stopped)
  }
  const onFailure = ({ message }: Error) => void told.push(message)
  await assert.rejects(maintain(held, deps, { onRound, onFailure }), isStopped)
  assert.deepEqual([told, problems], [["cut"], [undefined, "The request was cancelled.", undefined, undefined]])
})

test("by itself a process ends with what keeps its first round from beginning", async (t) => {
  const { folder } = await folderFor(t)
  const held = {
    open: async () => Promise.reject(new HoldfastError("ERR_LOCKED", "The profile is locked.")),
    settle: async () => undefined,
  }
  const deps = depsOf({ clock: movedClock(), folder, more: { isAll: true } })
  await assert.rejects(maintain(held, deps, { onRound: () => undefined }), (error) =>
    isHoldfastError(error, "ERR_LOCKED"),
  )
})

test("where a quota is used up each round offers a place one share at most again, says so, and mends once there is room", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 40)
  const count = await chunkCount(world)
  const lost = await world.withEmpty(0)
  const state = { isFull: true, offered: 0, collections: 0 }
  changePlace(lost, 0, (backend) => ({
    putShares: async (shares, options) => {
      if (!state.isFull) return backend.putShares(shares, options)
      state.offered += shares.length
      return shares.map(() => ({ ok: false, code: "quota", message: "its quota of 1000 bytes is used up" }) as const)
    },
  }))
  const collect = async () => {
    state.collections++
    return { shares: 0, bytes: 0, problems: [] }
  }
  const round = async () => {
    const before = { ...state }
    const report = await maintainVolumes([await volumeOf(await lost.again(), { collect })], depsOf({ clock, folder }))
    return { report, offered: state.offered - before.offered, collections: state.collections - before.collections }
  }
  const atOnce = 16 // chunks are checked so many at a time
  const first = await round()
  assert.ok(first.offered > 0 && first.offered <= atOnce, `${first.offered} of ${count} offered`)
  assert.deepEqual(
    first.report.volumes[0]!.refusing.map(({ server, code }) => [server, code]),
    [["n1", "ERR_QUOTA_EXCEEDED"]],
  )
  assert.equal(first.report.trees[0]!.below, count)
  assert.equal(first.collections, 1)
  let offered = 0
  let collections = 0
  for (let hour = 0; hour < 24; hour++) {
    clock.pass(hourMs)
    const again = await round()
    offered += again.offered
    collections += again.collections
  }
  assert.ok(offered <= 25 * 2 * atOnce, `${offered} offered in a day`)
  assert.equal(collections, 1, "space is what is needed: it is collected each day")
  state.isFull = false
  for (let hour = 0; hour < 26; hour++) {
    clock.pass(hourMs)
    const { report } = await round()
    if (report.trees[0]!.below === 0) return
  }
  assert.fail("what lacked shares was not mended though there was room")
})

test("what is remembered and cannot be read for a while keeps rounds from beginning, and ends none of those to come", async (t) => {
  const { folder } = await folderFor(t)
  const world = await createWorld()
  const stop = new AbortController()
  let [rounds, reads] = [0, 0]
  const failing = {
    ...folder,
    async load() {
      // Between two rounds, when it is looked up whether the next one is due.
      if (rounds === 1 && reads++ < 3) throw new HoldfastError("ERR_IO", "The disk gives an error.")
      return folder.load()
    },
  }
  const told: string[] = []
  const deps = depsOf({ clock: movedClock(), folder: failing, more: { isAll: true, signal: stop.signal } })
  const onRound = () => {
    if (++rounds === 2) stop.abort(stopped)
  }
  await assert.rejects(
    maintain(heldOf(world), deps, { onRound, onFailure: ({ message }) => told.push(message) }),
    isStopped,
  )
  assert.deepEqual([rounds, told.length], [2, 3])
})

test("a place that waits for the user's word is offered nothing, and is not told as one without room", async (t) => {
  const { folder } = await folderFor(t)
  const given = await createWorld({ servers: 6 })
  let offered = 0
  const message = "it is new and waits for your word"
  changePlace(given, 5, () => ({
    putShares: async (shares) => {
      offered += shares.length
      return shares.map(() => ({ ok: false, code: "full", message }) as const)
    },
  }))
  const world = await given.again()
  await fill(world, 20)
  assert.ok(offered > 0)
  offered = 0
  const lost = await world.withEmpty(0)
  const volume = await volumeOf(lost, { isTaking: (id) => id !== "n6" })
  const { trees, volumes } = await maintainVolumes([volume], depsOf({ clock: movedClock(), folder }))
  assert.deepEqual([offered, volumes[0]!.refusing, trees[0]!.below], [0, [], 0])
  assert.ok(trees[0]!.mended > 0)
})
