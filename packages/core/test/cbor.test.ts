import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { decode, encode } from "cborg"
import fc from "fast-check"
import { type CborValue, decodeCbor, encodeCbor, fromHex, isHoldfastError, toHex } from "../src/index.ts"

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

const strict = { strict: true, allowIndefinite: false, allowUndefined: false, allowBigInt: true }

/** What another decoder reads, if its encoder writes the same bytes for it. */
function readByAnother(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    const value: unknown = decode(bytes, { ...strict, rejectDuplicateMapKeys: true })
    return Buffer.compare(encode(value), bytes) === 0 && !hasFraction(value) ? { value } : undefined
  } catch {
    return undefined
  }
}

function hasFraction(value: unknown): boolean {
  if (typeof value === "number") return !Number.isSafeInteger(value)
  return typeof value === "object" && value !== null && Object.values(value).some(hasFraction)
}

function readByUs(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: decodeCbor(bytes, "value") }
  } catch (error) {
    assert.ok(isHoldfastError(error, "ERR_BAD_FORMAT") || isHoldfastError(error, "ERR_LIMIT"), String(error))
    return undefined
  }
}

test("another encoder writes the same bytes", () =>
  fc.assert(
    fc.property(value, (value) => assert.equal(toHex(encodeCbor(value)), toHex(encode(value)))),
    { numRuns: 2000 },
  ))

test("bytes that were changed are read as another decoder reads what its encoder writes, or refused", () => {
  const changed = fc.tuple(value, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }))
  let read = 0
  fc.assert(
    fc.property(changed, ([value, changes]) => {
      const bytes = encodeCbor(value)
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      const ours = readByUs(bytes)
      if (ours) read++
      // It takes a byte order mark away, and so does not write it again.
      if (!Buffer.from(bytes).includes("\ufeff")) assert.deepEqual(ours, readByAnother(bytes))
      if (ours) assert.equal(toHex(encodeCbor(ours.value as CborValue)), toHex(bytes))
    }),
    { numRuns: 20_000 },
  )
  assert.ok(read > 1000 && read < 19_000, `${read} of 20,000 were read`)
})

test("integers of each length have one encoding", () => {
  for (let bits = 0n; bits <= 64n; bits++)
    for (const near of [-2n, -1n, 0n, 1n, 2n]) {
      const positive = 2n ** bits + near
      for (const integer of [positive, -1n - positive].filter((one) => one >= -(2n ** 64n) && one < 2n ** 64n)) {
        const value = integer > 2n ** 53n - 1n || integer < 1n - 2n ** 53n ? integer : Number(integer)
        const bytes = encodeCbor(integer)
        assert.equal(toHex(bytes), toHex(encode(integer)))
        assert.deepEqual(decodeCbor(bytes, "integer"), value)
        assert.equal(toHex(encodeCbor(value)), toHex(bytes))
      }
    }
  assert.throws(() => encodeCbor(2n ** 64n), TypeError)
  assert.throws(() => encodeCbor(-(2n ** 64n) - 1n), TypeError)
  assert.throws(() => encodeCbor(1.5), TypeError)
})

test("a key may have any name, and what it names is found under it alone", () => {
  const map = Object.fromEntries([
    ["__proto__", 1],
    ["constructor", 2],
    ["1", 3],
    ["", 4],
  ])
  const again = decodeCbor(encodeCbor(map), "map") as Record<string, CborValue>
  assert.deepEqual(Object.entries(again).sort(), Object.entries(map).sort())
  assert.equal(Object.getPrototypeOf(again), Object.prototype)
})

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
