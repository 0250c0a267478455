import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import fc from "fast-check"
import { type CborValue, decodeCbor, encodeCbor, fromHex, toHex } from "../src/index.ts"

/** Any text of Unicode, with what text decoders treat apart more often than chance would have it. */
const character = fc.oneof(
  fc.constantFrom("\ufeff", "\0", "\ufffe", "\uffff", "\u200f", "\r", "e\u0301", "\u{10ffff}"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
)
const text = fc.array(character, { maxLength: 40 }).map((all) => all.join(""))
const value: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    text,
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Uint8Array.from(bytes)),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.dictionary(text, tie("value"), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value

test("a slice of encoded CBOR is a copy", () => {
  const encoded = encodeCbor([1, new Uint8Array(100), "text"])
  const slice = encoded.slice()
  slice[0]! ^= 1
  assert.notEqual(slice[0], encoded[0])
})

test("whatever is encoded decodes to the same", () =>
  fc.assert(
    fc.property(value, (value) => assert.deepEqual(decodeCbor(encodeCbor(value), "value"), value)),
    { numRuns: 2000 },
  ))

test("each character of Unicode stays where it stands, at the start of a text too", () => {
  const planeSize = 0x1000
  for (let plane = 0; plane <= 0x10ffff; plane += planeSize) {
    const texts = Array.from({ length: planeSize }, (_, i) => String.fromCodePoint(plane + i)).filter(isText)
    assert.deepEqual(decodeCbor(encodeCbor(texts), "texts"), texts)
  }
  for (const length of [0, 20, 21, 22, 300, 70_000]) {
    const text = `\ufeff${"x".repeat(length)}\ufeff`
    assert.equal(decodeCbor(encodeCbor(text), "text"), text)
    assert.deepEqual(decodeCbor(encodeCbor([text, { [text]: 1 }]), "text"), [text, { [text]: 1 }])
  }
})

/** False for half of a surrogate pair. */
function isText(text: string): boolean {
  return text.isWellFormed()
}

test("text in CBOR agrees with the frozen vectors", () => {
  const path = new URL("../../../interop/vectors/cbor-text.json", import.meta.url)
  const { good, bad } = JSON.parse(readFileSync(path, "utf8")) as {
    good: { name: string; text: string; bytes: string }[]
    bad: { name: string; bytes: string; error: string }[]
  }
  for (const { name, text, bytes } of good) {
    assert.equal(toHex(encodeCbor(text)), bytes, name)
    assert.equal(decodeCbor(fromHex(bytes), "text"), text, name)
  }
  for (const { name, bytes, error } of bad) assert.throws(() => decodeCbor(fromHex(bytes), name), { code: error })
})
