/** Servers that all collude and show different histories to different devices: told with both signed values as evidence. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { fromHex, fromUtf8, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, decodeRegisterValue, registerHashOf, registerIdOf, toReadCap } from "@holdfast/protocol"
import {
  createMemorySeen,
  createRegisterStore,
  mergeSeen,
  type RegisterKeys,
  type Rollback,
  type SeenStore,
} from "@holdfast/store"
import { createMemoryChunks, type MemoryChunks } from "@holdfast/store/testing"

const parts = (text: string) => ({ content: utf8(text), care: utf8("") })

/** Four servers, and a second history of them that begins where the first is when it is made. */
class World {
  readonly keys: Required<RegisterKeys>
  readonly id: Uint8Array
  /** All servers have all chunks, whichever history they show. */
  readonly chunks: MemoryChunks
  readonly #servers: readonly Backend[]

  private constructor(
    keys: Required<RegisterKeys>,
    servers: readonly Backend[],
    chunks = createMemoryChunks(nodeCrypto),
  ) {
    this.chunks = chunks
    this.keys = keys
    this.id = registerIdOf(keys.publicKey)
    this.#servers = servers
  }

  static async create(): Promise<World> {
    const seed = nodeCrypto.random(32)
    const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
    return new World({ seed, publicKey, readKey }, newServers())
  }

  async fork(): Promise<World> {
    const servers = newServers()
    for (const [i, server] of this.#servers.entries()) {
      const [bytes] = await server.readRegisters([this.id])
      if (bytes) await servers[i]!.proposeRegisters([bytes])
    }
    return new World(this.keys, servers, this.chunks)
  }

  /** Half of the servers of each. */
  besides(other: World): World {
    const mixed = this.#servers.map((server, i) => (i % 2 === 0 ? server : other.#servers[i]!))
    return new World(this.keys, mixed, this.chunks)
  }

  device(seen: SeenStore, onRollback?: (rollback: Rollback) => void) {
    const options = onRollback ? { onRollback } : {}
    return createRegisterStore({
      ...{ env: nodeEnv, backends: this.#servers, mode: "byzantine", seen, chunks: this.chunks },
      ...options,
    })
  }

  /** One process of a device whose servers show, at each moment, the history of the world that `show` gives. */
  static running(show: () => World, seen: SeenStore) {
    const world = show()
    const backends = world.#servers.map((server, i): Backend => {
      const now = () => show().#servers[i]!
      return {
        ...server,
        readRegisters: (...args) => now().readRegisters(...args),
        proposeRegisters: (...args) => now().proposeRegisters(...args),
      }
    })
    return createRegisterStore({ env: nodeEnv, backends, mode: "byzantine", seen, chunks: world.chunks })
  }

  /** Writes `count` more values. */
  async write(seen: SeenStore, count: number, text: string): Promise<void> {
    const registers = this.device(seen)
    for (let i = 0; i < count; i++) {
      const newest = (await registers.read(this.keys))?.sequence ?? 0
      assert.ok(await registers.write(this.keys, newest, parts(`${text} ${newest + 1}`)))
    }
  }
}

function newServers(): Backend[] {
  return Array.from({ length: 4 }, (_, i) => createMemoryBackend(`n${i}`, nodeCrypto))
}

async function forkOf(work: Promise<unknown>): Promise<HoldfastError> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof HoldfastError)
    assert.equal(error.code, "ERR_FORK", error.message)
    return error
  }
  assert.fail("no fork was told")
}

for (const [mine, theirs] of [
  [1, 1],
  [1, 2],
  [3, 5],
  [1, 20],
  [1, 26],
  [26, 70],
  [1, 500],
] as const)
  test(`a device that saw ${mine} versions of one history refuses version ${theirs} of another, with both as evidence`, async () => {
    const world = await World.create()
    const seen = createMemorySeen()
    await world.write(seen, 2, "base")
    const other = await world.fork()
    await world.write(seen, mine, "mine")
    await other.write(createMemorySeen(), theirs, "theirs")
    const { details } = await forkOf(other.device(seen).read(world.keys))
    const { evidence } = details as unknown as Rollback
    const [known, shown] = await Promise.all(
      evidence!.map(async ({ value, sequence, hash }) => {
        const decoded = await decodeRegisterValue(nodeCrypto, fromHex(value)) // which verifies the signature
        assert.equal(decoded.sequence, sequence)
        assert.equal(toHex(registerHashOf(fromHex(value))), hash)
        assert.deepEqual(decoded.publicKey, world.keys.publicKey)
        return decoded
      }),
    )
    assert.equal(known!.sequence, 2 + mine)
    assert.equal(shown!.sequence, 2 + theirs)
    await forkOf(other.device(seen).write(world.keys, 2 + theirs, parts("merged unseen")))
  })

test("who asks for it reads the other history, and cannot write to it", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(seen, 1, "base")
  const other = await world.fork()
  await world.write(seen, 1, "mine")
  await other.write(createMemorySeen(), 1, "theirs")
  const told: Rollback[] = []
  const device = other.device(seen, (rollback) => void told.push(rollback))
  assert.equal(fromUtf8((await device.read(world.keys))!.content), "theirs 2")
  assert.equal(told.length, 1)
  assert.equal(told[0]?.evidence?.length, 2)
  await forkOf(device.write(world.keys, 2, parts("more")))
  assert.equal(fromUtf8((await world.device(seen).read(world.keys))!.content), "mine 2")
})

