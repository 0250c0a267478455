import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { type Clock, HoldfastError, isHoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, toReadCap } from "@holdfast/protocol"
import { type ChunkRef, createMemorySeen, createStore, IdSet, type RegisterKeys, type Store } from "@holdfast/store"
import { createLiar, type Lie, lies } from "@holdfast/store/testing"
import fc from "fast-check"
import { collectorOf, owner } from "./fixture.ts"

const nothing = { shares: 0, bytes: 0, marks: 0, young: 0, registers: 0, adopted: 0 }

/** Codings that keep what was acknowledged when f of those that took it lied: happy = n - f, k <= happy - f. */
const sizes: readonly Size[] = [
  { n: 4, f: 1, k: 2 },
  { n: 5, f: 1, k: 3 },
  { n: 7, f: 2, k: 3 },
]
/** With fewer shares than servers: one that is no use for a chunk must not keep it from those that would be. */
const sparse: readonly Size[] = [{ n: 4, f: 1, k: 2, shares: 3 }]
interface Size {
  readonly n: number
  readonly f: number
  readonly k: number
  readonly happy?: number
  readonly shares?: number
  readonly mode?: "crash" | "byzantine"
}

/** A grid in which some servers lie; clients are told apart by number. */
function lyingGrid(
  { n, f, k, happy = n - f, shares = n, mode = "byzantine" }: Size,
  liars: ReadonlyMap<number, Lie>,
  honest = memoryBackends(n),
) {
  const options = { crypto: nodeCrypto, clock: nodeEnv.clock, slowMs: 10 }
  const faces = honest.map((backend, i) => {
    const lie = liars.get(i)
    return lie ? createLiar(backend, lie, options) : { forClient: (): Backend => backend }
  })
  const down = new Set<number>()
  const seen = [createMemorySeen(), createMemorySeen(), createMemorySeen()]
  return {
    honest,
    /** Positions of servers that cannot be reached. */
    down,
    client: (number: number) =>
      createStore({
        env: nodeEnv,
        servers: faces.map((face, i) => ({
          backend: behindSwitch(face.forClient(number), () => down.has(i)),
          weight: 1,
        })),
        coding: { k, happy, n: shares },
        registerMode: mode,
        seen: seen[number]!,
        hedgeMs: 2,
      }),
  }
}

/** `backend`, but for the time that it is down. */
function behindSwitch(backend: Backend, isDown: () => boolean): Backend {
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isDown()) throw new HoldfastError("ERR_SERVER_UNREACHABLE", `${backend.id} is down.`)
    return work()
  }
  return {
    ...backend,
    putShares: (...args) => call(() => backend.putShares(...args)),
    getShares: (...args) => call(() => backend.getShares(...args)),
    hasShares: (...args) => call(() => backend.hasShares(...args)),
    readRegisters: (...args) => call(() => backend.readRegisters(...args)),
    proposeRegisters: (...args) => call(() => backend.proposeRegisters(...args)),
  }
}

function memoryBackends(count: number): Backend[] {
  return Array.from({ length: count }, (_, i) => createMemoryPlace(`n${i + 1}`, nodeCrypto).backendOf(owner))
}

/** Every set of one to `most` of `count` servers. */
function subsets(count: number, most: number): number[][] {
  const all: number[][] = []
  const grow = (chosen: number[], from: number) => {
    for (let next = from; next < count && chosen.length < most; next++) {
      all.push([...chosen, next])
      grow([...chosen, next], next + 1)
    }
  }
  grow([], 0)
  return all
}

