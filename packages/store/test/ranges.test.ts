/** Parts of chunks: read as blocks that prove themselves, from whichever servers are there and honest. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import type { BlockAnswer, BlockQuery } from "@holdfast/protocol"
import { makeTwoFaced } from "@holdfast/store/testing"
import fc from "fast-check"
import { type Grid, someBatch, testGrid } from "./fixture.ts"

const deps = { crypto: nodeCrypto, erasure: await createErasure() }
const mib = 1024 * 1024
const sample = (length: number) => new Uint8Array(length).map((_, i) => (i * 31 + (i >> 8) + (i >> 16)) & 255)
const wholeChunk = sample(4 * mib)

interface Asked {
  readonly server: string
  readonly blocks: number
  readonly bytes: number
}

/** Watches what is asked of all servers: blocks, and whole shares. */
function watch(grid: Grid): { readonly blocks: Asked[]; shares: number } {
  const seen = { blocks: [] as Asked[], shares: 0 }
  for (const { backend } of grid.servers) {
    const { getBlocks, getShares } = backend
    backend.getBlocks = async (queries, options) => {
      const answers = await getBlocks(queries, options)
      for (const [i, { count }] of queries.entries()) {
        const { blocks, leaves, descriptor } = answers[i] ?? { blocks: [], leaves: [] }
        const bytes = blocks.length + leaves.length + (descriptor?.length ?? 0)
        seen.blocks.push({ server: backend.id, blocks: count, bytes })
      }
      return answers
    }
    backend.getShares = async (queries, options) => {
      seen.shares += queries.length
      return getShares(queries, options)
    }
  }
  return seen
}

/** Changes every answer of one server about blocks. */
function tamper(
  grid: Grid,
  position: number,
  change: (answer: BlockAnswer, query: BlockQuery) => BlockAnswer | undefined,
) {
  const { backend } = grid.servers[position]!
  const { getBlocks } = backend
  backend.getBlocks = async (queries, options) =>
    (await getBlocks(queries, options)).map((answer, i) => answer && change(answer, queries[i]!))
}

test("4 KiB of a chunk of 4 MiB cost one request to one server and one block with its proof", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
  const client = await grid.client()
  const seen = watch(grid)
  const range = { offset: 1_000_000, length: 4096, likelyBytes: 4 * mib }
  const read = await client.chunks.readRange(ref, range)
  assert.ok(Buffer.from(read).equals(wholeChunk.subarray(1_000_000, 1_004_096)))
  assert.deepEqual([seen.blocks.length, seen.shares], [1, 0])
  assert.ok(seen.blocks[0]!.bytes < 65_536 + 1200, `${seen.blocks[0]!.bytes} bytes`)
  // What was proven is remembered: the next block comes without descriptor and leaves.
  await client.chunks.readRange(ref, { ...range, offset: 1_070_000 })
  assert.deepEqual([seen.blocks.length, seen.blocks[1]!.bytes], [2, 65_536])
})

test("any range of any chunk of any coding is what the whole chunk has there", async () => {
  const codings = fc
    .record({ k: fc.integer({ min: 1, max: 5 }), more: fc.integer({ min: 0, max: 3 }) })
    .map(({ k, more }) => ({ k, n: k + more }))
  const plans = fc.record({
    coding: codings,
    length: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 900_000 })),
    parts: fc.array(fc.record({ from: fc.nat(), length: fc.nat() }), { minLength: 3, maxLength: 3 }),
    guesses: fc.boolean(),
    down: fc.nat(),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ coding, length, parts, guesses, down }) => {
      const grid = testGrid(coding.n, { ...coding, happy: coding.n })
      const plaintext = sample(length)
      const ref = await (await grid.client()).chunks.putChunk(plaintext.slice())
      if (coding.n > coding.k) grid.servers[down % coding.n]!.down = true
      const client = await grid.client()
      const seen = watch(grid)
      for (const part of parts) {
        const offset = part.from % length
        const range = { offset, length: 1 + (part.length % (length - offset)) }
        const read = await client.chunks.readRange(ref, guesses ? { ...range, likelyBytes: length } : range)
        assert.ok(Buffer.from(read).equals(plaintext.subarray(offset, offset + range.length)))
      }
      assert.equal(seen.shares, 0)
    }),
    { numRuns: 40 },
  )
})

test("with any two of five servers gone a range comes from the same blocks of the others", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
  const seen = watch(grid)
  for (let a = 0; a < 5; a++)
    for (let b = a + 1; b < 5; b++) {
      for (const [i, server] of grid.servers.entries()) server.down = i === a || i === b
      const client = await grid.client()
      for (const offset of [0, 1_398_000, 4 * mib - 5000]) {
        const read = await client.chunks.readRange(ref, { offset, length: 5000, likelyBytes: 4 * mib })
        assert.ok(Buffer.from(read).equals(wholeChunk.subarray(offset, offset + 5000)), `${a} ${b} ${offset}`)
      }
    }
  assert.equal(seen.shares, 0)
})

const flipped = (bytes: Uint8Array, at: number) =>
  bytes.map((byte, i) => (i === (at + bytes.length) % bytes.length ? byte ^ 1 : byte))

