/** Shares over failure domains: where placement puts them, and what a server that fails, or a lost site, changes. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { fromHex } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { ChunkId } from "@holdfast/protocol"
import fc from "fast-check"
import { createMemorySeen, createStore, type PlacedServer, rankServers } from "../src/index.ts"
import { owner, type SwitchedServer, switchedServer } from "./fixture.ts"

/** The domains of a server with these labels, the widest first. */
function domainsAt(...labels: readonly (string | undefined)[]): readonly string[] {
  const given = labels.filter((label) => label !== undefined)
  return given.map((_, i) => given.slice(0, i + 1).join("/"))
}

const label = (letters: string) => fc.option(fc.constantFrom(...letters), { nil: undefined })
const someServers = fc
  .array(
    fc.record({
      provider: label("AB"),
      site: label("xyz"),
      rack: label("12"),
      weight: fc.constantFrom(1, 1, 3),
    }),
    { minLength: 1, maxLength: 14 },
  )
  .map((all) =>
    all.map(
      ({ provider, site, rack, weight }, i): PlacedServer => ({
        backend: createMemoryBackend(`s${i}`, nodeCrypto),
        weight,
        domains: domainsAt(provider, site, rack),
      }),
    ),
  )
const someId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => id as ChunkId)

/** Names of the first `n`. */
function first(servers: readonly PlacedServer[], id: ChunkId, n: number): string[] {
  return rankServers(servers, id)
    .slice(0, n)
    .map((backend) => backend.id)
}

test("the first n servers lie in as many domains as can be, and no domain has two more of them than one that has others left", () => {
  fc.assert(
    fc.property(someServers, someId, fc.nat(14), (servers, id, n) => {
      const chosen = new Set(first(servers, id, n))
      const own = ({ backend, domains }: PlacedServer) => domains![0] ?? backend.id
      const widest = Map.groupBy(servers, own)
      const counts = [...widest.values()].map((all) => ({
        used: all.filter(({ backend }) => chosen.has(backend.id)).length,
        size: all.length,
      }))
      assert.equal(counts.filter(({ used }) => used > 0).length, Math.min(n, servers.length, widest.size))
      const most = Math.max(...counts.map(({ used }) => used))
      assert.ok(counts.every(({ used, size }) => used >= Math.min(size, most - 1)))
    }),
  )
})

test("within a domain too: of a site's servers the first ones lie in as many racks as can be", () => {
  const racks = ["1", "1", "1", "2"].map((rack, i) => ({
    backend: createMemoryBackend(`s${i}`, nodeCrypto),
    weight: 1,
    domains: domainsAt("home", rack),
  }))
  const others = [4, 5].map((i) => ({
    backend: createMemoryBackend(`s${i}`, nodeCrypto),
    weight: 1,
    domains: ["work"],
  }))
  fc.assert(
    fc.property(someId, (id) => {
      const chosen = first([...racks, ...others], id, 4)
      assert.ok(chosen.includes("s3") && chosen.includes("s4") && chosen.includes("s5"))
    }),
  )
})

test("who leaves moves nobody else out of the first n, and one other at most in; who comes moves nobody else in", () => {
  fc.assert(
    fc.property(someServers, someId, fc.nat(14), fc.nat(), (servers, id, n, which) => {
      const gone = servers[which % servers.length]!
      const before = first(servers, id, n)
      const after = first(
        servers.filter((one) => one !== gone),
        id,
        n,
      )
      const stayed = before.filter((name) => name !== gone.backend.id)
      assert.ok(stayed.every((name) => after.includes(name)))
      assert.ok(after.length - stayed.length <= (stayed.length < before.length ? 1 : 0))
    }),
    { numRuns: 1000 },
  )
})

test("the order is that of the frozen vectors, with labels and without", () => {
  const path = new URL("../../../interop/vectors/placement.json", import.meta.url)
  const { rankings } = JSON.parse(readFileSync(path, "utf8")) as {
    rankings: { servers: { id: string; weight: number; domains?: string[] }[]; chunk: string; order: string[] }[]
  }
  assert.ok(rankings.some(({ servers }) => servers.every(({ domains }) => domains === undefined)))
  for (const { servers, chunk, order } of rankings) {
    const placed = servers.map(({ id, ...rest }) => ({ backend: createMemoryBackend(id, nodeCrypto), ...rest }))
    assert.deepEqual(
      rankServers(placed, fromHex(chunk) as ChunkId).map(({ id }) => id),
      order,
    )
  }
})

/** Six servers in three sites, and a store over those of them that are given. */
function threeSites() {
  const servers = ["a1", "a2", "b1", "b2", "c1", "c2"].map((id) => switchedServer(id))
  const siteOf = ({ backend }: SwitchedServer) => `site=${backend.id[0]}`
  const open = () =>
    createStore({
      env: nodeEnv,
      servers: servers.map((server) => ({ backend: server.backend, weight: 1, domains: [siteOf(server)] })),
      account: owner.account,
      coding: { k: 2, happy: 3, n: 3 },
      registerMode: "crash",
      seen: createMemorySeen(),
    })
  const sitesOf = async (id: ChunkId) => {
    const held = await Promise.all(servers.map(({ backend }) => backend.hasShares([id]).catch(() => [[]])))
    return servers.filter((_, i) => held[i]![0]!.length > 0).map(siteOf)
  }
  return { servers, open, sitesOf }
}

test("a share that its server does not take goes to another one of the same site", async () => {
  const { servers, open, sitesOf } = threeSites()
  servers.find(({ backend }) => backend.id === "b1")!.down = true
  servers.find(({ backend }) => backend.id === "c2")!.down = true
  const store = await open()
  for (let i = 0; i < 20; i++) {
    const { id } = await store.chunks.putChunk(nodeCrypto.random(100))
    assert.deepEqual(await sitesOf(id), ["site=a", "site=b", "site=c"])
  }
  await store.close()
})

test("a repair puts a lost share in the site that has none", async () => {
  const { servers, open, sitesOf } = threeSites()
  const store = await open()
  const ids: ChunkId[] = []
  for (let i = 0; i < 20; i++) ids.push((await store.chunks.putChunk(nodeCrypto.random(100))).id)
  for (const server of servers.slice(0, 1)) server.empty()
  const before = await Promise.all(ids.map((id) => store.checkChunk(id)))
  assert.ok(before.some(({ goodShares }) => goodShares === 2))
  for (const server of servers.slice(0, 1)) server.down = true
  for (const id of ids) {
    await store.checkChunk(id, { repair: true })
    assert.deepEqual(await sitesOf(id), ["site=a", "site=b", "site=c"])
  }
  await store.close()
})

test("a check says how many shares are left without a site, and a store what is left of the servers of registers", async () => {
  const { servers, open } = threeSites()
  const store = await open()
  const { id } = await store.chunks.putChunk(nodeCrypto.random(100))
  const sites = ["site=a", "site=b", "site=c"]
  const whole = await store.checkChunk(id)
  assert.deepEqual(whole.leftWithout, new Map(sites.map((site) => [site, 2])))
  for (const server of servers.slice(0, 2)) server.empty()
  const { leftWithout } = await store.checkChunk(id, { verify: true })
  assert.deepEqual(leftWithout, new Map(sites.slice(1).map((site) => [site, 1]))) // the first has none that could be lost
  assert.deepEqual(
    store.domains.map(({ name, keepsQuorum }) => [name, keepsQuorum]),
    sites.map((site) => [site, true]), // four of six are left
  )
  await store.close()
})
