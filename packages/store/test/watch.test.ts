import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { HoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Backend, readHashes, verifyKeyOf } from "@holdfast/protocol"
import { createMemorySeen, createStore, type RegisterContent, type SeenStore, type Store } from "@holdfast/store"
import { VirtualClock } from "../src/testing/virtual-clock.ts"
import { newKeys, owner } from "./fixture.ts"

/** Some servers, one clock, and what each is asked. */
class World {
  readonly clock = new VirtualClock()
  readonly asked = new Map<string, number>()
  readonly reads = new Map<string, number>()
  waiting = 0
  #connected = new AbortController()
  readonly #places: ReturnType<typeof createMemoryPlace>[]
  /** What a server does other than an honest one. */
  readonly instead = new Map<string, (honest: Backend) => Partial<Backend>>()

  constructor(count: number) {
    this.#places = Array.from({ length: count }, (_, i) => createMemoryPlace(`n${i + 1}`, crypto))
  }

  async store(seen: SeenStore = createMemorySeen()): Promise<Store> {
    return createStore({
      env: { crypto, clock: this.clock },
      servers: this.#places.map((place) => ({ backend: this.#counted(place.backendOf(owner)), weight: 1 })),
      account: owner.account,
      coding: { k: 1, happy: 1, n: this.#places.length },
      registerMode: "byzantine",
      seen,
    })
  }

  /** All servers are away, and all connections end, until `instead` says otherwise. */
  loseAll(): void {
    const away = new HoldfastError("ERR_SERVER_UNREACHABLE", "it is away")
    const lost = () => Promise.reject(away)
    for (const { id } of this.#places) this.instead.set(id, () => ({ watchRegisters: lost, readRegisters: lost }))
    this.cut()
  }

  /** Connections that wait end. */
  cut(): void {
    this.#connected.abort(new HoldfastError("ERR_SERVER_UNREACHABLE", "the connection is lost"))
    this.#connected = new AbortController()
  }

  #counted(honest: Backend): Backend {
    const now = (): Backend => ({ ...honest, ...this.instead.get(honest.id)?.(honest) })
    return {
      ...honest,
      proposeRegisters: (...args) => now().proposeRegisters(...args),
      readRegisters: (...args) => {
        count(this.reads, honest.id)
        return now().readRegisters(...args)
      },
      watchRegisters: async (watched, { signal } = {}) => {
        count(this.asked, honest.id)
        this.waiting++
        try {
          return await now().watchRegisters!(watched, {
            signal: AbortSignal.any([this.#connected.signal, ...(signal ? [signal] : [])]),
          })
        } finally {
          this.waiting--
        }
      },
    }
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

const partsOf = (text: string) => ({ content: utf8(text), care: utf8(`care of ${text}`) })
const textOf = (content: RegisterContent | undefined) => content && Buffer.from(content.content).toString()

/** Takes what a watch tells as it comes. */
function follow(watch: AsyncIterable<RegisterContent>) {
  const told: string[] = []
  const state = { isOver: false, error: undefined as unknown, told }
  const done = (async () => {
    for await (const content of watch) told.push(textOf(content)!)
  })()
  done.then(
    () => {
      state.isOver = true
    },
    (error: unknown) => {
      state.error = error
    },
  )
  return state
}

const versions = ["one", "two", "three", "four", "five"]

/** Writes the next versions, each some time after the other. */
async function writeAll(world: World, store: Store, keys: Awaited<ReturnType<typeof newKeys>>, afterMs = 2_000) {
  for (const [after, text] of versions.entries()) {
    assert.equal(await world.clock.until(store.registers.write(keys, after, partsOf(text))), true)
    await world.clock.pass(afterMs)
  }
}

test("a watch tells of what is there and of each version once, and leaves nothing behind when its signal aborts", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  const stop = new AbortController()
  const all = follow(reader.registers.watch(keys, { signal: stop.signal }))
  await writeAll(world, writer, keys)
  assert.deepEqual(all.told, versions)
  const late = follow(reader.registers.watch(keys, { signal: stop.signal }))
  await world.clock.pass(1_000)
  assert.deepEqual(late.told, ["five"])
  assert.ok(world.waiting > 0)
  stop.abort()
  await world.clock.pass(0)
  assert.deepEqual([all.isOver, late.isOver, world.waiting, world.clock.sleeping], [true, true, 0, 0])
})

test("a watch ends with its store, and by leaving its loop", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  await world.clock.until(writer.registers.write(keys, 0, partsOf("one")))
  const first = async () => {
    for await (const content of reader.registers.watch(keys)) return textOf(content)
    return undefined
  }
  assert.equal(await world.clock.until(first()), "one")
  await world.clock.pass(0)
  assert.deepEqual([world.waiting, world.clock.sleeping], [0, 0])
  const other = follow(reader.registers.watch(keys))
  await world.clock.pass(1_000)
  await reader.close()
  await world.clock.pass(0)
  assert.deepEqual([other.told, other.isOver, world.waiting, world.clock.sleeping], [["one"], true, 0, 0])
})

test("a verify capability watches too", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  const told: string[] = []
  const stop = new AbortController()
  const careKeys = { publicKey: keys.publicKey, verifyKey: verifyKeyOf(keys.readKey) }
  const watching = (async () => {
    for await (const { care } of reader.registers.watchCare(careKeys, { signal: stop.signal }))
      told.push(Buffer.from(care[0]!).toString())
  })()
  await writeAll(world, writer, keys)
  stop.abort()
  await world.clock.until(watching)
  assert.deepEqual(
    told,
    versions.map((text) => `care of ${text}`),
  )
})

test("a server that always says that something changed neither fakes a version nor keeps the client busy", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  world.instead.set("n2", () => ({ watchRegisters: async (watched) => watched.map(() => crypto.random(32)) }))
  const all = follow(reader.registers.watch(keys))
  await world.clock.pass(0)
  await writeAll(world, writer, keys)
  assert.deepEqual(all.told, versions)
  const [asked, reads] = [world.asked.get("n2")!, world.reads.get("n1")!]
  const hours = 2
  await world.clock.pass(hours * 3_600_000)
  assert.deepEqual(all.told, versions)
  const [moreAsked, moreReads] = [world.asked.get("n2")! - asked, world.reads.get("n1")! - reads]
  assert.ok(moreAsked > 10 && moreAsked <= hours * 200, `it was asked ${moreAsked} times`)
  assert.ok(moreReads > 10 && moreReads <= hours * 200, `others were read ${moreReads} times`)
  await reader.close()
})

test("a server that says by turns what is so and what is not is left alone as well", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  await world.clock.until(writer.registers.write(keys, 0, partsOf("one")))
  let turn = 0
  world.instead.set("n2", (honest) => ({
    watchRegisters: async (watched, options) => {
      if (turn++ % 2 === 0) return watched.map(() => crypto.random(32))
      return honest.watchRegisters!(
        watched.map(({ id }) => ({ id })),
        options,
      )
    },
  }))
  const all = follow(reader.registers.watch(keys))
  await world.clock.pass(3_600_000)
  assert.deepEqual(all.told, ["one"])
  assert.ok(world.asked.get("n2")! <= 200, `it was asked ${world.asked.get("n2")} times`)
  await reader.close()
})

