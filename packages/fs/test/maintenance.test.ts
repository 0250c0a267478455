/** Maintenance by itself: what a round does, and how rounds follow one another, on a clock that the test moves. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { type Clock, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { accountRoles, type Backend, decodeCap, decodeShare } from "@holdfast/protocol"
import {
  checkHealth,
  decodeMemory,
  encodeMemory,
  footingOfCap,
  isBad,
  type MaintainedVolume,
  type MaintenanceDeps,
  type MaintenanceFolder,
  type MaintenanceMemory,
  maintain,
  maintainVolumes,
  onlyVerifies,
  type RoundReport,
  type Schedule,
  usualSchedule,
} from "../src/care/index.ts"
import { boundOf, untilHoursMs } from "../src/care/maintenance/schedule.ts"
import { nextSpan } from "../src/care/maintenance/span.ts"
import { openMaintenanceFolder } from "../src/node/index.ts"
import { createWorld, type World, write } from "./world.ts"

const [hourMs, dayMs] = [3_600_000, 86_400_000]

/** A clock that sleeps by letting its time pass. */
function movedClock(startMs = 1_790_000_000_000): Clock & { pass(ms: number): void } {
  let now = startMs
  return {
    nowMs: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      now += ms
    },
    pass(ms) {
      now += ms
    },
  }
}

async function folderFor(t: { after(done: () => unknown): void }) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-maintenance-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return { dir, folder: openMaintenanceFolder(dir) }
}

/** The volume of a world with its home, by nothing but a verify capability. */
async function volumeOf({ store, home }: World, more: Partial<MaintainedVolume> = {}): Promise<MaintainedVolume> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  const footing = async () => footingOfCap(store, cap)
  return {
    key: "volume/v",
    name: "v",
    happy: 4,
    store,
    trees: [{ key: "volume/v/home", label: "home:", footing }],
    ...more,
  }
}

interface Rig {
  readonly clock: ReturnType<typeof movedClock>
  readonly folder: MaintenanceFolder
  readonly schedule?: Partial<Schedule>
  readonly more?: Partial<MaintenanceDeps>
}

function depsOf({ clock, folder, schedule = {}, more = {} }: Rig): MaintenanceDeps {
  const minuteOfDay = (ms: number) => new Date(ms).getUTCHours() * 60 + new Date(ms).getUTCMinutes()
  return { env: { crypto, clock }, folder, schedule: { ...usualSchedule, ...schedule }, minuteOfDay, ...more }
}

async function chunkCount({ store, home }: World): Promise<number> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  return (await checkHealth({ crypto, store }, footingOfCap(store, cap))).report.chunks
}

async function isWhole({ store, home }: World): Promise<boolean> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  return !isBad(await checkHealth({ crypto, store }, footingOfCap(store, cap), { verify: true }))
}

async function fill(world: World, files = 12): Promise<void> {
  for (let i = 0; i < files; i++) await write(world.home, [`f${i}`], crypto.random(60_000))
}

test("a round mends what a server that came back empty has lost, with a verify capability alone", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world)
  const count = await chunkCount(world)
  const first = await maintainVolumes([await volumeOf(world)], depsOf({ clock, folder }))
  assert.deepEqual([first.trees[0]!.sweep, first.trees[0]!.mended], [{ chunks: count, isDone: true }, 0])
  clock.pass(hourMs)
  const second = await maintainVolumes([await volumeOf(world)], depsOf({ clock, folder }))
  assert.deepEqual([second.trees[0]!.sweep, second.trees[0]!.mended], [undefined, 0], "nothing is due but the sample")
  const lost = await world.withEmpty(0)
  clock.pass(hourMs)
  const { trees } = await maintainVolumes([await volumeOf(lost)], depsOf({ clock, folder }))
  assert.deepEqual([trees[0]!.mended, trees[0]!.below, trees[0]!.broken], [count, 0, 0])
  assert.ok(await isWhole(lost))
})