/** What a lying server can do to an answer. */
const lies: Readonly<Record<string, (answer: BlockAnswer, query: BlockQuery) => BlockAnswer | undefined>> = {
  "a changed byte": (answer) => ({ ...answer, blocks: flipped(answer.blocks, 77) }),
  "all bytes changed": (answer) => ({ ...answer, blocks: answer.blocks.map((byte) => byte ^ 1) }),
  "a changed leaf": (answer) => ({
    ...answer,
    leaves: answer.leaves.length > 0 ? flipped(answer.leaves, 40) : answer.leaves,
  }),
  "leaves of the changed block": (answer) => ({
    ...answer,
    leaves: answer.leaves.toReversed(),
    blocks: answer.blocks.toReversed(),
  }),
  "no leaves": (answer) => ({ ...answer, leaves: new Uint8Array() }),
  "a block cut short": (answer) => ({ ...answer, blocks: answer.blocks.subarray(0, 100) }),
  "whole blocks left out": (answer) => ({ ...answer, blocks: answer.blocks.subarray(0, 65_536) }),
  "nothing in it": (answer) => ({ ...answer, blocks: new Uint8Array() }),
  "another descriptor": (answer) =>
    answer.descriptor ? { ...answer, descriptor: flipped(answer.descriptor, -1) } : answer,
  "no descriptor": ({ leaves, blocks }) => ({ leaves, blocks }),
  "no share": () => undefined,
}

for (const [name, lie] of Object.entries(lies))
  test(`up to n - k servers whose answers have ${name} cost time, never a wrong byte`, async () => {
    const grid = testGrid()
    const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
    for (const liar of [1, 3]) tamper(grid, liar, lie)
    const knowing = await grid.client()
    for (let offset = 0; offset < 4 * mib; offset += 600_000) {
      const length = Math.min(100_000, 4 * mib - offset)
      for (const client of [knowing, await grid.client()]) {
        const read = await client.chunks.readRange(ref, { offset, length, likelyBytes: 4 * mib })
        assert.ok(Buffer.from(read).equals(wholeChunk.subarray(offset, offset + length)), `${offset}`)
      }
    }
  })

test("blocks that were asked for where the chunk was thought to have another length are not taken for those of the range", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
  const third = mib // of 3 MiB, which is what the chunk is thought to have
  const ranges = [
    { offset: third - 50_000, length: 100_000 }, // one block more than in a slice that ended there
    { offset: third + third / 2, length: 1000 }, // in the same slice, at another place
    { offset: 2 * third + 1000, length: 1000 }, // in another slice
  ]
  for (const range of ranges) {
    const { chunks } = await grid.client()
    const read = await chunks.readRange(ref, { ...range, likelyBytes: 3 * mib })
    assert.ok(Buffer.from(read).equals(wholeChunk.subarray(range.offset, range.offset + range.length)))
  }
})

test("when all servers lie about blocks the whole chunk is read", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
  for (const position of grid.servers.keys()) tamper(grid, position, lies["a changed byte"]!)
  const read = await (await grid.client()).chunks.readRange(ref, { offset: 5000, length: 10 })
  assert.deepEqual([...read], [...wholeChunk.subarray(5000, 5010)])
})

test("a server that does not answer is replaced by others, and never waited for", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(wholeChunk.slice())
  for (const silent of [0, 2]) grid.servers[silent]!.backend.getBlocks = () => new Promise(() => undefined)
  const client = await grid.client()
  for (const offset of [10, 1_500_000, 3_000_000]) {
    const read = await client.chunks.readRange(ref, { offset, length: 20 })
    assert.deepEqual([...read], [...wholeChunk.subarray(offset, offset + 20)])
  }
})

test("a range needs the chunk's own key and ends where the chunk ends", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(300_000))
  const { chunks } = await grid.client()
  const key = flipped(ref.key, 3)
  await assert.rejects(chunks.readRange({ id: ref.id, key }, { offset: 0, length: 10 }), { code: "ERR_CORRUPT" })
  await chunks.readRange(ref, { offset: 0, length: 10 })
  await assert.rejects(chunks.readRange({ id: ref.id, key }, { offset: 0, length: 10 }), { code: "ERR_CORRUPT" })
  await assert.rejects(chunks.readRange(ref, { offset: 299_990, length: 50_000 }), { code: "ERR_CORRUPT" })
})

test("a range of a chunk of version 1 is read from the whole chunk", async () => {
  const grid = testGrid()
  const plaintext = sample(200_000)
  const old = await makeTwoFaced(deps, { k: 3, n: 5 }, [plaintext], [0, 0, 0, 0, 0])
  for (const [i, share] of old.shares.entries()) await grid.servers[i]!.backend.putShares([share], someBatch)
  const { chunks } = await grid.client()
  const read = await chunks.readRange({ id: old.id, key: old.key }, { offset: 70_000, length: 100 })
  assert.deepEqual([...read], [...plaintext.subarray(70_000, 70_100)])
  const wrong = chunks.readRange({ id: old.id, key: old.key }, { offset: 200_000, length: 1 })
  await assert.rejects(wrong, { code: "ERR_CORRUPT" })
})

test("a range restored from others of an inconsistent chunk is refused, and what data shares hold is read", async () => {
  const texts = [1, 2].map((fill) => new Uint8Array(400_000).fill(fill))
  const chunk = await makeTwoFaced(deps, { k: 2, n: 4 }, texts, [0, 0, 1, 1], 2)
  const ref = { id: chunk.id, key: chunk.key }
  const range = { offset: 1000, length: 5 }
  // Wherever the ranking puts them, all servers but that of share 0 hold all others.
  const grid = testGrid(4, { k: 2, happy: 4, n: 4 })
  for (const server of grid.servers) await server.backend.putShares(chunk.shares.slice(1), someBatch)
  await assert.rejects((await grid.client()).chunks.readRange(ref, range), { code: "ERR_INCONSISTENT" })
  for (const server of grid.servers) await server.backend.putShares([chunk.shares[0]!], someBatch)
  assert.deepEqual([...(await (await grid.client()).chunks.readRange(ref, range))], [1, 1, 1, 1, 1])
})