test("whoever takes versions slowly is not overrun, by a liar neither, and gets the newest", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  world.instead.set("n2", () => ({ watchRegisters: async (watched) => watched.map(() => crypto.random(32)) }))
  await world.clock.until(writer.registers.write(keys, 0, partsOf("one")))
  const watch = reader.registers.watch(keys)[Symbol.asyncIterator]()
  const next = async () => textOf((await world.clock.until(watch.next())).value as RegisterContent)
  assert.equal(await next(), "one")
  const reads = world.reads.get("n1")!
  for (const [i, text] of ["two", "three"].entries()) {
    await world.clock.until(writer.registers.write(keys, i + 1, partsOf(text)))
    await world.clock.pass(600_000)
  }
  assert.equal(world.reads.get("n1")!, reads, "nobody takes anything, so nothing is read")
  assert.ok(world.asked.get("n2")! < 10, `it was asked ${world.asked.get("n2")} times`)
  assert.equal(await next(), "three")
  await reader.close()
})

/** Servers that keep changes to themselves; alone one answers nothing at all. */
async function watchBeside(...silent: string[]) {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  const never = () => new Promise<never>(() => undefined)
  for (const id of silent)
    world.instead.set(id, () => ({ watchRegisters: never, ...(silent.length === 1 && { readRegisters: never }) }))
  const all = follow(reader.registers.watch(keys))
  await world.clock.pass(0)
  await writeAll(world, writer, keys)
  assert.deepEqual(all.told, versions)
  await reader.close()
}

test("a server that is silent delays nothing that others tell", () => watchBeside("n1"))

test("one server that tells of changes is enough when all others keep them to themselves", () =>
  watchBeside("n1", "n2", "n3"))

test("a watch outlives lost connections and an outage of all servers, and tells what was written then", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  await world.clock.until(writer.registers.write(keys, 0, partsOf("one")))
  const failures: Error[] = []
  const all = follow(reader.registers.watch(keys, { onFailure: (error) => failures.push(error) }))
  await world.clock.pass(1_000)
  world.loseAll()
  await world.clock.pass(600_000)
  world.instead.clear()
  await world.clock.until(writer.registers.write(keys, 1, partsOf("two")))
  await world.clock.pass(20_000)
  assert.deepEqual(all.told, ["one", "two"])
  assert.deepEqual(failures, [], "nothing was said that could not be read")

  // Said by all, and then none can be read.
  for (const id of ["n1", "n2", "n3", "n4"])
    world.instead.set(id, () => ({
      readRegisters: async () => {
        throw new HoldfastError("ERR_SERVER_UNREACHABLE", "it is away")
      },
    }))
  await world.clock.until(writer.registers.write(keys, 2, partsOf("three")))
  world.loseAll()
  await world.clock.pass(600_000)
  assert.deepEqual(all.told, ["one", "two"])
  assert.ok(failures.length > 0 && failures.length < 250, `${failures.length} failures were told`)
  world.instead.clear()
  await world.clock.pass(70_000) // by then whatever could not be reached is tried again
  assert.deepEqual(all.told, ["one", "two", "three"])
  await reader.close()
})

