/** Reading here and there: the right bytes, nothing fetched again and again, and no more held than allowed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { HoldfastError, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import type { Backend } from "@holdfast/protocol"
import { makeAccount, newBatch } from "@holdfast/protocol/testing"
import { type ChunkRange, type ChunkRef, createMemorySeen, createStore } from "@holdfast/store"
import { makeTwoFaced } from "@holdfast/store/testing"
import {
  createFileWriter,
  createTreeIo,
  encodeManifestNode,
  type FileContent,
  PageCache,
  RandomReader,
  type TreeIo,
} from "../src/index.ts"
import { env, MemoryChunks, memoryIo, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib

async function stored(io: TreeIo, bytes: Uint8Array): Promise<FileContent> {
  const writer = createFileWriter(io)
  const adding = writer.add(bytes.slice())
  await writer.flush()
  return adding
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.ok(Buffer.from(expected.buffer, expected.byteOffset, expected.length).equals(actual), what)
}

/** Whole numbers below a limit, from a seed. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

test("reads of any size in any order give the bytes, and only what is not here is fetched", async () => {
  const { io: writing, chunks } = memoryIo()
  for (const size of [0, 10, 3000, 300 * kib, 3 * mib, 9 * mib + 5]) {
    const whole = noise(size, size)
    const content = await stored(writing, whole)
    const io = createTreeIo({ chunks, env })
    const reader = new RandomReader(io, content)
    const random = randomFrom(size)
    for (let i = 0; i < 60; i++) {
      const offset = random(size + 10)
      const length = random(i % 5 === 0 ? size + 10 : 5000)
      sameBytes(await reader.read(offset, length), whole.subarray(offset, offset + length), `${length} at ${offset}`)
    }
    const before = chunks.gets
    for (let i = 0; i < 60; i++) {
      const offset = random(size)
      sameBytes(await reader.read(offset, 4096), whole.subarray(offset, offset + 4096), `${offset}`)
    }
    assert.equal(chunks.gets - before <= (size > 4 * mib ? 60 : 10), true, `${chunks.gets - before} of ${size}`)
  }
})

test("a part that was read is not fetched again, its neighbours in the page neither", async () => {
  const { io: writing, chunks } = memoryIo()
  const content = await stored(writing, noise(4 * mib))
  const reader = new RandomReader(createTreeIo({ chunks, env }), content, { readAhead: false })
  await reader.read(2 * mib + 5, 100)
  const { gets } = chunks
  for (let i = 0; i < 500; i++) await reader.read(2 * mib + 100 * i, 100)
  assert.equal(chunks.gets - gets, 0)
})

test("of files that share a chunk small ones are read together, and large ones by pages", async () => {
  const { io: writing, chunks } = memoryIo()
  const writer = createFileWriter(writing)
  const files = [300 * kib, 900 * kib, 5 * kib, 6 * kib].map((size, i) => noise(size, i + 1))
  const adding = files.map((bytes) => writer.add(bytes.slice()))
  await writer.flush()
  const contents = await Promise.all(adding)
  assert.equal(chunks.stored.size, 1)
  const fetches = async (which: readonly number[]) => {
    const io = createTreeIo({ chunks, env })
    const before = { gets: chunks.gets, got: chunks.gotBytes }
    for (const i of which)
      for (let round = 0; round < 20; round++) {
        const reader = new RandomReader(io, contents[i]!, { readAhead: false })
        const offset = 4000 + 10 * round
        sameBytes(await reader.read(offset, 1000), files[i]!.subarray(offset, offset + 1000), `${i}`)
      }
    return { gets: chunks.gets - before.gets, gotBytes: chunks.gotBytes - before.got }
  }
  assert.deepEqual(await fetches([1]), { gets: 1, gotBytes: 64 * kib })
  assert.equal((await fetches([2, 3])).gets, 1)
  assert.equal((await fetches([3, 1, 0])).gets, 1)
})

test("many who want one page at once share one fetch, and those who want its chunk too", async () => {
  const { io: writing, chunks } = memoryIo()
  const whole = noise(4 * mib)
  const content = await stored(writing, whole)
  const io = createTreeIo({ chunks, env })
  const readers = Array.from({ length: 15 }, () => new RandomReader(io, content))
  const { gets } = chunks
  const reads = await Promise.all(readers.map((reader) => reader.read(3 * mib + 7, 4096)))
  for (const bytes of reads) sameBytes(bytes, whole.subarray(3 * mib + 7, 3 * mib + 7 + 4096), "shared")
  assert.equal(chunks.gets - gets, 1)
  const all = await Promise.all(readers.map((reader) => reader.read(0, 4 * mib)))
  for (const bytes of all) sameBytes(bytes, whole, "whole")
  assert.equal(chunks.gets - gets, 2)
})

test("reading from beginning to end fetches each chunk about once, ahead of who reads", async () => {
  const { io: writing, chunks } = memoryIo()
  const whole = noise(40 * mib)
  const content = await stored(writing, whole)
  const reader = new RandomReader(createTreeIo({ chunks, env }), content)
  const before = { gets: chunks.gets, got: chunks.gotBytes }
  for (let at = 0; at < whole.length; at += 100 * kib)
    sameBytes(await reader.read(at, 100 * kib), whole.subarray(at, at + 100 * kib), `${at}`)
  assert.ok(chunks.gets - before.gets <= 40, `${chunks.gets - before.gets} fetches`)
  assert.ok(chunks.gotBytes - before.got <= 1.2 * whole.length, `${chunks.gotBytes - before.got} bytes`)
})

/** Chunks that are not verified each time, for tests that read them very often. */
class QuickChunks extends MemoryChunks {
  override async getChunk({ id }: ChunkRef): Promise<Uint8Array> {
    this.gets++
    await new Promise((resolve) => setImmediate(resolve))
    return this.stored.get(toHex(id))!.slice()
  }

