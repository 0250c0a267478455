/**
 * Two accounts of two devices each put, copy from each other, remove and collect over places whose clocks jump, with messages
 * in any order and some lost: what was acknowledged and not removed stays readable.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { concat, fromUtf8, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { accountRoles, registerIdOf, toReadCap, verifyKeyOf } from "@holdfast/protocol"
import { makeAccount, type TestAccount } from "@holdfast/protocol/testing"
import {
  type ChunkRef,
  type Collected,
  createMemorySeen,
  createStore,
  IdSet,
  type RegisterKeys,
  type Store,
} from "@holdfast/store"
import { collectorOf } from "./fixture.ts"
import { Schedule } from "./schedule.ts"

const day = 86_400_000

/** What one account is known to hold. */
interface Owner {
  readonly account: TestAccount
  readonly keys: Required<RegisterKeys>
  /** By id: what was acknowledged, and nobody began to remove. */
  readonly acknowledged: Map<string, ChunkRef>
  readonly removing: Set<string>
}

interface Device {
  readonly owner: Owner
  readonly store: Store
}

async function newOwner(): Promise<Owner> {
  const seed = nodeCrypto.random(32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  const account = await makeAccount(nodeCrypto)
  return { account, keys: { seed, publicKey, readKey }, acknowledged: new Map(), removing: new Set() }
}

type Listed = Record<string, string> // keys by chunk id, in hexadecimal

const idOf = (name: string) => new Uint8Array(Buffer.from(name, "hex"))
const careOf = (list: Listed) => concat(...Object.keys(list).map(idOf))
const idsIn = (care: Uint8Array) => Array.from({ length: care.length / 32 }, (_, i) => care.slice(32 * i, 32 * (i + 1)))

/** Commits what `change` makes of the list; true when that was acknowledged. */
async function commit({ owner, store }: Device, change: (list: Listed) => Listed): Promise<boolean> {
  const owed = new Map<string, Uint8Array>()
  for (let attempt = 0; attempt < 5; attempt++) {
    const value = await store.registers.read(owner.keys)
    const lists = value ? [value, ...(value.siblings ?? [])].map(({ content }) => JSON.parse(fromUtf8(content))) : []
    const before: Listed = Object.assign({}, ...lists)
    const next = change(before)
    // Of siblings none is sure to be acknowledged: all that they list is to be there.
    const known: Listed = lists.length > 1 ? {} : before
    for (const name of Object.keys(next)) if (!(name in known)) owed.set(name, idOf(name))
    const parts = { content: utf8(JSON.stringify(next)), care: careOf(next) }
    if (await store.registers.write(owner.keys, value?.sequence ?? 0, parts, { chunks: [...owed.values()] }))
      return true
  }
  return false
}

async function add(device: Device, ref: ChunkRef): Promise<void> {
  const name = toHex(ref.id)
  if (device.owner.removing.has(name)) return
  if (await commit(device, (list) => ({ ...list, [name]: toHex(ref.key) })))
    if (!device.owner.removing.has(name)) device.owner.acknowledged.set(name, ref)
}

async function remove(device: Device, name: string): Promise<void> {
  device.owner.removing.add(name)
  device.owner.acknowledged.delete(name)
  await commit(device, ({ [name]: _, ...rest }) => rest)
}

async function collect({ owner, store }: Device): Promise<ReadonlyMap<string, Collected>> {
  const collection = await store.beginCollection()
  const [live, registers] = [new IdSet(nodeCrypto), new IdSet(nodeCrypto)]
  registers.add(registerIdOf(owner.keys.publicKey))
  const value = await store.registers.read(owner.keys)
  for (const { care } of value ? [value, ...(value.siblings ?? [])] : []) for (const id of idsIn(care)) live.add(id)
  const liveAt = new Map<string, IdSet>()
  const own = await collection.ownValues({ ...owner.keys, verifyKey: verifyKeyOf(owner.keys.readKey) })
  for (const [place, values] of own) {
    const set = new IdSet(nodeCrypto)
    for (const { care } of values) if (care) for (const id of idsIn(care)) set.add(id)
    liveAt.set(place, set)
  }
  return collection.run({ collector: collectorOf(owner.account), live, liveAt, registers, graceMs: 0 })
}

interface Coding {
  readonly k: number
  readonly happy: number
  readonly n: number
}

/** Two accounts of two devices each over places whose clocks fly. */
async function twoAccounts(schedule: Schedule, coding: Coding) {
  const { random } = schedule
  const skews = Array.from({ length: coding.n }, () => (random() - 0.5) * 3650 * day + 5000 * day)
  /**
   * At places days pass between many messages, now and then backwards: no grace protects anybody. Not between all: no commit would
   * be taken, as places want to have heard of one lately.
   */
  const fly = (i: number): number => {
    if (random() < 0.8) return Math.max(0, skews[i]!)
    skews[i]! += random() < 0.05 ? -20 * day : 3 * random() * day
    return Math.max(0, skews[i]!)
  }
  const places = skews.map((_, i) => createMemoryPlace(`n${i}`, nodeCrypto, { nowMs: () => fly(i) }))
  const owners = [await newOwner(), await newOwner()]
  const devices = await Promise.all(
    owners.flatMap((owner, o) =>
      [0, 1].map(async (d): Promise<Device> => {
        const access = { ...owner.account, roles: accountRoles }
        const store = await createStore({
          env: { crypto: nodeCrypto, clock: schedule.clock },
          servers: places.map((place) => ({ backend: schedule.reach(place.backendOf(access), `${o}${d}`), weight: 1 })),
          account: owner.account.account,
          coding,
          registerMode: "crash",
          seen: createMemorySeen(),
        })
        return { owner, store }
      }),
    ),
  )
  return { places, owners, devices }
}

async function story(seed: number, coding: Coding, lossRate: number): Promise<number> {
  const schedule = new Schedule(seed)
  const { random } = schedule
  const { owners, devices } = await twoAccounts(schedule, coding)
  let collections = 0
  const act = async (device: Device): Promise<void> => {
    const chance = random()
    const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)]
    if (chance < 0.3) {
      // Some contents come again, by this device or the other.
      const ref = await device.store.chunks.putChunk(utf8(`content ${Math.floor(random() * 12)}`))
      await add(device, ref)
    } else if (chance < 0.5) {
      const other = pick([...owners.find((owner) => owner !== device.owner)!.acknowledged.values()])
      if (other) await add(device, other)
    } else if (chance < 0.6) {
      const name = pick([...device.owner.acknowledged.keys()])
      if (name) await remove(device, name)
    } else {
      await collect(device)
      collections++
    }
  }
  const run = async (device: Device) => {
    for (let step = 0; step < 8; step++) await act(device).catch(() => undefined) // of what failed nothing is promised
  }
  schedule.lossRate = lossRate
  // Values that arrive late, and chunks that lie on few places: so there is time for a collection in between, and little to spare.
  schedule.slowRates = { proposeRegisters: 0.6, unmark: 0.2, keptValues: 0.2, collectToken: 0.1 }
  schedule.lossRates = { putShares: lossRate === 0 ? 0 : 0.3 }
  await schedule.run(Promise.all(devices.map(run)))
  schedule.lossRate = 0
  schedule.lossRates = {}
  for (const { owner, store } of devices)
    for (const [name, ref] of owner.acknowledged) {
      const value = await schedule.run(store.registers.read(owner.keys))
      assert.ok(name in JSON.parse(fromUtf8(value!.content)), `seed ${seed}: ${name} is not listed`)
      const { goodShares, k } = await schedule.run(store.checkChunk(ref.id, { verify: true }))
      assert.ok(k > 0 && goodShares >= k, `seed ${seed}: ${goodShares} shares of ${name} are left`)
    }
  return collections
}

