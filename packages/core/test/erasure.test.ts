import assert from "node:assert/strict"
import { test } from "node:test"
import { createErasure, createScalarErasure, type Erasure } from "@holdfast/core/erasure"
import fc from "fast-check"

const sample = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + seed, 2654435761) >>> 13) & 255)

function subsets(n: number, k: number): number[][] {
  if (k === 0) return [[]]
  if (n < k) return []
  return [...subsets(n - 1, k), ...subsets(n - 1, k - 1).map((rest) => [...rest, n - 1])]
}

function restores(erasure: Erasure, data: Uint8Array, k: number, n: number, patterns: readonly number[][]): void {
  const payloads = erasure.split(data, { k, n })
  assert.equal(payloads.length, n)
  for (const kept of patterns) {
    const held = new Map(kept.map((index) => [index, payloads[index]!]))
    const joined = erasure.join(held, { k, n }, data.length)
    assert.ok(Buffer.from(joined).equals(Buffer.from(data)), `k=${k} n=${n} kept=${kept}`)
    const lost = Array.from({ length: n }, (_, i) => i).filter((i) => !kept.includes(i))
    for (const [i, payload] of erasure.reconstruct(held, { k, n }, lost).entries())
      assert.ok(Buffer.from(payload).equals(Buffer.from(payloads[lost[i]!]!)), `rebuilt ${lost[i]} of k=${k} n=${n}`)
  }
}

test("any k of n payloads restore the data and every lost payload, for each k <= n <= 9", async () => {
  const erasure = await createErasure()
  for (let n = 1; n <= 9; n++) for (let k = 1; k <= n; k++) restores(erasure, sample(97 + n), k, n, subsets(n, k))
})

test("random losses are restored for each k <= n <= 16 and for samples up to 255", async () => {
  const erasure = await createErasure()
  const shuffled = (n: number, k: number, seed: number) =>
    Array.from({ length: n }, (_, i) => ({ i, order: Math.imul(i + 1, seed * 2654435761 + 97) >>> 0 }))
      .sort((a, b) => a.order - b.order)
      .slice(0, k)
      .map(({ i }) => i)
  for (let n = 10; n <= 16; n++)
    for (let k = 1; k <= n; k++)
      restores(
        erasure,
        sample(131),
        k,
        n,
        [1, 2, 3, 5, 7].map((seed) => shuffled(n, k, seed)),
      )
  for (const [k, n] of [
    [1, 255],
    [128, 255],
    [255, 255],
    [200, 220],
    [10, 40],
  ] as const)
    restores(erasure, sample(1000), k, n, [shuffled(n, k, 3)])
})

test("the SIMD kernel and plain JavaScript give the same payloads for any data and coding", async () => {
  const [fast, plain] = [await createErasure(), createScalarErasure()]
  const cases = fc.record({
    data: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.integer({ min: 16_000, max: 70_000 }).map((length) => sample(length)),
    ),
    k: fc.integer({ min: 1, max: 20 }),
    extra: fc.integer({ min: 0, max: 12 }),
  })
  fc.assert(
    fc.property(cases, ({ data, k, extra }) => {
      const coding = { k, n: k + extra }
      const [a, b] = [fast.split(data, coding), plain.split(data, coding)]
      for (const [i, payload] of a.entries()) assert.ok(Buffer.from(payload).equals(Buffer.from(b[i]!)), `payload ${i}`)
    }),
    { numRuns: 60 },
  )
})
