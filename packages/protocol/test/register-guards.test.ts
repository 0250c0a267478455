/** Every rule of docs/formats/register.md on values of version 4, on proofs and on what places take, broken by a signed value. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { compare, concat, decodeCbor, encodeCbor, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  decodeRegisterValue,
  type RegisterValue,
  signBoundValue,
  signEpochStatement,
  whyRefused,
} from "@holdfast/protocol"
import { appendLevel, levelLeaf, peaksOver, proveLevel, provesLevel } from "../src/register-ancestry.ts"
import type { UnsignedValue } from "../src/register-value.ts"

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value)
const [seed, ownerSeed, otherSeed] = [bytes(1), bytes(2), bytes(3)]
const publicKey = await crypto.publicKeyOf(seed)
const owner = await crypto.publicKeyOf(ownerSeed)
const other = await crypto.publicKeyOf(otherSeed)
const hash = bytes(5)
const levels = [1, 2, 3, 4].map((i) => [bytes(16 + i)])
const peaksWith = (follows: readonly Uint8Array[]) => peaksOver(1, [...levels, follows])

const good: UnsignedValue = {
  ...{ publicKey, epoch: 0, sequence: 6, follows: [hash], base: 1, peaks: peaksWith([hash]) },
  ...{ owner, statement: new Uint8Array(), readCheck: bytes(7), care: bytes(8, 100), sealed: bytes(9, 100) },
}
type Change = Partial<UnsignedValue>
const signed = (change: Change, by: Uint8Array = seed) => signBoundValue(crypto, by, { ...good, ...change })
const decoded = async (change: Change, by?: Uint8Array) => decodeRegisterValue(crypto, await signed(change, by))

type Begun = Parameters<typeof signEpochStatement>[2]
const begun: Begun = { publicKey, epoch: 1, sequence: 5, hash, writer: publicKey, readCheck: bytes(7) }
const statementOf = (change: Partial<Begun> = {}, by: Uint8Array = ownerSeed) =>
  signEpochStatement(crypto, by, { ...begun, ...change })
/** The statement with other CBOR fields, signed over the first seven of them. */
async function statementWith(edit: (fields: unknown[]) => unknown[]): Promise<Uint8Array> {
  const fields = edit([1, ...Object.values({ ...begun })]).slice(0, 7) as Parameters<typeof encodeCbor>[0][]
  const signature = await crypto.sign(
    ownerSeed,
    concat(new TextEncoder().encode("holdfast/register-epoch/1\0"), encodeCbor(fields)),
  )
  return encodeCbor([...fields, signature, ...(edit([]) as never[])])
}
const late = (follows: readonly Uint8Array[], change: Change = {}): Change => ({
  follows,
  peaks: peaksWith(follows),
  ...change,
})

test("a value that keeps all rules is taken, also the first one, the last one and those of an epoch", async () => {
  const two = [bytes(200), ...[bytes(4), bytes(5)]]
  const last = 2 ** 43 - 1
  const taken: Change[] = [
    {},
    late(two),
    { sequence: 1, follows: [], peaks: [] },
    { sequence: last, base: last - 1, peaks: [levelLeaf(last - 1, [hash])] },
    { epoch: 1, statement: await statementOf() },
    { epoch: 1, statement: await statementWith((all) => all) }, // signed here, over what the specification says
    { owner: new Uint8Array() },
    { care: bytes(1, 24_640), sealed: bytes(1, 65_584) },
    late(Array.from({ length: 20 }, (_, i) => bytes(i + 30))),
  ]
  for (const change of taken) assert.equal((await decoded(change)).sequence, change.sequence ?? 6)
  assert.deepEqual((await decoded({ sequence: 1, follows: [], peaks: [] })).lineage, [])
  assert.deepEqual((await decoded(late(two))).lineage, [[...two].sort(compare)])
  const writer = await decoded({ epoch: 1, statement: await statementOf({ writer: other }) }, otherSeed)
  assert.equal(writer.epoch, 1)
})