test("two devices that were shown different histories find it when one takes over what the other has seen", async () => {
  const world = await World.create()
  const [a, b] = [createMemorySeen(), createMemorySeen()]
  await world.write(a, 3, "base")
  const register = toHex(world.id)
  await world.device(b).read(world.keys)
  const other = await world.fork()
  await world.write(a, 2, "mine")
  const merge = async () => mergeSeen(nodeCrypto, register, (await a.get(register))!, (await b.get(register))!)
  const merged = await merge()
  assert.deepEqual(merged.stable, (await a.get(register))!.stable, "the newest counts")
  assert.equal(merged.others?.length, 1, "and the other one is to be proven")
  await a.update(register, merge)
  await world.device(a).read(world.keys)
  assert.equal((await a.get(register))!.others, undefined, "one history: the newest is enough")
  await other.write(b, 4, "theirs")
  await a.update(register, merge)
  await forkOf(other.device(a).read(world.keys))
  await assert.rejects(world.device(a).read(world.keys), { code: "ERR_ROLLBACK" })
  await world.write(createMemorySeen(), 2, "mine")
  await forkOf(world.device(a).read(world.keys))
})

test("a process that keeps running compares with the newest that it saw, not with what it saw at first", async () => {
  const world = await World.create()
  await world.write(createMemorySeen(), 1, "base")
  const other = await world.fork()
  await other.write(createMemorySeen(), 25, "theirs")
  let shown = world
  const device = World.running(() => shown, createMemorySeen())
  for (let i = 0; i < 2; i++) await device.read(world.keys)
  assert.ok(await device.write(world.keys, 1, parts("mine")))
  shown = other
  await forkOf(device.read(world.keys))
})

test("a process that keeps running also compares with what its device took over from another since", async () => {
  const world = await World.create()
  const [a, b] = [createMemorySeen(), createMemorySeen()]
  await world.write(a, 2, "base")
  const other = await world.fork()
  await world.write(a, 25, "mine")
  await other.write(b, 1, "theirs")
  const device = World.running(() => world, a)
  await device.read(world.keys)
  const register = toHex(world.id)
  await a.update(register, async (mine) => mergeSeen(nodeCrypto, register, mine!, (await b.get(register))!))
  assert.equal((await a.get(register))!.others?.length, 1)
  await forkOf(device.read(world.keys))
})

test("servers that show nothing at all to who has seen a version are told of as having lost it", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(seen, 1, "kept")
  const empty = (await World.create()).device(seen)
  await assert.rejects(empty.read(world.keys), { code: "ERR_ROLLBACK" })
})

test("values that raced are read though none of them is known to stay, and nothing of them is held against servers", async () => {
  const world = await World.create()
  await world.write(createMemorySeen(), 1, "base")
  const other = await world.fork()
  await world.write(createMemorySeen(), 1, "one")
  await other.write(createMemorySeen(), 1, "two")
  const seen = createMemorySeen()
  const read = await world.besides(other).device(seen).read(world.keys)
  assert.deepEqual([read?.sequence, read?.siblings?.length], [2, 1])
  assert.equal((await seen.get(toHex(world.id)))?.stable, undefined)
  assert.equal((await other.device(seen).read(world.keys))?.sequence, 2)
})

test("an older version than another device has seen is refused after taking over what it has seen", async () => {
  const world = await World.create()
  const [a, b] = [createMemorySeen(), createMemorySeen()]
  await world.write(a, 1, "base")
  await world.device(b).read(world.keys)
  const old = await world.fork()
  await world.write(a, 1, "newer")
  const register = toHex(world.id)
  assert.ok(await old.device(b).read(world.keys), "device b knows of no newer one yet")
  await b.update(register, async (mine) => mergeSeen(nodeCrypto, register, mine!, (await a.get(register))!))
  await assert.rejects(old.device(b).read(world.keys), { code: "ERR_ROLLBACK" })
})

test("what was seen of another register is not taken over", async () => {
  const [one, two] = [await World.create(), await World.create()]
  const [a, b] = [createMemorySeen(), createMemorySeen()]
  await one.write(a, 1, "one")
  await two.write(b, 1, "two")
  const taken = mergeSeen(nodeCrypto, toHex(one.id), (await a.get(toHex(one.id)))!, (await b.get(toHex(two.id)))!)
  await assert.rejects(taken, { code: "ERR_BAD_FORMAT" })
})

test("reads of one process that overlap forget nothing that one of them saw", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  const writer = world.device(createMemorySeen())
  await writer.write(world.keys, 0, parts("one"))
  const other = await world.fork()
  // When the first read has judged its answer and not yet remembered it, others see the next version.
  let asked = 0
  const reader = world.device({
    ...seen,
    async get(id) {
      if (++asked === 2) {
        assert.ok(await writer.write(world.keys, 1, parts("two")))
        for (let i = 0; i < 2; i++) assert.equal((await reader.read(world.keys))?.sequence, 2)
      }
      return seen.get(id)
    },
  })
  assert.equal((await reader.read(world.keys))?.sequence, 1)
  assert.ok(asked > 2)
  await other.write(createMemorySeen(), 1, "another")
  await forkOf(other.device(seen).read(other.keys))
})

test("a read is held also against what another command saw meanwhile, as far as that comes before its answer", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(seen, 1, "base")
  const other = await world.fork()
  await other.write(createMemorySeen(), 70, "theirs") // so far on that the value alone does not name the known one
  let isOvertaken = false
  const reader = other.device({
    ...seen,
    async get(id) {
      const before = await seen.get(id)
      if (!isOvertaken) await world.write(seen, 1, "mine")
      isOvertaken = true
      return before
    },
  })
  await forkOf(reader.read(world.keys))
})