/** Puts something between a place and its clients; those of before are not concerned. */
function changePlace(world: World, position: number, change: (backend: Backend) => Partial<Backend>): void {
  const place = world.places[position]!
  const { backendOf } = place
  const changed: typeof backendOf = (access) => {
    const backend = backendOf(access)
    return { ...backend, ...change(backend) }
  }
  Object.assign(place, { backendOf: changed })
}

test("a server that does not answer is waited for while happy servers hold a chunk, and no longer than told", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld({ servers: 6 })
  await fill(world)
  const [state, silence] = [{ isAway: false }, new HoldfastError("ERR_SERVER_UNREACHABLE", "n1 is away.")]
  changePlace(world, 0, (backend) => ({
    hasShares: async (...args) => (state.isAway ? Promise.reject(silence) : backend.hasShares(...args)),
    putShares: async (...args) => (state.isAway ? Promise.reject(silence) : backend.putShares(...args)),
    getBlocks: async (...args) => (state.isAway ? Promise.reject(silence) : backend.getBlocks(...args)),
  }))
  // Opened anew each time, as by a process that begins: no server is left alone for what it did before.
  const round = async () => maintainVolumes([await volumeOf(await world.again())], depsOf({ clock, folder }))
  await round()
  state.isAway = true
  for (let hour = 0; hour < 23; hour++) {
    clock.pass(hourMs)
    const { trees, volumes } = await round()
    assert.equal(trees[0]!.mended, 0)
    assert.deepEqual([volumes[0]!.away.map(({ server }) => server), trees[0]!.below > 0], [["n1"], true])
  }
  clock.pass(2 * hourMs)
  const { trees } = await round()
  assert.ok(trees[0]!.mended > 0)
  assert.deepEqual([trees[0]!.below, trees[0]!.sweep!.isDone], [0, true])
  state.isAway = false
  clock.pass(hourMs)
  assert.deepEqual((await round()).volumes[0]!.away, [])
})

test("shares that a server gives damaged are found within the time of a full check, a part in each round", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world)
  const count = await chunkCount(world)
  const rotten = new Set<string>()
  changePlace(world, 0, (backend) => ({
    async getShares(queries, options) {
      const answers = await backend.getShares(queries, options)
      for (const [i, bytes] of answers.entries())
        if (bytes && rotten.has(toHex(queries[i]!.id))) bytes[bytes.length - 1]! ^= 1
      return answers
    },
    async putShares(shares, options) {
      for (const share of shares) rotten.delete(toHex(decodeShare(share).id))
      return backend.putShares(shares, options)
    },
  }))
  const schedule = { sampleBlocks: 0, everyMs: 10 * dayMs }
  const reopened = await world.again()
  const round = async () =>
    (await maintainVolumes([await volumeOf(reopened)], depsOf({ clock, folder, schedule }))).trees[0]!
  await round()
  const [tree] = (await volumeOf(world)).trees
  for await (const { id } of (await tree!.footing()).chunks) rotten.add(toHex(id))
  const parts: number[] = []
  let [verified, mended] = [0, 0]
  for (let day = 0; day < 10; day++) {
    clock.pass(dayMs)
    const report = await round()
    verified += report.verify!.chunks
    mended += report.mended
    parts.push(report.verify!.part)
  }
  assert.equal(
    mended,
    (await world.places[0]!.backendOf({ account: world.account.id, roles: accountRoles }).usage()).shareCount,
  )
  assert.equal(verified, count)
  assert.ok(
    parts.every((part, day) => Math.abs(part - (day + 1) / 10) < 0.02),
    parts.join(),
  )
  assert.equal((await folder.load()).trees["volume/v/home"]!.verifiedMs, clock.nowMs())
})