const badFormat = {
  "epoch 1024": async () => ({ epoch: 1024, statement: await statementOf({ epoch: 1024 }) }),
  "sequence 0": () => ({ sequence: 0, follows: [], peaks: [] }),
  "a sequence above the last": () => ({
    sequence: 2 ** 43,
    base: 2 ** 43 - 1,
    peaks: [levelLeaf(2 ** 43 - 1, [hash])],
  }),
  "21 values that it follows": () => late(Array.from({ length: 21 }, (_, i) => bytes(i + 30))),
  "base 0": () => ({ base: 0, peaks: peaksOver(0, [[bytes(90)], ...levels, [hash]]) }),
  "a base at its own sequence": () => ({ base: 6, peaks: [] }),
  "a base above its sequence": () => ({ base: 7, peaks: [] }),
  "a first value that follows one": () => ({ sequence: 1, peaks: [] }),
  "a later value that follows none": () => late([]),
  "the spine's value twice": () => late([bytes(4), bytes(4)]),
  "values out of order": () => late([bytes(1), bytes(9), bytes(8)]),
  "a value twice": () => late([bytes(1), bytes(8), bytes(8)]),
  "a peak too few": () => ({ peaks: good.peaks.slice(1) }),
  "a peak too many": () => ({ peaks: [bytes(1), ...good.peaks] }),
  "a last peak of other values": () => ({ peaks: [good.peaks[0]!, bytes(1)] }),
  "half a hash": () => ({ follows: [concat(hash, bytes(1, 1))] }),
  "half a peak": () => ({ sequence: 5, peaks: [concat(peaksOver(1, levels)[0]!, bytes(1, 1))] }),
  "an owner of 31 bytes": () => ({ owner: bytes(1, 31) }),
  "an owner of 33 bytes": () => ({ owner: bytes(1, 33) }),
  "a read check of 31 bytes": () => ({ readCheck: bytes(1, 31) }),
  "a key of 31 bytes": () => ({ publicKey: publicKey.subarray(1) }),
  "a care list that is too long": () => ({ care: bytes(1, 24_641) }),
  "a content that is too long": () => ({ sealed: bytes(1, 65_585) }),
  "epoch 1 without a statement": () => ({ epoch: 1 }),
  "a statement in epoch 0": async () => ({ statement: await statementOf() }),
  "a statement of another epoch": async () => ({ epoch: 2, statement: await statementOf() }),
  "an epoch without an owner": async () => ({ epoch: 1, owner: new Uint8Array(), statement: await statementOf() }),
  "a sequence that the epoch left behind": async () => ({ epoch: 1, statement: await statementOf({ sequence: 6 }) }),
  "another read check than the epoch's": async () => ({
    epoch: 1,
    statement: await statementOf({ readCheck: bytes(1) }),
  }),
  "an epoch that goes on with another value": async () => ({
    epoch: 1,
    statement: await statementOf({ hash: bytes(1) }),
  }),
  "an epoch that goes on with two": async () => late([hash, bytes(3)], { epoch: 1, statement: await statementOf() }),
  "a statement of epoch 0": async () => ({ statement: await statementOf({ epoch: 0 }) }),
  "a statement on sequence 0": async () => ({ epoch: 1, statement: await statementOf({ sequence: 0 }) }),
  "a statement on a sequence above the last": async () => ({
    epoch: 1,
    statement: await statementOf({ sequence: 2 ** 43 }),
  }),
  "a statement that is too long": async () => ({ epoch: 1, statement: concat(await statementOf(), bytes(0)) }),
} satisfies Record<string, () => Change | Promise<Change>>

for (const [name, change] of Object.entries(badFormat))
  test(`refuses ${name}`, () => assert.rejects(async () => decoded(await change()), { code: "ERR_BAD_FORMAT" }))

test("refuses what is signed by anybody else, or for anything else", async () => {
  const corrupt = { code: "ERR_CORRUPT" }
  await assert.rejects(decoded({}, otherSeed), corrupt)
  await assert.rejects(async () => decoded({ epoch: 1, statement: await statementOf({}, otherSeed) }), corrupt)
  await assert.rejects(async () => decoded({ epoch: 1, statement: await statementOf({ publicKey: other }) }), corrupt)
  await assert.rejects(async () => decoded({ epoch: 1, statement: await statementOf({ writer: other }) }), corrupt)
  const encoded = await signed({})
  for (let at = 0; at < encoded.length; at += 7) {
    const damaged = encoded.slice()
    damaged[at]! ^= 0x10
    await assert.rejects(decodeRegisterValue(crypto, damaged))
  }
})

test("refuses fields too many, values too long, and other versions", async () => {
  const fields = decodeCbor(await signed({}), "value") as Parameters<typeof encodeCbor>[0][]
  await assert.rejects(decodeRegisterValue(crypto, encodeCbor([...fields, 0])), { code: "ERR_BAD_FORMAT" })
  await assert.rejects(decodeRegisterValue(crypto, encodeCbor(fields.slice(0, -1))), { code: "ERR_BAD_FORMAT" })
  await assert.rejects(decodeRegisterValue(crypto, encodeCbor(fields.with(0, 5))), { code: "ERR_UNSUPPORTED_VERSION" })
  await assert.rejects(decodeRegisterValue(crypto, await signed({ sealed: bytes(1, 98_304) })), { code: "ERR_LIMIT" })
  const long = await statementWith((all) => (all.length > 0 ? all : [0]))
  await assert.rejects(decoded({ epoch: 1, statement: long }), { code: "ERR_BAD_FORMAT" })
  const newer = await statementWith((all) => (all.length > 0 ? all.with(0, 2) : []))
  await assert.rejects(decoded({ epoch: 1, statement: newer }), { code: "ERR_UNSUPPORTED_VERSION" })
})

