/**
 * What one chunk costs among few and many places: processor time to store, read and mend it, and to put its places in order, over places
 * in memory (3/4/5, small chunks, so that the work of finding places shows). Prints a table for 10, 100 and 1,000 places and 1,000 to
 * 100,000 chunks. HOLDFAST_PLACES_CHUNKS names other numbers, "1000,10000000": of so many, all are put in order, and as many are stored
 * as memory has room for (100,000).
 */

import { createMemoryPlace } from "@holdfast/backends"
import { mapPool } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { Backend, ChunkId } from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createStore, type PlacedServer, Placement } from "@holdfast/store"

const placeCounts = [10, 100, 1000]
const chunkCounts = (process.env["HOLDFAST_PLACES_CHUNKS"] ?? "1000,10000,100000").split(",").map(Number)
const coding = { k: 3, happy: 4, n: 5 }
const chunkBytes = 100
const mostStored = 100_000
const mostMended = 10_000
const atOnce = 64
const pageIds = 1000
const sites = 8

const account = await makeAccount(nodeCrypto)

/** Microseconds of processor time that each of `count` takes. */
async function perOne(count: number, work: () => Promise<void> | void): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}

/** Ids by chance, a page at a time. */
function* pagesOfIds(count: number): Generator<ChunkId[], void, void> {
  for (let left = count; left > 0; left -= pageIds) {
    const bytes = nodeCrypto.random(32 * Math.min(left, pageIds))
    yield Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(32 * i, 32 * (i + 1)) as ChunkId)
  }
}

function servers(count: number): PlacedServer[] {
  return Array.from({ length: count }, (_, i) => ({
    backend: createMemoryPlace(`n${i}`, nodeCrypto).backendOf(account),
    weight: 1 + (i % 2),
    domains: [`site=${i % sites}`],
  }))
}

/** A store, its places, and those of them that have forgotten all. */
async function open(placed: readonly PlacedServer[], gone = new Set<string>()) {
  const withOut = placed.map((server): PlacedServer => {
    if (!gone.has(server.backend.id)) return server
    return { ...server, backend: createMemoryPlace(server.backend.id, nodeCrypto).backendOf(account) }
  })
  const backends = withOut.map(({ backend, ...rest }) => ({ ...rest, backend: stayingOpen(backend) }))
  return createStore({
    env: nodeEnv,
    servers: backends,
    account: account.account,
    coding,
    registerMode: "crash",
    seen: createMemorySeen(),
  })
}

/** Places outlive the stores over them here. */
function stayingOpen(backend: Backend): Backend {
  return { ...backend, close: async () => undefined }
}

async function row(places: number, chunks: number): Promise<string> {
  const placed = servers(places)
  const placement = new Placement(placed)
  const order = await perOne(chunks, () => {
    for (const page of pagesOfIds(chunks)) for (const id of page) placement.ranking(id).first(coding.n)
  })
  const stored = Math.min(chunks, mostStored)
  const store = await open(placed)
  const refs: { id: ChunkId; key: Uint8Array }[] = []
  const put = await perOne(stored, async () => {
    for (let at = 0; at < stored; at += pageIds)
      await mapPool(Array.from({ length: Math.min(pageIds, stored - at) }), atOnce, async () => {
        const { id, key } = await store.chunks.putChunk(nodeCrypto.random(chunkBytes))
        refs.push({ id, key })
      })
  })
  const each = async <T>(all: readonly T[], work: (one: T) => Promise<unknown>) => {
    return perOne(all.length, async () => void (await mapPool(all, atOnce, work)))
  }
  const get = await each(refs, (ref) => store.chunks.getChunk(ref))
  await store.close()
  // One place in a hundred lost all, and one in ten where there are no hundred; the chunks that had a share there are mended.
  const gone = new Set(placed.filter((_, i) => i % Math.min(100, places) === 0).map(({ backend }) => backend.id))
  const lost = refs.filter(({ id }) =>
    placement
      .ranking(id)
      .first(coding.n)
      .some(({ backend }) => gone.has(backend.id)),
  )
  const mended = lost.slice(0, mostMended)
  const broken = await open(placed, gone)
  const check = await each(mended, ({ id }) => broken.checkChunk(id))
  const repair = await each(mended, async ({ id }) => {
    const health = await broken.checkChunk(id, { repair: true })
    if (health.placed === 0) throw new Error("a share was not placed anew")
  })
  await broken.close()
  const figures = [order, put, get, check, repair].map((figure) => figure.toFixed(0).padStart(9))
  return [String(places).padStart(7), String(chunks).padStart(9), ...figures].join("")
}

process.stdout.write("Microseconds of processor time for each chunk:\n")
process.stdout.write(" places   chunks    order      put      get    check   repair\n")
for (const chunks of chunkCounts)
  for (const places of placeCounts) process.stdout.write(`${await row(places, chunks)}\n`)