test("whenever a round is killed, the next goes on where it was, and no chunk is left out", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 10)
  const count = await chunkCount(world)
  const lost = await world.withEmpty(2)
  const volume = await volumeOf(lost)
  /** Dies at the given write of what it remembers, before or after it is on the disk. */
  const killedAt = (at: number, isAfter: boolean): MaintenanceFolder => {
    let saves = 0
    return {
      ...folder,
      async save(memory) {
        const isDeath = ++saves === at
        if (isDeath && !isAfter) throw new Error("killed")
        await folder.save(memory)
        if (isDeath) throw new Error("killed")
      },
    }
  }
  let kills = 0
  for (let at = 1; at < 40; at++) {
    const dying = killedAt(at, at % 2 === 0)
    const died = await maintainVolumes([volume], depsOf({ clock, folder: dying, schedule: { sampleBlocks: 4 } })).then(
      () => false,
      (error: Error) => error.message === "killed",
    )
    if (died) kills++
    clock.pass(hourMs)
  }
  assert.ok(kills > 3)
  const { trees } = await maintainVolumes([volume], depsOf({ clock, folder }))
  assert.deepEqual([trees[0]!.below, trees[0]!.broken], [0, 0])
  assert.equal((await folder.load()).trees["volume/v/home"]!.mended >= count, true)
  assert.ok(await isWhole(lost))
})

test("after other places came, all is swept and rebalanced, once", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world)
  const seven = await createWorld({ servers: 7 })
  await fill(seven)
  const before = await maintainVolumes([await volumeOf(world)], depsOf({ clock, folder }))
  assert.deepEqual([before.volumes[0]!.hasMoved, before.trees[0]!.rebalance], [false, undefined])
  clock.pass(hourMs)
  const moved = await maintainVolumes([await volumeOf(seven)], depsOf({ clock, folder }))
  assert.deepEqual([moved.volumes[0]!.hasMoved, moved.trees[0]!.rebalance!.isDone], [true, true])
  clock.pass(hourMs)
  const after = await maintainVolumes([await volumeOf(seven)], depsOf({ clock, folder }))
  assert.deepEqual([after.volumes[0]!.hasMoved, after.trees[0]!.rebalance], [false, undefined])
})

test("what readers found damaged is looked at first, again until a round came to its end", async (t) => {
  const { folder, dir } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world)
  await maintainVolumes([await volumeOf(world)], depsOf({ clock, folder }))
  const lost = await world.withEmpty(1)
  const volume = await volumeOf(lost)
  const span = await nextSpan(await volume.trees[0]!.footing(), { after: "", before: "g", most: 3 })
  await folder.addSuspects(
    "volume/v",
    span.map(([id]) => id),
  )
  await folder.addSuspects("volume/other", [toHex(crypto.random(32))])
  fs.appendFileSync(join(dir, "suspects"), "volume/v\tcut short")
  const schedule = { sampleBlocks: 0 }
  const dying = { ...folder, save: async () => Promise.reject(new Error("killed")) }
  await assert.rejects(maintainVolumes([volume], depsOf({ clock, folder: dying, schedule })), /killed/)
  const { trees } = await maintainVolumes([volume], depsOf({ clock, folder, schedule }))
  assert.equal(trees[0]!.suspects, 3)
  assert.ok(trees[0]!.mended > 3, "where they were damaged all is looked at")
  assert.deepEqual(fs.readdirSync(dir), ["state.json"])
})

test("a server that takes shares and forgets them costs a sweep a day, not one in each round", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 3)
  changePlace(world, 0, () => ({
    hasShares: async (ids) => ids.map(() => []),
    getShares: async (queries) => queries.map(() => undefined),
    getBlocks: async (queries) => queries.map(() => undefined),
  }))
  let sweeps = 0
  for (let hour = 0; hour < 30; hour++) {
    const { trees } = await maintainVolumes([await volumeOf(await world.again())], depsOf({ clock, folder }))
    if (trees[0]!.sweep) sweeps++
    clock.pass(hourMs)
  }
  assert.ok(sweeps >= 2 && sweeps <= 3, `${sweeps} sweeps in thirty hours`)
})

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
    async () => ({ volumes: [slow], close: async () => undefined }),
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
    volumes: { "volume/v": { places: ["a"], awaySinceMs: { a: 9 }, collectedMs: 8 } },
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