test("a proof holds for its own number, level, path and peaks alone", () => {
  const all = [...levels, [hash], [bytes(6)], [bytes(7)]]
  const value = { sequence: 8, base: 1, peaks: peaksOver(1, all) }
  for (const sequence of [1, 2, 3, 4, 5, 6, 7]) {
    const proof = proveLevel(1, all, sequence)
    assert.ok(provesLevel(value, sequence, proof))
    assert.ok(!provesLevel(value, sequence, { ...proof, level: [bytes(1)] }))
    assert.ok(!provesLevel(value, sequence, { ...proof, path: [...proof.path, bytes(1)] }))
    if (proof.path.length > 0) assert.ok(!provesLevel(value, sequence, { ...proof, path: proof.path.slice(1) }))
    for (const wrong of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1])
      if (wrong !== sequence) assert.ok(!provesLevel(value, wrong, proof), `${sequence} as ${wrong}`)
  }
  // A node is no leaf, and what is above the value's own sequence or below its base is none of its levels.
  const inner = { level: [levelLeaf(1, all[0]!), levelLeaf(2, all[1]!)], path: [peaksOver(3, all.slice(2, 4))[0]!] }
  assert.ok(!provesLevel(value, 1, inner))
  const short = { sequence: 2, base: 1, peaks: [levelLeaf(2, [hash])] }
  assert.ok(!provesLevel(short, 2, { level: [hash], path: [] }))
  const based = { sequence: 4, base: 3, peaks: [levelLeaf(2, [hash])] }
  assert.ok(!provesLevel(based, 2, { level: [hash], path: [] }))
  assert.deepEqual(
    appendLevel(peaksOver(1, all.slice(0, 6)), 6, levelLeaf(7, all[6]!)).map(toHex),
    value.peaks.map(toHex),
  )
})

test("a place takes later values alone, in small steps, of one owner, read key and epoch, or the owner's next epoch", async () => {
  const held = await decoded({})
  const later = (change: Change = {}): Promise<RegisterValue> => decoded({ sequence: 7, ...afterSix, ...change })
  const afterSix: Change = { follows: [hash], base: 1, peaks: peaksOver(1, [...levels, [bytes(4)], [hash]]) }
  const far = (sequence: number): Change => ({ sequence, base: sequence - 1, peaks: [levelLeaf(sequence - 1, [hash])] })
  const ownerless = await decoded({ owner: new Uint8Array() })
  const first: RegisterValue = { ...held, version: 3 }
  delete (first as { bound?: unknown }).bound
  const next = async (change: Partial<Begun> = {}, more: Change = {}) =>
    decoded({ epoch: 1, statement: await statementOf(change), ...more })
  const taken: [RegisterValue, RegisterValue][] = [
    [held, await later()],
    [held, await decoded(far(6 + 2 ** 20))],
    [ownerless, await later()],
    [first, await later()],
    [first, { ...first, sequence: 7 }],
    [held, await next()],
  ]
  for (const [i, [a, b]] of taken.entries()) assert.equal(whyRefused(a, b), undefined, `${i}`)
  const epoch1 = await next()
  const theirs: Change = { owner: other, epoch: 1, statement: await statementOf({}, otherSeed) }
  const noneNamed = await decoded({ owner: new Uint8Array() })
  const refused: [string, RegisterValue, RegisterValue][] = [
    ["of the same sequence", held, await decoded({ sealed: bytes(1) })],
    ["older", await later(), held],
    ["of an epoch that is over", epoch1, await decoded(far(9))],
    ["of an older version", held, { ...first, sequence: 7 }],
    ["far ahead", held, await decoded(far(7 + 2 ** 20))],
    ["of another owner", held, await later({ owner: other })],
    ["of no owner any more", held, await later({ owner: new Uint8Array() })],
    ["of another read key", held, await later({ readCheck: bytes(1) })],
    ["of another epoch's owner", held, await decoded(theirs)],
    ["of an epoch where nobody owns", noneNamed, await next()],
    ["of an epoch after version 3", first, await next()],
    ["far ahead of its epoch's beginning", held, await next({}, far(6 + 2 ** 20))],
    [
      "with another statement",
      epoch1,
      await later({ epoch: 1, statement: await statementOf({ sequence: 4, hash: bytes(1) }) }),
    ],
  ]
  for (const [name, a, b] of refused) assert.notEqual(whyRefused(a, b), undefined, name)
})