// As few shares as allowed are left when one place too many lets go: none may.
for (const [coding, lossRate] of [
  [{ k: 2, happy: 2, n: 3 }, 0],
  [{ k: 2, happy: 2, n: 3 }, 0.08],
  [{ k: 3, happy: 3, n: 5 }, 0.05],
] as const)
  test(`what was acknowledged stays over ${coding.n} places, with ${100 * lossRate} % of messages lost`, async () => {
    let collections = 0
    for (let seed = 1; seed <= 12; seed++) collections += await story(seed, coding, lossRate)
    assert.ok(collections > 12, `${collections} collections`)
  })

/** What a race is about: its outcome is told, and what must hold then is checked. */
type Race = (world: Awaited<ReturnType<typeof twoAccounts>>, schedule: Schedule) => Promise<Outcome>

interface Outcome {
  readonly outcome: string
  readonly mustHave?: readonly (readonly [Device, ChunkRef])[]
}

/** Begins in the middle of the other's messages. */
async function later<T>({ random }: Schedule, mostTurns: number, work: () => Promise<T>): Promise<T> {
  for (let turns = Math.floor(random() * mostTurns); turns > 0; turns--) await new Promise(setImmediate)
  return work()
}

async function collectTwice(device: Device): Promise<void> {
  for (let run = 0; run < 2; run++) await collect(device).catch(() => undefined)
}

