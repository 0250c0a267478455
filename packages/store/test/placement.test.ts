/** Placement among very many places: the same as ever among few, and what one chunk costs among many. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { type Clock, equal, fromHex, hashSmall, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, type ChunkId, wrapBackend } from "@holdfast/protocol"
import fc from "fast-check"
import { createMemorySeen, createStore, type PlacedServer, Placement, rankServers, type Store } from "../src/index.ts"
import { owner, someBatch } from "./fixture.ts"

const someId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => id as ChunkId)

const serversNamed = (names: readonly string[]): PlacedServer[] =>
  names.map((name) => ({ backend: createMemoryBackend(name, nodeCrypto), weight: 1 }))
const namesTo = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`)

/** Weighted rendezvous hashing over all servers, as placement was before there were candidates. */
function rendezvous(servers: readonly PlacedServer[], id: ChunkId): Backend[] {
  const scoreOf = ({ backend, weight }: PlacedServer) => {
    const bytes = hashSmall("holdfast/placement/1", utf8(backend.id), id)
    const bits = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) >> 11n
    return -weight / Math.log((Number(bits) + 1) / (2 ** 53 + 1))
  }
  const scored = servers.map((server) => ({ backend: server.backend, score: scoreOf(server) }))
  return scored.sort((a, b) => b.score - a.score).map(({ backend }) => backend)
}

test("up to 64 servers are ranked as ever, and any more by candidates with the others behind them", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), someId, (count, id) => {
      const servers = serversNamed(namesTo(count))
      assert.deepEqual(rankServers(servers, id), rendezvous(servers, id))
    }),
    { numRuns: 40 },
  )
  const servers = serversNamed(namesTo(200))
  fc.assert(
    fc.property(someId, (id) => {
      const order = rankServers(servers, id)
      assert.equal(new Set(order).size, 200)
      const near = rendezvous(servers, id).filter((one) => order.indexOf(one) < 64)
      assert.deepEqual(order, [...near, ...rendezvous(servers, id).filter((one) => !near.includes(one))])
    }),
    { numRuns: 40 },
  )
})

test("servers that wait come behind all others, whatever their weights and labels, and change nothing in the order of these", () => {
  const domains = fc.constantFrom(undefined, ["site=a"], ["site=b"], ["site=b", "site=b/rack=1"])
  const someServer = fc.record({ weight: fc.integer({ min: 1, max: 9 }), domains, isWaiting: fc.boolean() })
  const few = fc.array(someServer, { minLength: 1, maxLength: 12 })
  const many = fc.array(someServer, { minLength: 60, maxLength: 150, size: "max" })
  fc.assert(
    fc.property(fc.oneof(few, many), someId, (shapes, id) => {
      const servers: PlacedServer[] = shapes.map(({ domains, ...rest }, i) => ({
        ...{ backend: createMemoryBackend(`n${i}`, nodeCrypto), ...rest },
        ...(domains && { domains }),
      }))
      const waiting = servers.filter(({ isWaiting }) => isWaiting)
      const others = servers.filter(({ isWaiting }) => !isWaiting)
      const order = rankServers(servers, id)
      assert.deepEqual(order.slice(0, others.length), rankServers(others, id))
      const behind = order.slice(others.length)
      assert.deepEqual(new Set(behind), new Set(waiting.map(({ backend }) => backend)))
      const sought = [...new Placement(servers).ranking(id).seek(0)].map(({ backend }) => backend)
      assert.deepEqual(new Set(sought), new Set(order), "who looks everywhere finds them all")
    }),
    { numRuns: 60 },
  )
})

test("the order among many servers is that of the vectors, which another program made", () => {
  const path = new URL("../../../interop/vectors/placement-candidates.json", import.meta.url)
  const { rankings } = JSON.parse(readFileSync(path, "utf8")) as {
    rankings: { servers: { id: string; weight: number; domains?: string[] }[]; chunk: string; order: string[] }[]
  }
  assert.ok(rankings.some(({ servers }) => servers.length > 64 && servers.some(({ domains }) => domains)))
  for (const { servers, chunk, order } of rankings) {
    const placed = servers.map(({ id, ...rest }) => ({ backend: createMemoryBackend(id, nodeCrypto), ...rest }))
    assert.deepEqual(
      rankServers(placed, fromHex(chunk) as ChunkId).map(({ id }) => id),
      order,
    )
  }
})

test("of many servers, one that leaves moves one other at most out of the first n: the place of who is a candidate now", () => {
  const servers = serversNamed(namesTo(130)).map((server, i) => ({
    ...server,
    weight: 1 + (i % 3),
    domains: i % 5 === 0 ? [] : [`site ${i % 4}`],
  }))
  const first = (of: readonly PlacedServer[], id: ChunkId, n: number) => rankServers(of, id).slice(0, n)
  fc.assert(
    fc.property(someId, fc.integer({ min: 1, max: 14 }), fc.nat(), (id, n, which) => {
      const before = first(servers, id, n)
      // Most often one that has a share: others are a change for few.
      const gone = which % 2 === 0 ? before[which % n]! : servers[which % servers.length]!.backend
      const after = first(
        servers.filter(({ backend }) => backend !== gone),
        id,
        n,
      )
      const stayed = before.filter((one) => one !== gone)
      assert.ok(stayed.filter((one) => !after.includes(one)).length <= 1)
    }),
    { numRuns: 150 },
  )
})

