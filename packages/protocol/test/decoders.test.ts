import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { concat, encodeBase32, fromHex, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type Cap,
  decodeBlockAnswers,
  decodeBlockQueries,
  decodeCap,
  decodeDescriptor,
  decodeRegisterValue,
  decodeShare,
  decodeShareHead,
  encodeBlockAnswers,
  encodeBlockQueries,
  encodeCap,
  encodeDescriptor,
  leavesLength,
  payloadBytes,
  signRegisterValue,
  verifyShare,
  versionOf,
} from "@holdfast/protocol"
import { makeChunk } from "@holdfast/protocol/testing"
import type { Chunk2Vectors, ChunkVectors, RegisterVectors } from "@holdfast/protocol/vectors"
import fc from "fast-check"

const load = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../../../interop/vectors", name), "utf8")) as unknown
const chunks = load("chunk.json") as ChunkVectors
const registerFiles = ["register.json", "register-lineage.json"].map((name) => load(name) as RegisterVectors)
const registers = { good: registerFiles.flatMap(({ good }) => good), bad: registerFiles.flatMap(({ bad }) => bad) }

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const smallBytes = fc.uint8Array({ maxLength: 200 })

const caps: fc.Arbitrary<Cap> = fc.oneof(
  fc.record({ kind: fc.constantFrom("dw" as const, "fw" as const), seed: bytes(32) }),
  fc.record({ kind: fc.constantFrom("dr" as const, "fr" as const), publicKey: bytes(32), readKey: bytes(32) }),
  fc.record({ kind: fc.constantFrom("dv" as const, "fv" as const), publicKey: bytes(32), verifyKey: bytes(32) }),
  fc.record({ kind: fc.constant("ci" as const), entry: smallBytes }),
  fc.record({ kind: fc.constant("cv" as const), chunkIds: fc.nat(37).chain((more) => bytes(32 * (more + 1))) }),
  fc.record({ kind: fc.constant("lit" as const), content: smallBytes }),
)

/** Bytes near to good ones: some changed, cut off or added. */
function damaged(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ at: fc.nat(), value: fc.nat(255) })
  return fc
    .tuple(fc.constantFrom(...corpus), fc.array(change, { maxLength: 4 }), fc.nat(), fc.uint8Array({ maxLength: 8 }))
    .map(([good, changes, cut, tail]) => {
      const copy = good.slice()
      for (const { at, value } of changes) copy[at % copy.length] = value
      return concat(cut % 3 === 0 ? copy.subarray(0, cut % copy.length) : copy, cut % 2 === 0 ? tail : new Uint8Array())
    })
}

/** The result, or undefined when refused with a typed error; anything else thrown is a bug. */
function tolerate<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    assert.ok(isHoldfastError(error), String(error))
    return undefined
  }
}

test("every capability survives being written and read", () => {
  fc.assert(fc.property(caps, (cap) => assert.deepEqual(decodeCap(encodeCap(cap)), { ...cap })))
})

test("a capability with one letter changed, left out or doubled is refused as mistyped", () => {
  const slip = fc.record({
    cap: caps,
    at: fc.nat(),
    kind: fc.nat(2),
    letter: fc.constantFrom(..."abcdefghijklmnop234567"),
  })
  fc.assert(
    fc.property(slip, ({ cap, at, kind, letter }) => {
      const text = encodeCap(cap)
      const start = text.lastIndexOf(":") + 1
      const place = start + (at % (text.length - start))
      const insert = [letter, "", text[place]! + text[place]!][kind]!
      const typo = text.slice(0, place) + insert + text.slice(place + 1)
      fc.pre(typo !== text)
      assert.throws(() => decodeCap(typo), { code: "ERR_BAD_CAPABILITY" })
    }),
  )
})

test("the error for a bad capability never repeats it", () => {
  const text = encodeCap({ kind: "dw", seed: new Uint8Array(32).fill(7) })
  const error = tolerateError(() => decodeCap(`${text.slice(0, -1)}a`))
  assert.ok(!String(error).includes(text.slice(6, 30)) && !JSON.stringify(error).includes(text.slice(6, 30)))
})

test("any text is a capability or refused as one", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string().map((text) => `hf:dw:${text}`),
    smallBytes.map((payload) => `hf:ci:${encodeBase32(payload)}`),
  )
  fc.assert(fc.property(texts, (text) => void tolerate(() => decodeCap(text))))
})

test("every descriptor survives being written and read", () => {
  const descriptors = fc
    .tuple(fc.integer({ min: 1, max: 255 }), fc.integer({ min: 1, max: 255 }), fc.integer({ min: 16, max: 4_194_320 }))
    .map(([a, b, ciphertextBytes]) => ({ k: Math.min(a, b), n: Math.max(a, b), ciphertextBytes }))
    .chain((rest) =>
      fc.array(bytes(32), { minLength: rest.n, maxLength: rest.n }).map((shareHashes) => ({ ...rest, shareHashes })),
    )
  fc.assert(
    fc.property(descriptors, (descriptor) =>
      assert.deepEqual(decodeDescriptor(encodeDescriptor(descriptor)), descriptor),
    ),
    { numRuns: 30 },
  )
})

test("damaged descriptors and shares decode to their only encoding or give a typed error", () => {
  const corpus = chunks.good.flatMap(({ shares }) => shares.map(fromHex))
  const check = (input: Uint8Array) => {
    const descriptor = tolerate(() => decodeDescriptor(input))
    if (descriptor) assert.equal(toHex(encodeDescriptor(descriptor)), toHex(input))
    const share = tolerate(() => decodeShare(input))
    if (!share) return
    assert.ok(share.index < share.descriptor.n)
    assert.equal(share.payload.length, payloadBytes(share.descriptor.ciphertextBytes, share.descriptor.k))
  }
  fc.assert(fc.property(fc.oneof(damaged(corpus), fc.uint8Array({ maxLength: 300 })), check), { numRuns: 2000 })
  const descriptors = chunks.good.map(({ descriptor }) => fromHex(descriptor))
  fc.assert(fc.property(damaged(descriptors), check), { numRuns: 2000 })
})

