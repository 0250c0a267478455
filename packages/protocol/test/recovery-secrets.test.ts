/** What a recovery kit may restore: what its maker, or who forged it, wrote otherwise is refused before any of it is used. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type CborValue, decodeCbor, encodeCbor } from "@holdfast/core"
import {
  checkOtherSecret,
  decodeRecoverySecrets,
  encodeCap,
  encodeRecoverySecrets,
  type RecoverySecrets,
  volumeKeyName,
} from "@holdfast/protocol"

const bytes = (length: number) => new Uint8Array(length).fill(7)
const cap = encodeCap({ kind: "dw", seed: bytes(32) })
const secrets: RecoverySecrets = {
  ...{ createdMs: 1, volume: "clouds", places: ["a", "b"], convergenceSecret: bytes(32), volumes: [], seen: "{}" },
  aliases: new Map([["home", cap]]),
  aliasVolumes: new Map([["home", "clouds"]]),
  localAliases: [],
  grid: { coordinator: "coord.example.org:7443", caFingerprint: bytes(32) },
  bucketKeys: new Map([["s3://a", { accessKeyId: "AK", secretAccessKey: "a+b/c=" }]]),
  kits: new Map([["clouds/main", bytes(32)]]),
  others: new Map([
    ["accountSeed", bytes(32)],
    ["later", bytes(4096)],
    [volumeKeyName("0".repeat(32)), bytes(32)],
  ]),
}
const fields = decodeCbor(encodeRecoverySecrets(secrets), "secrets") as CborValue[]
const decode = (all: readonly CborValue[]) => decodeRecoverySecrets(encodeCbor([...all]))
const named = (count: number, prefix = "a") =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, bytes(1)]))

test("secrets come back as they were, of a grid and of none, and of version 1", () => {
  assert.deepEqual(decode(fields), secrets)
  const { grid: _, ...without } = secrets
  assert.deepEqual(decodeRecoverySecrets(encodeRecoverySecrets(without)), { ...without, grid: undefined })
  const old = decode([1, ...fields.slice(1, 9)])
  assert.deepEqual([old.aliases, old.kits.size, old.grid], [secrets.aliases, 0, undefined])
})

test("aliases that the account does not own come back as such, as many as have room", () => {
  const localAliases = Array.from({ length: 3000 }, (_, i) => `friend-${i}`)
  const restored = decodeRecoverySecrets(encodeRecoverySecrets({ ...secrets, localAliases }))
  assert.deepEqual(restored.localAliases, localAliases)
  assert.deepEqual(restored.others, secrets.others)
  const many = Array.from({ length: 30_000 }, (_, i) => `friend-${i}`)
  const some = decodeRecoverySecrets(encodeRecoverySecrets({ ...secrets, localAliases: many })).localAliases
  assert.ok(some.length > 20_000 && some.every((name, i) => name === many[i]))
  const forged = { ...secrets, others: new Map([["localAliases0", new TextEncoder().encode("../home")]]) }
  assert.throws(() => decodeRecoverySecrets(encodeRecoverySecrets(forged)), { code: "ERR_BAD_FORMAT" })
})

test("a name, a text, a length or a number of things that no kit has is refused", () => {
  const wrong: Record<string, [at: number, value: CborValue]> = {
    "a place that is no text": [3, ["a", 1]],
    "a convergence secret of 31 bytes": [4, bytes(31)],
    "aliases that are a list": [5, []],
    "aliases that are nothing": [5, null],
    "aliases that are bytes": [5, bytes(3)],
    "aliases that are no bytes": [5, bytes(0)],
    "aliases that are a number": [5, 3],
    "an alias that is no text": [5, { home: 1 }],
    "an alias with a path for a name": [5, { "../home": cap }],
    "an alias without a name": [5, { "": cap }],
    "a volume of an alias that is no text": [6, { home: bytes(2) }],
    "a coordinator with a space": [9, ["coord example", bytes(32)]],
    "a coordinator that is empty": [9, ["", bytes(32)]],
    "a coordinator with a line of its own": [9, ["coord\n", bytes(32)]],
    "a fingerprint of 31 bytes": [9, ["coord", bytes(31)]],
    "a grid with more": [9, ["coord", bytes(32), 1]],
    "a place of keys with a space": [10, { "s3://a b": ["AK", "SK"] }],
    "a key with a line of its own": [10, { "s3://a": ["AK\n[default]", "SK"] }],
    "a secret key with a line of its own": [10, { "s3://a": ["AK", "SK\nx"] }],
    "an empty key": [10, { "s3://a": ["", "SK"] }],
    "keys and more": [10, { "s3://a": ["AK", "SK", ""] }],
    "a kit without a volume": [11, { main: bytes(32) }],
    "a kit's key of 31 bytes": [11, { "clouds/main": bytes(31) }],
    "a kit's key that is text": [11, { "clouds/main": "a".repeat(32) }],
    "another secret with a path for a name": [12, { "a/b": bytes(3) }],
    "another secret that is text": [12, { later: "text" }],
    "another secret that is too long": [12, { later: bytes(4097) }],
    "65 other secrets": [12, named(65)],
    "an account's seed of 31 bytes": [12, { accountSeed: bytes(31) }],
    "an owner's secret of 33 bytes": [12, { ownerSecret: bytes(33) }],
    "a key of a volume of 31 bytes": [12, { [volumeKeyName("0".repeat(32))]: bytes(31) }],
    "what a profile keeps in another form": [12, { aliases: bytes(3) }],
    "the key of a certificate": [12, { keyPem: bytes(3) }],
  }
  for (const [name, [at, value]] of Object.entries(wrong))
    assert.throws(() => decode(fields.with(at, value)), { code: "ERR_BAD_FORMAT" }, name)
  assert.equal(decode(fields.with(12, named(64))).others.size, 64)
  assert.throws(() => decode([...fields, 1]), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => decode(fields.with(5, { home: "hf:dw:nonsense" })), { code: "ERR_BAD_CAPABILITY" })
  for (const version of [0, 3])
    assert.throws(() => decode(fields.with(0, version)), { code: "ERR_UNSUPPORTED_VERSION" })
})

test("other secrets have names that no profile keeps otherwise, and lengths of their own", () => {
  assert.ok(checkOtherSecret("accountSeed", bytes(32)) && checkOtherSecret("later", bytes(0)))
  for (const name of ["version", "constructor ", "Upper", "", "a".repeat(65), "volumeKeys", "recoveryKits"])
    assert.ok(!checkOtherSecret(name, bytes(32)), name)
  assert.ok(checkOtherSecret("constructor", bytes(5)), "a name alone, though objects of JavaScript have it")
})