  override async readRange({ id }: ChunkRef, { offset, length }: ChunkRange): Promise<Uint8Array> {
    this.gets++
    await new Promise((resolve) => setImmediate(resolve))
    return this.stored.get(toHex(id))!.slice(offset, offset + length)
  }
}

test("the cache holds as much as it may, whatever is read by how many", async () => {
  const chunks = new QuickChunks()
  const whole = noise(48 * mib)
  const content = await stored(createTreeIo({ chunks, env }), whole)
  const maxBytes = 9 * mib
  const io = createTreeIo({ chunks, env, pageCacheBytes: maxBytes })
  const random = randomFrom(5)
  let most = 0
  const watch =
    <T extends unknown[], R>(inner: (...args: T) => Promise<R>) =>
    async (...args: T): Promise<R> => {
      most = Math.max(most, io.pages.heldBytes)
      const result = await inner(...args)
      most = Math.max(most, io.pages.heldBytes)
      return result
    }
  chunks.getChunk = watch(chunks.getChunk.bind(chunks))
  chunks.readRange = watch(chunks.readRange.bind(chunks))
  const lanes = Array.from({ length: 12 }, async (_, lane) => {
    const reader = new RandomReader(io, content)
    for (let i = 0; i < 20; i++) {
      const offset = lane % 3 === 0 ? i * 128 * kib : random(whole.length)
      const length = lane % 4 === 1 ? random(6 * mib) : 5000
      sameBytes(await reader.read(offset, length), whole.subarray(offset, offset + length), `${length} at ${offset}`)
      most = Math.max(most, io.pages.heldBytes)
    }
  })
  await Promise.all(lanes)
  assert.ok(most <= maxBytes, `${most} bytes were held`)
  assert.ok(most > maxBytes / 2, "the cache is used")
  // What fits stays; what was pushed out is fetched again.
  const reader = new RandomReader(io, content, { readAhead: false })
  const walk = async (bytes: number) => {
    for (let at = 0; at < bytes; at += 256 * kib) await reader.read(at, 4096)
  }
  await walk(16 * mib)
  const before = chunks.gets
  await walk(16 * mib)
  assert.equal(chunks.gets, before, "64 pages fit")
  for (let at = 0; at < 40 * mib; at += 2 * mib) await reader.read(at, 2 * mib)
  assert.ok(io.pages.heldBytes <= maxBytes)
  const later = chunks.gets
  await walk(16 * mib)
  assert.ok(chunks.gets > later, "something had to go")
})