test("damaged shares and descriptors of version 2 decode to their only encoding or give a typed error", () => {
  const { good, bad } = load("chunk-2.json") as Chunk2Vectors
  const small = good.flatMap(({ shares, descriptor }) => [descriptor, ...shares])
  const corpus = [...small, ...bad.map((vector) => vector.bytes)].filter((hex) => hex.length > 0).map(fromHex)
  const check = (input: Uint8Array) => {
    const descriptor = tolerate(() => decodeDescriptor(input))
    if (descriptor) assert.equal(toHex(encodeDescriptor(descriptor)), toHex(input))
    const head = tolerate(() => decodeShareHead(input))
    const share = tolerate(() => decodeShare(input))
    if (!share || !head) return
    assert.equal(versionOf(share.descriptor), input[3])
    assert.equal(share.leaves.length, leavesLength(share.descriptor, share.index))
    assert.equal(head.payloadStart + share.payload.length, input.length)
  }
  fc.assert(fc.property(damaged(corpus), check), { numRuns: 2000 })
})

/** Without the prototypes that fast-check gives. */
const plain = <T>(items: readonly T[]) => items.map((item) => item && { ...item })

test("requests for blocks survive being written and read, and damaged ones give a typed error", () => {
  const queries = fc.array(
    fc.record({
      id: bytes(32),
      index: fc.nat(254),
      first: fc.nat(64),
      count: fc.integer({ min: 1, max: 30 }),
      haveDescriptor: fc.boolean(),
      leavesOf: fc.array(fc.nat(254), { maxLength: 2 }),
    }),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(queries, (asked) => assert.deepEqual(decodeBlockQueries(encodeBlockQueries(asked)), plain(asked))),
    { numRuns: 100 },
  )
  const answers = queries.chain((asked) =>
    fc
      .tuple(
        ...asked.map(() => fc.option(fc.record({ leaves: smallBytes, blocks: smallBytes, descriptor: smallBytes }))),
      )
      .map((given) => ({ asked, given: given.map((answer) => answer ?? undefined) })),
  )
  const damage = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { maxLength: 3 })
  fc.assert(
    fc.property(answers, damage, ({ asked, given }, changes) => {
      const whole = concat(...encodeBlockAnswers(given))
      assert.deepEqual(decodeBlockAnswers(whole, asked), plain(given))
      const request = encodeBlockQueries(asked)
      for (const { at, value } of changes) {
        whole[at % whole.length] = value
        request[at % request.length] = value
      }
      const some = tolerate(() => decodeBlockAnswers(whole, asked))
      assert.ok(!some || some.length === asked.length)
      tolerate(() => decodeBlockQueries(request))
    }),
    { numRuns: 500 },
  )
  const one = { id: new Uint8Array(32), index: 0, first: 0, count: 65, haveDescriptor: true, leavesOf: [] }
  assert.throws(() => decodeBlockQueries(encodeBlockQueries([one, one, one])), { code: "ERR_LIMIT" })
  assert.throws(() => decodeBlockQueries(encodeBlockQueries([{ ...one, count: 0 }])), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => decodeBlockQueries(encodeBlockQueries([{ ...one, leavesOf: [1, 2, 3] }])), {
    code: "ERR_BAD_FORMAT",
  })
})

test("a share with any one bit changed does not verify as the same share", async () => {
  const chunk = await makeChunk(nodeCrypto, new Uint8Array(40).fill(3))
  const good = chunk.shares[1]!
  for (let bit = 0; bit < good.length * 8; bit++) {
    const copy = good.slice()
    copy[bit >> 3]! ^= 1 << (bit & 7)
    const share = await verifyShare(nodeCrypto, copy).catch((error) => {
      assert.ok(isHoldfastError(error), String(error))
    })
    // The index and the hashes of other shares may change into another chunk's valid share, never into this one.
    if (share) assert.notEqual(`${share.index} ${share.id.join()}`, `1 ${chunk.id.join()}`)
  }
})

test("a register value with any one bit changed is refused", async () => {
  const good = await signRegisterValue(nodeCrypto, new Uint8Array(32).fill(1), {
    sequence: 3,
    lineage: [[new Uint8Array(32)]],
    sealed: new Uint8Array(50),
    care: new Uint8Array(50),
  })
  await decodeRegisterValue(nodeCrypto, good)
  for (let bit = 0; bit < good.length * 8; bit++) {
    const copy = good.slice()
    copy[bit >> 3]! ^= 1 << (bit & 7)
    await assert.rejects(decodeRegisterValue(nodeCrypto, copy), (error) => isHoldfastError(error))
  }
})

test("damaged register values give a typed error", async () => {
  const corpus = registers.good.map(({ value }) => fromHex(value))
  const good = new Set(registers.good.map(({ value }) => value))
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged(corpus), fc.uint8Array({ maxLength: 300 })), async (input) => {
      const value = await decodeRegisterValue(nodeCrypto, input).catch((error) => {
        assert.ok(isHoldfastError(error), String(error))
      })
      if (value) assert.ok(good.has(toHex(input)))
    }),
    { numRuns: 1000 },
  )
})

function tolerateError(attempt: () => unknown): unknown {
  try {
    attempt()
  } catch (error) {
    return error
  }
  return assert.fail("nothing was thrown")
}
