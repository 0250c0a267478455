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

test("what is small and would become large is refused before memory is taken", () => {
  const head = (first: number, count: number) => {
    const bytes = Buffer.alloc(5)
    bytes.writeUInt8(first)
    bytes.writeUInt32BE(count, 1)
    return bytes
  }
  const many = 16 * 1024 * 1024
  const bombs = {
    "a list of nothings": Buffer.concat([head(0x9a, many), Buffer.alloc(many, 0x80)]),
    "a list that only announces": head(0x9a, 0xffffffff),
    "a map that only announces": head(0xba, 0xffffffff),
    "lists in lists": Buffer.concat([Buffer.alloc(many, 0x81), Buffer.from([0x80])]),
    "lists of lists of lists": Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([0x82, 0x80]))),
    "numbers in a list": Buffer.concat([head(0x9a, many), Buffer.alloc(many, 0x01)]),
  }
  const before = process.memoryUsage().rss
  for (const [what, bytes] of Object.entries(bombs))
    assert.throws(() => decodeCbor(bytes, what), { code: "ERR_LIMIT" }, what)
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024)
})

test("as many items as are allowed decode, one more does not", () => {
  const bytes = encodeCbor([1, [2, 3], { a: 4 }])
  assert.deepEqual(decodeCbor(bytes, "list", { maxItems: 8 }), [1, [2, 3], { a: 4 }])
  assert.throws(() => decodeCbor(bytes, "list", { maxItems: 7 }), { code: "ERR_LIMIT" })
})