test("a cache that is too small for a chunk, and reads that are none, are refused", async () => {
  const { io, chunks } = memoryIo()
  for (const maxBytes of [0, 8 * mib - 1, Number.NaN, 8 * mib + 0.5, Number.POSITIVE_INFINITY])
    assert.throws(() => new PageCache(chunks, maxBytes), { code: "ERR_INVALID_ARGUMENT" })
  const reader = new RandomReader(io, await stored(io, noise(100)))
  for (const [offset, length] of [
    [-1, 5],
    [0.5, 5],
    [0, 0.5],
    [0, -1],
    [0, 64 * mib + 1],
    [0, 2 ** 40],
  ] as const)
    await assert.rejects(reader.read(offset, length), { code: "ERR_INVALID_ARGUMENT" })
  const signal = AbortSignal.abort(new Error("stopped"))
  await assert.rejects(reader.read(0, 5, { signal }), /stopped/)
})

/** Chunks that fail as long as they are told to. */
class FailingChunks extends MemoryChunks {
  isDown = false
  tries = 0

  override async getChunk(ref: ChunkRef): Promise<Uint8Array> {
    this.tries++
    await new Promise((resolve) => setImmediate(resolve))
    if (this.isDown) throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", "the network is gone")
    return super.getChunk(ref)
  }
}

test("what fails, fails for all that wait for it, and is tried again by the next", async () => {
  const chunks = new FailingChunks()
  const io = createTreeIo({ chunks, env })
  const whole = noise(9 * mib)
  const content = await stored(io, whole)
  const reader = new RandomReader(io, content)
  await reader.read(0, 1) // the list
  chunks.isDown = true
  const failing = Array.from({ length: 5 }, (_, i) =>
    assert.rejects(reader.read(i < 3 ? 5 * mib : 8 * mib, 3 * mib), { code: "ERR_NOT_ENOUGH_SHARES" }),
  )
  await Promise.all(failing)
  chunks.isDown = false
  sameBytes(await reader.read(5 * mib, 4 * mib), whole.subarray(5 * mib), "after that")
})

test("while places are away those who want one chunk wait for one try, not one after another", async () => {
  const chunks = new FailingChunks()
  const content = await stored(createTreeIo({ chunks, env }), noise(4 * mib))
  const reader = new RandomReader(createTreeIo({ chunks, env }), content, { readAhead: false })
  chunks.isDown = true
  chunks.tries = 0
  const failing = Array.from({ length: 30 }, (_, i) =>
    assert.rejects(reader.read(i * 128 * kib, 100), { code: "ERR_NOT_ENOUGH_SHARES" }),
  )
  await Promise.all(failing)
  assert.equal(chunks.tries, 1)
})

test("a chunk that is shorter than the list of the file says is an error, never zeros", async () => {
  const { io, chunks } = memoryIo()
  const { id, key } = await chunks.putChunk(noise(300 * kib))
  const reference = { chunk: { id, key }, offset: 0, length: 2 * mib }
  const reader = new RandomReader(io, { form: "single", size: 2 * mib, reference })
  for (const [offset, length] of [
    [0, 2 * mib],
    [250 * kib, 100 * kib],
    [mib, 10],
  ] as const)
    await assert.rejects(reader.read(offset, length), { code: "ERR_CORRUPT" })
  sameBytes(await reader.read(70 * kib, 10), noise(300 * kib).subarray(70 * kib, 70 * kib + 10), "what is there")
})

test("who names a chunk without its key gets nothing of what was read from it by right", async () => {
  const { io } = memoryIo()
  const whole = noise(3 * mib)
  const content = await stored(io, whole)
  assert.ok(content.form === "single")
  const { chunk } = content.reference
  sameBytes(await new RandomReader(io, content).read(0, 3 * mib), whole, "by right")
  const reference = { ...content.reference, chunk: { id: chunk.id, key: new Uint8Array(32) } }
  const thief = new RandomReader(io, { ...content, reference })
  for (const length of [100, 3 * mib]) await assert.rejects(thief.read(0, length), { code: "ERR_CORRUPT" })
})

