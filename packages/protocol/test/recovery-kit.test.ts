/** Parts of recovery kits: each field at its edge, and a body that opens with its own key, words and fields alone. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type CborValue, encodeCbor, limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  decodeRecoveryPart,
  encodeRecoveryParts,
  openRecoveryBody,
  openRecoveryRegisterSeed,
  type RecoveryBody,
  recoveryKeyCheck,
  recoveryShareHash,
  sealRecoveryBody,
} from "@holdfast/protocol"
import { isAffordablePassphrase } from "../src/recovery-kit.ts"

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value)
const [key, master] = [bytes(1), bytes(2)]
const shares = [3, 4, 5].map((value) => bytes(value, 33))
const plaintext = bytes(6, 100)
const open = {
  ...{ version: 2 as const, threshold: 2, keyCheck: recoveryKeyCheck(key), isProtected: true },
  shareHashes: shares.map((share, index) => recoveryShareHash(index, share)),
}
const sealed = await sealRecoveryBody(crypto, open, { key, master, plaintext })

/** A part made of what is given. */
type Field = CborValue
const bodyFields: Field[] = [2, open.shareHashes, open.keyCheck, 1, sealed.sealed]
const partOf = (body: Field[] = bodyFields, change: (fields: Field[]) => Field[] = (fields) => fields, version = 2) =>
  decodeRecoveryPart(encodeCbor(change([version, encodeCbor(body), 0, shares[0]!])))

test("parts come back as they were made, and belong together by the hash of their body", () => {
  const parts = encodeRecoveryParts(sealed, shares).map(decodeRecoveryPart)
  for (const [i, part] of parts.entries()) {
    assert.deepEqual([part.body, part.index, part.share], [sealed, i, shares[i]])
    assert.deepEqual(part.kitId, parts[0]!.kitId)
  }
  assert.deepEqual(partOf(), parts[0])
  const other = encodeRecoveryParts({ ...sealed, sealed: bytes(0, 100) }, shares).map(decodeRecoveryPart)
  assert.notDeepEqual(other[0]!.kitId, parts[0]!.kitId)
})

test("a body opens with its own key and words, as it was described, and not otherwise", async () => {
  const openWith = (
    change: Partial<RecoveryBody> = {},
    keys: { key: Uint8Array; master?: Uint8Array } = { key, master },
  ) => openRecoveryBody(crypto, { ...sealed, ...change }, keys)
  assert.deepEqual(new Uint8Array((await openWith())!), plaintext)
  const others: Partial<RecoveryBody>[] = [
    { version: 1 },
    { threshold: 3 },
    { shareHashes: open.shareHashes.slice(1) },
    { keyCheck: bytes(0) },
    { isProtected: false },
  ]
  for (const change of others) assert.equal(await openWith(change), undefined)
  for (const keys of [{ key }, { key, master: bytes(0) }, { key: bytes(0), master }])
    assert.equal(await openWith({}, keys), undefined)
})

test("what no kit has is refused: of a part, of its body, and of a share", () => {
  const badFormat = { code: "ERR_BAD_FORMAT" }
  const bodies: Record<string, Field[]> = {
    "a threshold of 1": bodyFields.with(0, 1),
    "more needed than there are": bodyFields.with(0, 4),
    "a hash of 31 bytes": bodyFields.with(1, [...open.shareHashes.slice(1), bytes(1, 31)]),
    "a hash that is text": bodyFields.with(1, [open.shareHashes[0]!, "a".repeat(32), open.shareHashes[2]!]),
    "a key check of 31 bytes": bodyFields.with(2, bytes(1, 31)),
    "a protection that is neither": bodyFields.with(3, 2),
    "fields too many": [...bodyFields, 0],
  }
  for (const [name, body] of Object.entries(bodies)) assert.throws(() => partOf(body), badFormat, name)
  assert.throws(() => partOf(bodyFields, (fields) => fields.with(2, 3)), badFormat)
  assert.throws(() => partOf(bodyFields, (fields) => fields.with(3, bytes(3, 32))), badFormat)
  assert.throws(() => partOf(bodyFields, (fields) => [...fields, 0]), badFormat)
  assert.throws(() => partOf(bodyFields, (fields) => fields.with(2, 1)), { code: "ERR_CORRUPT" })
  assert.throws(() => partOf(bodyFields, (fields) => fields.with(3, shares[1]!)), { code: "ERR_CORRUPT" })
  for (const version of [0, 3])
    assert.throws(() => partOf(bodyFields, undefined, version), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.equal(partOf(bodyFields.with(3, 0)).body.isProtected, false)
})

test("a part that is longer than a register's content is neither made nor read", () => {
  const frame = encodeRecoveryParts({ ...sealed, sealed: bytes(0, 1000) }, shares)[0]!.length - 1000
  const of = (length: number) => encodeRecoveryParts({ ...sealed, sealed: bytes(0, length - frame) }, shares)
  const most = of(limits.registerContentBytes - 4)
  assert.ok(most[0]!.length <= limits.registerContentBytes)
  decodeRecoveryPart(most[0]!)
  assert.throws(() => of(limits.registerContentBytes + 8), { code: "ERR_LIMIT" })
  const long = encodeCbor([
    2,
    encodeCbor(bodyFields.with(4, bytes(0, limits.registerContentBytes - 100))),
    0,
    shares[0]!,
  ])
  assert.ok(long.length > limits.registerContentBytes)
  assert.throws(() => decodeRecoveryPart(long), { code: "ERR_LIMIT" })
})

test("kits of version 1 say what their passphrase costs, and none may cost minutes or gigabytes", () => {
  const first = (parameters: Field) => partOf(bodyFields.with(3, parameters), undefined, 1).body
  const good: Field[] = [64 * 1024, 3, 1, bytes(1, 16)]
  assert.deepEqual(first(good).passphrase, { memoryKiB: 64 * 1024, passes: 3, lanes: 1, salt: bytes(1, 16) })
  assert.deepEqual([first(good).isProtected, first(null).isProtected, first(null).passphrase], [true, false, undefined])
  assert.throws(() => first([...good, 0]), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => first(good.with(3, bytes(1, 15))), { code: "ERR_BAD_FORMAT" })
  for (const [at, value] of [
    [0, limits.passphraseMemoryKiB + 1],
    [0, 7],
    [1, 0],
    [1, limits.passphrasePasses + 1],
    [2, 0],
    [2, limits.passphraseLanes + 1],
  ] as const)
    assert.throws(() => first(good.with(at, value)), { code: "ERR_LIMIT" }, `${at} ${value}`)
  assert.ok(isAffordablePassphrase({ memoryKiB: 16, passes: 1, lanes: 2 }))
  assert.ok(!isAffordablePassphrase({ memoryKiB: 15, passes: 1, lanes: 2 }))
})

test("names of kits are names, and each has a register of its own", () => {
  for (const name of ["", "../a", "a b", "a".repeat(65), ".a"])
    assert.throws(() => openRecoveryRegisterSeed(name), { code: "ERR_INVALID_ARGUMENT" })
  assert.notDeepEqual(openRecoveryRegisterSeed("a"), openRecoveryRegisterSeed("b"))
})
