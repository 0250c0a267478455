/** What a round of maintenance does: checks, mends, waits, goes on where one that was killed was. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { accountRoles, decodeShare } from "@holdfast/protocol"
import { type MaintenanceFolder, maintainVolumes } from "../src/care/index.ts"
import { nextSpan } from "../src/care/maintenance/span.ts"
import {
  changePlace,
  chunkCount,
  dayMs,
  depsOf,
  fill,
  folderFor,
  hourMs,
  isWhole,
  movedClock,
  volumeOf,
} from "./maintenance-rig.ts"
import { createWorld } from "./world.ts"

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

test("after a place takes shares that waited for the user's word, all is rebalanced, once", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld({ servers: 6 })
  await fill(world)
  const round = async (waiting?: string) => {
    clock.pass(hourMs)
    const volume = await volumeOf(world, { isTaking: (id) => id !== waiting })
    const { trees, volumes } = await maintainVolumes([volume], depsOf({ clock, folder }))
    return [volumes[0]!.hasMoved, trees[0]!.rebalance?.isDone]
  }
  assert.deepEqual(await round("n6"), [false, undefined])
  assert.deepEqual(await round("n6"), [false, undefined])
  assert.deepEqual(await round(), [true, true])
  assert.deepEqual(await round(), [false, undefined])
})

/** A world with labels of its places, and rounds of it: has it moved, was all rebalanced, and did that move anything? */
async function labelledWorld(t: TestContext) {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld({ servers: 7 })
  await fill(world)
  return {
    label: (...sites: string[]) =>
      world.store.follow(world.backends.map((backend, i) => ({ backend, weight: 1, domains: [`site=${sites[i]}`] }))),
    /** The one after so long. */
    async roundAfter(ms: number) {
      clock.pass(ms)
      const { trees, volumes } = await maintainVolumes([await volumeOf(world)], depsOf({ clock, folder }))
      return [volumes[0]!.hasMoved, trees[0]!.rebalance?.isDone, (trees[0]!.rebalance?.moved ?? 0) > 0]
    },
  }
}

const [nothing, rebalanced] = [
  [false, undefined, false],
  [true, true, true],
]

test("after places were labelled, or their labels changed, what lies where it no longer belongs is rebalanced a day later, once", async (t) => {
  const { label, roundAfter } = await labelledWorld(t)
  await roundAfter(0)
  for (const sites of ["aaaaabc", "bcaaaaa"]) {
    label(...sites)
    assert.deepEqual(await roundAfter(hourMs), nothing)
    assert.deepEqual(await roundAfter(dayMs - hourMs), nothing)
    assert.deepEqual(await roundAfter(hourMs), rebalanced)
    assert.deepEqual(await roundAfter(dayMs), nothing)
  }
})

test("labels that change each hour, there and back or ever on, move nothing until they stood still for a day", async (t) => {
  const { label, roundAfter } = await labelledWorld(t)
  await roundAfter(0)
  for (let hour = 0; hour < 30; hour++) {
    label(...(hour % 2 === 0 ? "aaaaabc" : "bcaaaaa"))
    assert.deepEqual(await roundAfter(hourMs), nothing)
  }
  for (let hour = 0; hour < 6; hour++) {
    label(..."aaaaa", `${hour}`, `${hour + 1}`)
    assert.deepEqual(await roundAfter(hourMs), nothing)
  }
  assert.deepEqual(await roundAfter(dayMs), rebalanced)
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
  const ids = span.map(([id]) => id)
  await folder.addSuspects("volume/v", ids)
  await folder.addSuspects("volume/other", [toHex(crypto.random(32))])
  fs.appendFileSync(join(dir, "suspects"), "volume/v\tcut short")
  const schedule = { sampleBlocks: 0 }
  const dying = { ...folder, save: async () => Promise.reject(new Error("killed")) }
  await assert.rejects(maintainVolumes([volume], depsOf({ clock, folder: dying, schedule })), /killed/)
  const { trees } = await maintainVolumes([volume], depsOf({ clock, folder, schedule }))
  assert.equal(trees[0]!.suspects, 3)
  assert.ok(trees[0]!.mended > 3, "where they were damaged all is looked at")
  const left = await folder.takeSuspects()
  assert.deepEqual(
    [left.has("volume/v"), left.get("volume/other")!.size],
    [false, 1],
    "of a tree that was not asked for",
  )
  await maintainVolumes([volume], depsOf({ clock, folder, schedule, more: { isAll: true } }))
  assert.deepEqual(fs.readdirSync(dir), ["state.json"])
})

test("when a server is back, what it was missed for is looked through at once", async (t) => {
  const { folder } = await folderFor(t)
  const clock = movedClock()
  const world = await createWorld()
  await fill(world, 40)
  const [state, silence] = [{ isAway: true }, new HoldfastError("ERR_SERVER_UNREACHABLE", "n1 is away.")]
  changePlace(world, 0, (backend) => ({
    hasShares: async (...args) => (state.isAway ? Promise.reject(silence) : backend.hasShares(...args)),
  }))
  const round = async () =>
    (await maintainVolumes([await volumeOf(await world.again())], depsOf({ clock, folder }))).trees[0]!
  const missed = (await round()).below
  assert.ok(missed > 64, `${missed} chunks lack a share`)
  clock.pass(hourMs)
  assert.equal((await round()).below, missed)
  state.isAway = false
  clock.pass(hourMs)
  const back = await round()
  assert.deepEqual([back.below, back.sweep!.isDone, back.mended], [0, true, 0])
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