/** A client of five places in memory, which counts what it asks them for. */
async function realStore() {
  const account = await makeAccount(env.crypto)
  const backends = Array.from({ length: 5 }, (_, i) => createMemoryPlace(`n${i}`, env.crypto).backendOf(account))
  const asked = { shares: 0, blocks: 0 }
  for (const backend of backends) {
    const { getShares, getBlocks } = backend
    backend.getShares = async (...args) => {
      asked.shares++
      return getShares(...args)
    }
    backend.getBlocks = async (...args) => {
      asked.blocks += args[0].length
      return getBlocks(...args)
    }
  }
  const store = await createStore({
    env,
    servers: backends.map((backend) => ({ backend, weight: 1 })),
    coding: { k: 3, happy: 4, n: 5 },
    registerMode: "crash",
    seen: createMemorySeen(),
    hedgeMs: 10_000,
  })
  return { store, backends, asked }
}

/** Stores a chunk as clients did before there were blocks. */
async function putOld(backends: readonly Backend[], plaintext: Uint8Array): Promise<ChunkRef> {
  const deps = { crypto: env.crypto, erasure: await createErasure() }
  const { id, key, shares } = await makeTwoFaced(deps, { k: 3, n: 5 }, [plaintext], [0, 0, 0, 0, 0], 1)
  for (const [i, share] of shares.entries()) await backends[i]!.putShares([share], newBatch(env.crypto))
  return { id, key }
}

for (const version of [1, 2] as const)
  test(`a chunk of version ${version} is read here and there through the real store`, async () => {
    const { store, backends, asked } = await realStore()
    const whole = noise(4 * mib)
    const chunk = version === 1 ? await putOld(backends, whole) : await store.chunks.putChunk(whole.slice())
    const io = createTreeIo({ chunks: store.chunks, env })
    const reference = { chunk: { id: chunk.id, key: chunk.key }, offset: 0, length: 4 * mib }
    const reader = new RandomReader(io, { form: "single", size: 4 * mib, reference })
    const random = randomFrom(version)
    const reads = Array.from({ length: 80 }, async () => {
      const offset = random(4 * mib - 4096)
      sameBytes(await reader.read(offset, 4096), whole.subarray(offset, offset + 4096), `${offset}`)
    })
    await Promise.all(reads)
    // Version 1 has nothing to prove a part with: it is read whole, once for all. Version 2 never is.
    assert.equal(asked.shares, version === 1 ? 3 : 0)
    assert.ok(version === 1 ? asked.blocks <= 5 : asked.blocks <= 100, `${asked.blocks} requests for blocks`)
    sameBytes(await reader.read(0, 4 * mib), whole, "whole")
    const after = { ...asked }
    sameBytes(await reader.read(0, 4 * mib), whole, "whole, again")
    assert.deepEqual(asked, after)
    assert.ok(io.pages.heldBytes <= 4 * mib + 64 * kib, `${io.pages.heldBytes}`)
    await store.close()
  })

test("while too few places give blocks a chunk is read whole once, and by blocks when they are back", async () => {
  const { store, backends, asked } = await realStore()
  const whole = noise(4 * mib)
  const chunk = await store.chunks.putChunk(whole.slice())
  const reference = { chunk, offset: 0, length: 4 * mib }
  const content: FileContent = { form: "single", size: 4 * mib, reference }
  const io = createTreeIo({ chunks: store.chunks, env, pageCacheBytes: 8 * mib })
  const reader = new RandomReader(io, content, { readAhead: false })
  const spots = Array.from({ length: 30 }, (_, i) => i * 130 * kib)
  const readAll = async () => {
    for (const at of spots) sameBytes(await reader.read(at, 1000), whole.subarray(at, at + 1000), `${at}`)
  }
  sameBytes(await reader.read(4 * mib - 5, 5), whole.subarray(4 * mib - 5), "with all places")
  assert.equal(asked.shares, 0)
  const working = backends.map(({ getBlocks }) => getBlocks)
  for (const backend of backends)
    backend.getBlocks = async () => {
      throw new Error("no blocks now")
    }
  await readAll()
  assert.ok(asked.shares >= 3 && asked.shares <= 5, `${asked.shares} shares were read`)
  for (const [i, backend] of backends.entries()) backend.getBlocks = working[i]!
  const later = asked.shares
  const fresh = createTreeIo({ chunks: store.chunks, env })
  sameBytes(await new RandomReader(fresh, content).read(2 * mib, 9), whole.subarray(2 * mib, 2 * mib + 9), "back")
  assert.equal(asked.shares, later)
  await store.close()
})