async function newKeys(): Promise<Required<RegisterKeys>> {
  const seed = nodeCrypto.random(32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  return { seed, publicKey, readKey }
}

const sample = (length: number, seed: number) => new Uint8Array(length).map((_, i) => (i * 31 + (i >> 8) + seed) & 255)
const parts = (text: string) => ({ content: utf8(text), care: utf8(`care of ${text}`) })

async function assertChunk(store: Store, ref: ChunkRef, plaintext: Uint8Array) {
  const read = await store.chunks.getChunk(ref)
  assert.ok(Buffer.from(read.subarray(0, plaintext.length)).equals(Buffer.from(plaintext)))
}

async function assertRegister(store: Store, keys: RegisterKeys, sequence: number, text: string) {
  const read = await store.registers.read(keys)
  assert.equal(read?.sequence, sequence)
  assert.equal(Buffer.from(read.content).toString(), text)
  assert.equal(read.siblings, undefined)
}

/** Chunks and registers, written and read by two clients, with `liars` from the first moment. */
async function storeAmong(size: Size, liars: ReadonlyMap<number, Lie>) {
  const grid = lyingGrid(size, liars)
  const [keys, otherKeys] = [await newKeys(), await newKeys()]
  const [writer, reader] = [await grid.client(0), await grid.client(1)]
  const plaintexts = [1, 2, 3].map((seed) => sample(400 * seed, seed))
  const refs = await Promise.all(plaintexts.map((plaintext) => writer.chunks.putChunk(plaintext.slice())))
  await Promise.all(refs.map((ref, i) => assertChunk(reader, ref, plaintexts[i]!)))
  assert.ok(await writer.registers.write(otherKeys, 0, parts("other")))
  assert.ok(await writer.registers.write(keys, 0, parts("one")))
  const chunks = refs.map(({ id }) => id)
  assert.ok(await writer.registers.write(keys, 1, parts("two"), { chunks }))
  await assertRegister(reader, keys, 2, "two")
  assert.ok(await reader.registers.write(keys, 2, parts("three"), { chunks }), "a copy by reference")
  await assertRegister(writer, keys, 3, "three")
  await assertRegister(await grid.client(2), keys, 3, "three")
  const care = await reader.registers.readCare({ ...keys, verifyKey: nodeCrypto.random(32) }).catch((error) => error)
  assert.equal(care.code, "ERR_CORRUPT")
  return { grid, writer, reader, refs, plaintexts }
}

for (const lie of lies)
  test(`with every set of f servers whose lie is "${lie}", of 4, 5 and 7, writes succeed and reads give the newest`, async () => {
    for (const size of [...sizes, ...sparse])
      for (const chosen of subsets(size.n, size.f))
        await storeAmong(size, new Map(chosen.map((position) => [position, lie])))
  })

/** Lies of servers that hold what they were given, and alter what they give. */
const alteringLies = [
  "wrong share",
  "wrong index",
  "share of another index",
  "share of another chunk",
  "truncated share",
  "empty share",
  "share with a tail",
  "oversize share",
  "permuted answers",
  "denies all",
  "fails",
] satisfies Lie[]

/** As many liars as leave k honest servers: more than byzantine mode allows, as in crash mode. */
const leanSizes: readonly Size[] = [
  { n: 4, f: 1, k: 3, happy: 4, mode: "crash" },
  { n: 5, f: 2, k: 3, happy: 5, mode: "crash" },
  { n: 7, f: 3, k: 4, happy: 7, mode: "crash" },
]

test("any k honest servers give a chunk back, whatever shares all others give", async () => {
  for (const lie of alteringLies)
    for (const size of leanSizes) {
      const honest = lyingGrid(size, new Map())
      const plaintexts = [1, 2, 3].map((seed) => sample(500 * seed, seed))
      const writer = await honest.client(0)
      const refs = await Promise.all(plaintexts.map((plaintext) => writer.chunks.putChunk(plaintext.slice())))
      for (const chosen of subsets(size.n, size.f)) {
        const grid = lyingGrid(size, new Map(chosen.map((position) => [position, lie])), honest.honest)
        const reader = await grid.client(1)
        await Promise.all(refs.map((ref, i) => assertChunk(reader, ref, plaintexts[i]!)))
      }
    }
})

test("check, repair, rebalance and garbage collection among liars take no good share away", async () => {
  for (const lie of lies)
    for (const size of sizes)
      for (const position of [0, size.n - 1]) {
        const grid = lyingGrid(size, new Map([[position, lie]]))
        const writer = await lyingGrid(size, new Map(), grid.honest).client(0)
        const keeper = await grid.client(1)
        const plaintexts = [1, 2, 3].map((seed) => sample(300 * seed, seed))
        const refs = await Promise.all(plaintexts.map((plaintext) => writer.chunks.putChunk(plaintext.slice())))
        const honest = grid.honest.filter((_, i) => i !== position)
        const goodShares = async () => {
          const held = await Promise.all(honest.map((backend) => backend.hasShares(refs.map(({ id }) => id))))
          return refs.map((_, i) => new Set(held.flatMap((of) => of[i]!)).size)
        }
        const before = await goodShares()
        for (const { id } of refs)
          for (let round = 0; round < size.n; round++) {
            await keeper.checkChunk(id)
            const health = await keeper.checkChunk(id, { verify: round % 2 === 0, repair: true })
            assert.ok(health.goodShares >= size.k && health.goodShares <= size.n, `${lie}: ${health.goodShares}`)
            await keeper.rebalanceChunk(id)
          }
        const live = new IdSet(nodeCrypto)
        for (const { id } of refs) live.add(id)
        const collection = await keeper.beginCollection()
        const registers = new IdSet(nodeCrypto)
        const collected = await collection.run({ collector: collectorOf(owner), live, registers, graceMs: 0 })
        for (const { id } of honest) assert.deepEqual(collected.get(id), nothing, `${lie} at ${position}, ${id}`)
        if (lie === "invents shares") assert.match(collection.leftOut.get(`n${position + 1}`) ?? "", /without end/)
        for (const [i, count] of (await goodShares()).entries())
          assert.ok(count >= before[i]!, `${lie} at ${position} of ${size.n}: ${before[i]} became ${count}`)
        await Promise.all(refs.map((ref, i) => assertChunk(keeper, ref, plaintexts[i]!)))
      }
})

const someLiars = fc.constantFrom(...sizes).chain((size) =>
  fc.record({
    size: fc.constant(size),
    positions: fc.uniqueArray(fc.nat(size.n - 1), { minLength: size.f, maxLength: size.f }),
    told: fc.array(fc.constantFrom(...lies), { minLength: size.f, maxLength: size.f }),
  }),
)

test("f servers with any mixture of lies change nothing", async () => {
  const property = fc.asyncProperty(someLiars, async ({ size, positions, told }) => {
    await storeAmong(size, new Map(positions.map((position, i) => [position, told[i]!])))
  })
  await fc.assert(property, { numRuns: 100 })
})

test("with more servers gone or lying than allowed a put fails with a clear error, and what was acknowledged stays", async () => {
  const property = fc.asyncProperty(
    someLiars,
    fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 3 }),
    async ({ size, positions, told }, alsoDown) => {
      const grid = lyingGrid(size, new Map(positions.map((position, i) => [position, told[i]!])))
      const store = await grid.client(0)
      const plaintext = sample(1000, 1)
      const ref = await store.chunks.putChunk(plaintext.slice())
      for (const position of alsoDown) grid.down.add(position)
      const late = sample(1000, 2)
      const lateRef = await (await grid.client(1)).chunks.putChunk(late.slice()).catch((error: unknown) => {
        assert.ok(isHoldfastError(error, "ERR_NOT_ENOUGH_SERVERS"), String(error))
      })
      await store.chunks.getChunk(ref).catch((error: unknown) => {
        assert.ok(isHoldfastError(error, "ERR_NOT_ENOUGH_SHARES"), String(error))
      })
      grid.down.clear()
      const reader = await grid.client(2)
      await assertChunk(reader, ref, plaintext)
      if (lateRef) await assertChunk(reader, lateRef, late)
    },
  )
  await fc.assert(property, { numRuns: 100 })
})

test("a server that never ends taking a share keeps no put waiting for ever", async () => {
  const servers = memoryBackends(4)
  const never = new Promise<never>(() => undefined)
  const stuck: Backend = { ...servers[0]!, putShares: () => never }
  let waitedMs = 0
  const clock: Clock = {
    nowMs: () => nodeEnv.clock.nowMs() + waitedMs,
    async sleep(ms, signal) {
      await nodeEnv.clock.sleep(1, signal) // time passes quickly here
      waitedMs += ms
    },
  }
  const store = await createStore({
    env: { ...nodeEnv, clock },
    servers: [stuck, ...servers.slice(1)].map((backend) => ({ backend, weight: 1 })),
    coding: { k: 2, happy: 3, n: 4 },
    registerMode: "byzantine",
    seen: createMemorySeen(),
  })
  const plaintext = sample(5000, 1)
  await assertChunk(store, await store.chunks.putChunk(plaintext.slice()), plaintext)
})