test("of many servers each gets its part, and those in small domains are used as much as the spread asks", () => {
  const servers = serversNamed(namesTo(256))
  const placement = new Placement(servers)
  const used = new Map<Backend, number>()
  const rounds = 4096
  for (let i = 0; i < rounds; i++) {
    const id = nodeCrypto.random(32) as ChunkId
    for (const { backend } of placement.ranking(id).first(5)) used.set(backend, (used.get(backend) ?? 0) + 1)
  }
  const even = (rounds * 5) / servers.length // 80, of which chance leaves 55 to 105
  for (const { backend } of servers) assert.ok(Math.abs((used.get(backend) ?? 0) - even) < 0.6 * even)
  const sites = servers.map((server, i) => ({ ...server, domains: [i < 2 ? "small" : `large ${i % 2}`] }))
  const isSmall = ({ id }: Backend) => id === "n0" || id === "n1"
  for (let i = 0; i < 100; i++)
    assert.ok(
      rankServers(sites, nodeCrypto.random(32) as ChunkId)
        .slice(0, 3)
        .some(isSmall),
    )
})

/** Its waits take so long that nobody asks a second place because a busy machine let the first one wait. */
const patientClock: Clock = { ...nodeEnv.clock, sleep: (ms, signal) => nodeEnv.clock.sleep(1000 * ms, signal) }

/** A store over `count` places, and how many requests these were sent since the last look. */
async function storeOver(count: number) {
  let calls = 0
  const backends = serversNamed(namesTo(count)).map(({ backend }) => backend)
  const store = await createStore({
    env: { ...nodeEnv, clock: patientClock },
    servers: backends.map((backend) => ({
      backend: wrapBackend(backend, ({ send }) => {
        calls++
        return send()
      }),
      weight: 1,
    })),
    account: owner.account,
    coding: { k: 3, happy: 4, n: 5 },
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  const counted = async (work: () => Promise<unknown>) => {
    calls = 0
    await work()
    return calls
  }
  return { store, backends, counted }
}

/** Requests of storing, reading, checking and mending one chunk, by what is done. */
async function requestsWith(count: number): Promise<Record<string, number>> {
  const { store, backends, counted } = await storeOver(count)
  const text = nodeCrypto.random(50_000)
  let ref: Awaited<ReturnType<Store["chunks"]["putChunk"]>> | undefined
  const put = await counted(async () => (ref = await store.chunks.putChunk(text)))
  const { id } = ref!
  const get = await counted(async () =>
    assert.ok(equal((await store.chunks.getChunk(ref!)).subarray(0, text.length), text)),
  )
  const range = await counted(() => store.chunks.readRange(ref!, { offset: 10, length: 10 }))
  const check = await counted(() => store.checkChunk(id))
  const [first] = rankServers(
    backends.map((backend) => ({ backend, weight: 1 })),
    id,
  )
  const held = await first!.getShares([{ id }])
  assert.ok(held[0], "the best place has the first share")
  const again = await storeOver(count)
  for (const backend of backends.filter((one) => one !== first)) {
    const [share] = await backend.getShares([{ id }])
    const other = again.backends.find((one) => one.id === backend.id)!
    if (share) await other.putShares([share], someBatch)
  }
  const repair = await again.counted(async () => {
    const health = await again.store.checkChunk(id, { repair: true })
    assert.equal(health.placed, 1)
  })
  const whole = await again.store.checkChunk(id, { verify: true })
  assert.deepEqual([whole.goodShares, whole.distinctServers], [5, 5])
  await Promise.all([store.close(), again.store.close()])
  return { put, get, range, check, repair }
}

test("storing, reading, checking and mending one chunk asks no more of a thousand places than of a hundred", async () => {
  const few = await requestsWith(100)
  const many = await requestsWith(1000)
  assert.deepEqual(many, few)
  assert.deepEqual({ put: few["put"], get: few["get"], check: few["check"] }, { put: 5, get: 3, check: 16 })
})

test("ranking the places of a chunk looks at 64 of them, however many there are, once its group was met", () => {
  for (const count of [100, 1000]) {
    let looks = 0
    const counting = serversNamed(namesTo(count)).map(({ backend }) => ({
      backend,
      get weight() {
        looks++
        return 1
      },
    }))
    const placement = new Placement(counting)
    placement.ranking(new Uint8Array(32) as ChunkId).first(5)
    looks = 0
    for (let i = 0; i < 20; i++) {
      const id = nodeCrypto.random(32)
      id.fill(0, 0, 2)
      placement.ranking(id as ChunkId).first(5)
    }
    assert.equal(looks, 20 * 64)
  }
})

test("what was placed among very many places before there were candidates is read in few trips, and placed anew by a repair", async () => {
  const source = await storeOver(5)
  const text = nodeCrypto.random(5000)
  const ref = await source.store.chunks.putChunk(text)
  const { store, backends, counted } = await storeOver(1000)
  const old = rendezvous(
    backends.map((backend) => ({ backend, weight: 1 })),
    ref.id,
  )
  for (const [i, backend] of source.backends.entries()) {
    const [share] = await backend.getShares([{ id: ref.id }])
    await old[i]!.putShares([share!], someBatch)
  }
  const asked = await counted(async () =>
    assert.ok(equal((await store.chunks.getChunk(ref)).subarray(0, text.length), text)),
  )
  assert.ok(asked <= 20, `${asked} places were asked`)
  const health = await store.checkChunk(ref.id, { repair: true })
  assert.deepEqual([health.goodShares, health.distinctServers], [5, 5])
  await Promise.all([source.store.close(), store.close()])
})
