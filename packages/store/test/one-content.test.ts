/** A malicious writer's chunks: whatever subset of shares a reader gets, it accepts one content of a chunk or none. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { BufferPool, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import type { Coding } from "@holdfast/protocol"
import { checkParityVectors, type ParityVectors } from "@holdfast/protocol/vectors"
import { openChunk, openEncoded } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { makeTwoFaced, type TwoFacedChunk, withSameTag } from "@holdfast/store/testing"
import fc from "fast-check"
import { commit, someBatch, testGrid } from "./fixture.ts"

const erasure = await createErasure()
const deps = { crypto: nodeCrypto, erasure, buffers: new BufferPool({ maxIdleBytes: 0 }) }
const text = (fill: number, length = 600) => new Uint8Array(length).fill(fill)

/** What a reader of these shares accepts, in hexadecimal, or the code of its error. */
async function readFrom(chunk: TwoFacedChunk, indices: readonly number[]): Promise<string> {
  const encoded = indices.map((index) => chunk.shares[index]!.slice())
  return openEncoded(deps, { id: chunk.id, key: chunk.key, encoded }).then(
    (result) => ("plaintext" in result ? toHex(result.plaintext) : "damaged"),
    (error) => error.code,
  )
}

/** All sets of k indices below n. */
function subsets(n: number, k: number, from = 0): number[][] {
  if (k === 0) return [[]]
  return Array.from({ length: n - from }, (_, i) => from + i).flatMap((first) =>
    subsets(n, k - 1, first + 1).map((rest) => [first, ...rest]),
  )
}

async function accepted(
  chunk: TwoFacedChunk,
  { k, n }: Coding,
): Promise<{ contents: Set<string>; codes: Set<string> }> {
  const all = await Promise.all(subsets(n, k).map((indices) => readFrom(chunk, indices)))
  const isCode = (answer: string) => answer.startsWith("ERR_")
  return { contents: new Set(all.filter((answer) => !isCode(answer))), codes: new Set(all.filter(isCode)) }
}

/** The published attack: two whole files in one chunk. */
const attacks: readonly {
  readonly name: string
  readonly coding: Coding
  readonly chunk: () => Promise<TwoFacedChunk>
}[] = [
  {
    name: "3 of 5, two codewords that share a slice and a tag",
    coding: { k: 3, n: 5 },
    chunk: async () => {
      const honest = text(1)
      return makeTwoFaced(deps, { k: 3, n: 5 }, [honest, await withSameTag(nodeCrypto, honest)], [0, 0, 0, 1, 1])
    },
  },
  {
    name: "2 of 4, disjoint halves",
    coding: { k: 2, n: 4 },
    chunk: () => makeTwoFaced(deps, { k: 2, n: 4 }, [text(1), text(2)], [0, 0, 1, 1]),
  },
  {
    name: "1 of 4, four files",
    coding: { k: 1, n: 4 },
    chunk: () => makeTwoFaced(deps, { k: 1, n: 4 }, [text(1), text(2), text(3), text(4)], [0, 1, 2, 3]),
  },
]

for (const { name, coding, chunk: make } of attacks) {
  test(`no two readers accept different files of one chunk: ${name}`, async () => {
    const chunk = await make()
    const { contents, codes } = await accepted(chunk, coding)
    assert.deepEqual([...contents], [toHex(text(1))], "only what the data shares hold")
    assert.deepEqual([...codes], ["ERR_INCONSISTENT"])
  })

  test(`a check names the chunk, and repair and rebalance leave it as it is: ${name}`, async () => {
    const chunk = await make()
    const grid = testGrid(coding.n + 1, { ...coding, happy: coding.n })
    const store = await grid.client()
    // The last server is empty, and the first has lost its share: there is something to repair.
    for (const [i, share] of chunk.shares.entries()) await grid.servers[i]!.backend.putShares([share], someBatch)
    grid.servers[coding.k === 1 ? coding.n : 0]!.empty()
    const held = async () =>
      Promise.all(grid.servers.map(async ({ backend }) => (await backend.hasShares([chunk.id]))[0]!.join()))
    const before = await held()
    assert.equal((await store.checkChunk(chunk.id)).inconsistent, false) // nothing was read yet
    assert.equal((await store.checkChunk(chunk.id, { verify: true })).inconsistent, true)
    const repaired = await store.checkChunk(chunk.id, { repair: true })
    assert.deepEqual([repaired.inconsistent, repaired.placed], [true, 0])
    await store.rebalanceChunk(chunk.id).catch((error) => assert.equal(error.code, "ERR_INCONSISTENT"))
    assert.deepEqual(await held(), before)
  })
}

