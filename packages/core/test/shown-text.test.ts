import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { fromHex, shownEach, shownLine, toHex } from "../src/index.ts"

const capability = `hf:dw:${"abcdefghijklmnopqrstuvwxyz234567".repeat(2)}`
const lines = fc.oneof(
  { weight: 20, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
  fc.constantFrom(capability, "hf:", "dw:a2345", "\u202egnp.exe", "two\nlines", "access.log", "a\u0301".repeat(12), ""),
)

test("many lines are shown as each of them is alone", () => {
  fc.assert(
    fc.property(fc.array(lines, { maxLength: 200 }), (texts) => {
      assert.deepEqual(shownEach(texts), texts.map(shownLine))
    }),
  )
  const many = Array.from({ length: 1000 }, (_, i) => (i === 500 ? `see ${capability}\u001b[2J` : `file ${i}`))
  assert.deepEqual(shownEach(many), many.map(shownLine))
  assert.match(shownEach(many)[500]!, /^see hf:dw:\[hidden\]/)
})

test("hexadecimal is read in both cases, and nothing else is taken for it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.deepEqual(fromHex(toHex(bytes)), bytes)
      assert.deepEqual(fromHex(toHex(bytes).toUpperCase()), bytes)
    }),
  )
  for (const wrong of ["a", "abc", "0g", "g0", "0x", " 1", "1 ", "-1", "\u0130a", "a\uff11", "é0", "00\n", "0\0"])
    assert.throws(() => fromHex(wrong), RangeError, JSON.stringify(wrong))
})