test("what cannot wait is looked at twice a second while something happens, rarely when nothing does, and soon again", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  // They answer at once, as a directory does.
  for (const id of ["n1", "n2", "n3", "n4"])
    world.instead.set(id, (honest) => ({ watchRegisters: (watched) => readHashes(honest, watched) }))
  const all = follow(reader.registers.watch(keys))
  await world.clock.pass(0)
  for (const [after, text] of versions.entries()) {
    await world.clock.until(writer.registers.write(keys, after, partsOf(text)))
    await world.clock.pass(1_000)
    assert.equal(all.told.at(-1), text, "it is told within a second")
  }
  const during = async (ms: number) => {
    const before = world.asked.get("n1")!
    await world.clock.pass(ms)
    return world.asked.get("n1")! - before
  }
  const busy = await during(10_000)
  assert.ok(busy >= 15 && busy <= 30, `${busy} looks in 10 s`)
  await during(3_600_000)
  const idle = await during(3_600_000)
  assert.ok(idle >= 90 && idle <= 170, `${idle} looks in an idle hour`)
  await world.clock.until(reader.registers.read(keys))
  const again = await during(5_000)
  assert.ok(again >= 7, `${again} looks in 5 s after the session worked again`)
  await reader.close()
  await world.clock.pass(0)
  assert.equal(world.clock.sleeping, 0)
})

test("servers of before watching are read instead", async () => {
  const world = new World(4)
  const writer = await world.store()
  const keys = await newKeys()
  const old = await createStore({
    env: { crypto, clock: world.clock },
    servers: writer.voters.map(({ watchRegisters: _, ...backend }) => ({ backend, weight: 1 })),
    coding: { k: 1, happy: 1, n: 4 },
    registerMode: "byzantine",
    seen: createMemorySeen(),
  })
  const all = follow(old.registers.watch(keys))
  await world.clock.pass(0)
  await writeAll(world, writer, keys)
  assert.deepEqual(all.told, versions)
  await old.close()
})

test("a watch ends with the error when servers refuse the caller, or show what was never so", async () => {
  const world = new World(4)
  const [writer, refusedReader] = [await world.store(), await world.store()]
  const keys = await newKeys()
  await world.clock.until(writer.registers.write(keys, 0, partsOf("one")))
  const refusedWatch = follow(refusedReader.registers.watch(keys))
  await world.clock.pass(1_000)
  const refuse = async () => {
    throw new HoldfastError("ERR_REFUSED", "revoked", { ofCertificate: true })
  }
  for (const id of ["n1", "n2", "n3", "n4"])
    world.instead.set(id, () => ({ watchRegisters: refuse, readRegisters: refuse }))
  world.cut()
  await world.clock.pass(10_000)
  assert.equal((refusedWatch.error as HoldfastError | undefined)?.code, "ERR_REFUSED")
  assert.deepEqual([refusedWatch.told, world.waiting], [["one"], 0])

  world.instead.clear()
  const reader = await world.store()
  const all = follow(reader.registers.watch(keys))
  await world.clock.pass(1_000)
  for (const id of ["n1", "n2", "n3", "n4"])
    world.instead.set(id, () => ({
      watchRegisters: async (watched) => watched.map(() => undefined),
      readRegisters: async (ids) => ids.map(() => undefined),
    }))
  world.cut()
  await world.clock.pass(10_000)
  assert.equal((all.error as HoldfastError | undefined)?.code, "ERR_ROLLBACK")
})

test("a hundred registers are watched by two requests at each server", async () => {
  const world = new World(4)
  const [writer, reader] = [await world.store(), await world.store()]
  const all = await Promise.all(Array.from({ length: 100 }, newKeys))
  const watches = all.map((keys) => follow(reader.registers.watch(keys)))
  await world.clock.pass(5_000)
  assert.equal(world.waiting, 8)
  for (const [i, keys] of all.entries())
    if (i % 9 === 0) {
      await world.clock.until(writer.registers.write(keys, 0, partsOf(`of ${i}`)))
      await world.clock.pass(1_000)
      assert.deepEqual(watches[i]!.told, [`of ${i}`])
    }
  await world.clock.pass(5_000)
  assert.equal(world.waiting, 8)
  assert.deepEqual(
    watches.map(({ told }) => told.length),
    all.map((_, i) => (i % 9 === 0 ? 1 : 0)),
  )
  await reader.close()
  await world.clock.pass(0)
  assert.deepEqual([world.waiting, world.clock.sleeping], [0, 0])
})