test("what does not follow from its data agrees with the frozen vectors", async () => {
  const path = join(import.meta.dirname, "../../../interop/vectors/chunk-parity.json")
  const vectors = JSON.parse(readFileSync(path, "utf8")) as ParityVectors
  assert.ok(vectors.good.length >= 3 && vectors.bad.length >= 5)
  await checkParityVectors(deps, vectors, (key, shares) => openChunk(deps, shares, key))
})

test("a reader that met an inconsistent chunk asks for no other shares", async () => {
  const { chunk: make, coding } = attacks[1]!
  const chunk = await make()
  const grid = testGrid(coding.n, { ...coding, happy: coding.n })
  for (const [i, share] of chunk.shares.entries()) await grid.servers[i]!.backend.putShares([share], someBatch)
  for (const server of grid.servers.slice(0, 2)) server.down = true
  const ref = { id: chunk.id, key: chunk.key }
  const failed = await (await grid.client()).chunks.getChunk(ref).catch((error) => error)
  assert.equal(failed.code, "ERR_INCONSISTENT")
  assert.ok(!failed.message.includes(toHex(chunk.key)) && failed.message.includes(toHex(chunk.id).slice(0, 16)))
})

test("to confirm an inconsistent chunk that needs repair is to refuse it", async () => {
  const { chunk: make, coding } = attacks[1]!
  const chunk = await make()
  const grid = testGrid(coding.n, { ...coding, happy: coding.n })
  for (const [i, share] of chunk.shares.entries())
    if (i > 0) await grid.servers[i]!.backend.putShares([share], someBatch)
  await assert.rejects(commit(await grid.client(), [chunk.id]), { code: "ERR_INCONSISTENT" })
})

test("the worker threads refuse an inconsistent chunk with the same error", async () => {
  const chunk = await attacks[1]!.chunk()
  const pool = createWorkerPool({ threads: 1, beforeThreadsBytes: 0 })
  try {
    const open = (indices: number[]) =>
      pool.open(
        chunk.id,
        chunk.key,
        indices.map((i) => chunk.shares[i]!),
      )
    await assert.rejects(open([2, 3]), { code: "ERR_INCONSISTENT" })
    assert.ok("plaintext" in (await open([0, 1])))
  } finally {
    await pool.close()
  }
})

test("of any mixture of plaintexts in one chunk all subsets of shares give one content or none", async () => {
  const codings = fc
    .integer({ min: 1, max: 4 })
    .chain((k) => fc.record({ k: fc.constant(k), n: fc.integer({ min: k, max: 6 }) }))
  const plans = codings.chain((coding) =>
    fc.record({
      coding: fc.constant(coding),
      faces: fc.array(fc.nat(2), { minLength: coding.n, maxLength: coding.n }),
      length: fc.integer({ min: 48, max: 300 }),
      version: fc.constantFrom(1 as const, 2 as const),
    }),
  )
  await fc.assert(
    fc.asyncProperty(plans, async ({ coding, faces, length, version }) => {
      const plain = text(7, length)
      const plaintexts = [plain, await withSameTag(nodeCrypto, plain), text(9, length)]
      const chunk = await makeTwoFaced(deps, coding, plaintexts, faces, version)
      const { contents, codes } = await accepted(chunk, coding)
      assert.ok(contents.size <= 1, `${contents.size} contents`)
      const isHonest = faces.every((face) => face === faces[0])
      if (isHonest) assert.deepEqual([...codes], [])
    }),
    { numRuns: 150 },
  )
})