const races: Readonly<Record<string, Race>> = {
  /** A device puts and commits, another of its account collects. */
  async "a put and its commit"({ devices: [writer, collector] }, schedule) {
    const ref = await schedule.run(writer!.store.chunks.putChunk(utf8("fresh")))
    schedule.slowRates = { proposeRegisters: 0.7, unmark: 0.3 }
    const [told] = await schedule.run(
      Promise.all([later(schedule, 200, () => commitOf(writer!, ref)), collectTwice(collector!)]),
    )
    return { outcome: told ? "acknowledged" : "refused", ...(told && { mustHave: [[writer!, ref]] }) }
  },
  /** An account copies by reference what another removes and collects. */
  async "another account's mark"({ devices: [writer, collector, copier] }, schedule) {
    const ref = await schedule.run(writer!.store.chunks.putChunk(utf8("shared")))
    if (!(await schedule.run(commitOf(writer!, ref)))) return { outcome: "refused" }
    schedule.slowRates = { proposeRegisters: 0.5, unmark: 0.3 }
    const drop = async () => {
      await remove(writer!, toHex(ref.id))
      await collectTwice(collector!)
    }
    const [told] = await schedule.run(Promise.all([later(schedule, 60, () => commitOf(copier!, ref)), drop()]))
    return { outcome: told ? "acknowledged" : "refused", ...(told && { mustHave: [[copier!, ref]] }) }
  },
  /** A collection marks what its account needs while the one who put it collects that. */
  async adoption({ places, devices: [putter, collector, adopter] }, schedule) {
    const ref = await schedule.run(putter!.store.chunks.putChunk(utf8("foreign")))
    const name = toHex(ref.id)
    if (!(await schedule.run(commitOf(putter!, ref)))) return { outcome: "refused" }
    // An old client's way: listed, and not marked.
    const list = { content: utf8(JSON.stringify({ [name]: toHex(ref.key) })), care: idOf(name) }
    if (!(await schedule.run(adopter!.store.registers.write(adopter!.owner.keys, 0, list))))
      return { outcome: "refused" }
    schedule.slowRates = { markShares: 0.5, unmark: 0.5 }
    const drop = async () => {
      await remove(putter!, name)
      await collectTwice(collector!)
    }
    const [done] = await schedule.run(Promise.all([later(schedule, 60, () => collect(adopter!)), drop()]))
    const access = { ...adopter!.owner.account, roles: accountRoles }
    for (const place of places) {
      const backend = place.backendOf(access)
      const [held] = await backend.hasShares([ref.id])
      if (done.get(backend.id)?.adopted) assert.ok(held!.length > 0, `${backend.id} adopted and lost it`)
    }
    return { outcome: [...done.values()].some(({ adopted }) => adopted > 0) ? "acknowledged" : "refused" }
  },
}

function commitOf(device: Device, ref: ChunkRef): Promise<boolean> {
  return commit(device, (list) => ({ ...list, [toHex(ref.id)]: toHex(ref.key) })).catch(() => false)
}

for (const [name, race] of Object.entries(races))
  test(`a collection beside ${name} takes nothing that was acknowledged`, async () => {
    const outcomes = new Map<string, number>()
    for (let seed = 1; seed <= 150; seed++) {
      const schedule = new Schedule(seed)
      // Of three places two hold the chunk, and each is needed: one that lets go too much is one too many.
      schedule.lossRates = { putShares: 0.3 }
      const world = await twoAccounts(schedule, { k: 2, happy: 2, n: 3 })
      const { outcome, mustHave = [] } = await race(world, schedule).catch((error: unknown): Outcome => {
        if (error instanceof assert.AssertionError) throw error
        return { outcome: "refused" }
      })
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      schedule.lossRates = {}
      schedule.slowRates = {}
      for (const [{ owner, store }, ref] of mustHave) {
        const { goodShares } = await schedule.run(store.checkChunk(ref.id, { verify: true }))
        assert.ok(goodShares >= 2, `seed ${seed}: ${goodShares} shares are left`)
        const access = { ...owner.account, roles: accountRoles }
        const marked = await Promise.all(world.places.map((place) => place.backendOf(access).listMarks({ limit: 100 })))
        const count = marked.filter((marks) => marks.some(({ id }) => toHex(id) === toHex(ref.id))).length
        assert.ok(count >= 2, `seed ${seed}: ${count} places hold it for the account`)
      }
    }
    assert.ok((outcomes.get("acknowledged") ?? 0) > 20, JSON.stringify([...outcomes]))
  })
