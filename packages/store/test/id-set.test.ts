import assert from "node:assert/strict"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { IdSet, idPrefixes, RecentIds } from "@holdfast/store"
import fc from "fast-check"

test("a set of ids holds what was added and nothing else, whatever the ids are", () => {
  // Few different bytes, so that ids come twice and differ in little.
  const id = fc
    .array(fc.integer({ min: 0, max: 2 }), { minLength: 32, maxLength: 32 })
    .map((bytes) => Uint8Array.from(bytes))
  fc.assert(
    fc.property(fc.array(id, { maxLength: 3000 }), fc.array(id, { maxLength: 50 }), (added, others) => {
      const set = new IdSet(nodeCrypto)
      const model = new Set<string>()
      for (const one of added) {
        assert.equal(set.add(one), !model.has(toHex(one)))
        model.add(toHex(one))
      }
      assert.equal(set.size, model.size)
      for (const one of [...added, ...others]) assert.equal(set.has(one), model.has(toHex(one)))
      const slots = [...set.entries()].map(([slot, one]) => [slot, toHex(one)] as const)
      assert.deepEqual(new Set(slots.map(([, name]) => name)), model)
      const sorted = set.sorted()
      const inOrder = Array.from({ length: model.size }, (_, i) => toHex(sorted.subarray(32 * i, 32 * i + 32)))
      assert.deepEqual(inOrder, [...model].sort())
      assert.equal(sorted.length, 32 * model.size)
      for (const one of added) assert.equal(new Map(slots).get(set.slotOf(one)!), toHex(one))
    }),
    { numRuns: 50 },
  )
})

test("ids that somebody chose to lie in one place are still found fast", () => {
  const set = new IdSet(nodeCrypto)
  const id = new Uint8Array(32)
  const view = new DataView(id.buffer)
  const startMs = performance.now()
  for (let i = 0; i < 100_000; i++) {
    view.setUint32(28, i * 0x10000) // all low bits alike
    set.add(id)
  }
  assert.equal(set.size, 2 ** 16)
  assert.ok(performance.now() - startMs < 5000)
})

test("ids are known as recent until there are too many, and from then on those that follow", () => {
  const recent = new RecentIds(nodeCrypto, 100)
  const ids = Array.from({ length: 250 }, (_, i) => new Uint8Array(32).fill(i))
  for (const [i, one] of ids.entries()) {
    assert.equal(recent.add(one), true)
    assert.equal(recent.add(one), false)
    assert.equal(recent.add(ids[i - (i % 100)]!), false)
  }
  assert.equal(recent.add(ids[0]!), true)
})

test("parts of more ids than fit in a set are together all of them, each once and in order", () => {
  const id = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.nat())
    .map(([first, rest]) => Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? first : (rest >> (i % 4)) & 0xff)))
  fc.assert(
    fc.property(fc.array(id, { maxLength: 400 }), fc.integer({ min: 1, max: 60 }), (ids, most) => {
      const met: string[] = []
      const alike = [...Map.groupBy(ids, ([first]) => first).values()]
      const largest = Math.max(0, ...alike.map(({ length }) => length))
      for (let from = 0; from < idPrefixes; ) {
        const part = new IdSet(nodeCrypto, { from, most })
        for (const one of ids) part.add(one)
        assert.ok(part.size <= Math.max(most, largest))
        assert.equal(
          part.counts().reduce((sum, count) => sum + count, 0),
          part.size,
        )
        assert.ok(ids.every((one) => part.covers(one) === part.has(one)))
        const sorted = part.sorted()
        for (let at = 0; at < sorted.length; at += 32) met.push(toHex(sorted.subarray(at, at + 32)))
        assert.ok(part.before > from)
        from = part.before
      }
      assert.deepEqual(met, [...new Set(ids.map(toHex))].sort())
    }),
  )
})
