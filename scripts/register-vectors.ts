/** Vectors of register values of version 4: a history with a race, a second epoch, and proofs. */
import {
  type CborValue,
  type CryptoProvider,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  fromHex,
  toHex,
  utf8,
} from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import {
  boundFieldsOf,
  decodeRegisterValue,
  type Level,
  proveLevel,
  type RegisterValue,
  registerHashOf,
  registerIdOf,
  signEpochStatement,
  toReadCap,
  verifyKeyOf,
} from "@holdfast/protocol"
import type { BoundVector, BoundVectors } from "@holdfast/protocol/vectors"
import type { Device } from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import { type FollowedValue, makeNextValue, type NextValue } from "../packages/store/src/register-next.ts"
import { openParts, openSealed } from "../packages/store/src/register-seal.ts"

type BytesOf = (name: string, length: number) => Uint8Array
interface Made extends FollowedValue {
  readonly name: string
}

/** Makes them all; `bytesOf` gives bytes that look random and are the same each time. */
export async function boundVectors(bytesOf: BytesOf): Promise<BoundVectors> {
  const seed = bytesOf("register 4 seed", 32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  const keys = { seed, publicKey, readKey }
  const ownerSeed = bytesOf("register 4 owner", 32)
  const owner = await nodeCrypto.publicKeyOf(ownerSeed)
  let drawn = 0
  const crypto: CryptoProvider = { ...nodeCrypto, random: (length) => bytesOf(`register 4 random ${drawn++}`, length) }
  const env = { ...nodeEnv, crypto }
  const chunks = createMemoryChunks(crypto)
  const make = async (name: string, base: readonly Made[], more: Partial<NextValue> = {}): Promise<Made> => {
    const device = base.length % 2 === 1 ? () => deviceOf(bytesOf) : undefined
    const parts = {
      content: bytesOf(`content 4 ${name}`, (name.length * 37) % 200),
      care: bytesOf(`care 4 ${name}`, 33),
    }
    const bytes = await makeNextValue({ env, chunks, ...(device && { device }) }, keys, { base, parts, owner, ...more })
    const value = await decodeRegisterValue(nodeCrypto, bytes)
    return { name, bytes, value, hash: toHex(registerHashOf(bytes)), parts: await openParts(env, keys, value) }
  }
  const made: Made[] = []
  let base: Made[] = []
  const levels: Level[] = []
  for (let sequence = 1; sequence <= 140; sequence++) {
    // Sequence 3 has two values, of writers that raced; the one after follows both.
    const names = sequence === 3 ? ["3", "3 of another writer"] : [`${sequence}`]
    const values: Made[] = []
    for (const name of names) values.push(await make(name, base))
    if (base.length > 0) levels.push(values[0]!.value.bound!.follows)
    base = values
    made.push(...values)
  }
  const [at25] = made.filter(({ name }) => name === "25")
  const statement = await signEpochStatement(nodeCrypto, ownerSeed, {
    ...{ publicKey, epoch: 1, sequence: 25, hash: fromHex(at25!.hash) },
    ...{ writer: publicKey, readCheck: at25!.value.bound!.readCheck },
  })
  const second = await make("26 of epoch 1", [at25!], { statement: { epoch: 1, bytes: statement } })
  const third = await make("27 of epoch 1", [second])
  const shown = made.filter(({ value }) => [1, 2, 3, 4, 25, 140].includes(value.sequence))
  const good = await Promise.all([...shown, second, third].map((one) => vectorOf(one, keys)))
  return { good, proofs: proofsOf(made.at(-1)!, levels), bad: await badValues(bytesOf, seed, made[1]!) }
}

async function deviceOf(bytesOf: BytesOf): Promise<Device> {
  const seed = bytesOf("device seed", 32)
  const sign = (message: Uint8Array) => nodeCrypto.sign(seed, message)
  return { device: await nodeCrypto.publicKeyOf(seed), account: bytesOf("account", 32), name: "laptop/default", sign }
}

async function vectorOf(
  { name, bytes, hash, value, parts }: Made,
  keys: { readonly seed: Uint8Array; readonly publicKey: Uint8Array; readonly readKey: Uint8Array },
): Promise<BoundVector> {
  const bound = value.bound!
  const verifyKey = verifyKeyOf(keys.readKey)
  const { author } = parts
  return {
    name: `value ${name}`,
    ...{ seed: toHex(keys.seed), publicKey: toHex(keys.publicKey) },
    ...{ readKey: toHex(keys.readKey), verifyKey: toHex(verifyKey), id: toHex(registerIdOf(keys.publicKey)) },
    ...{ epoch: value.epoch, sequence: value.sequence, follows: bound.follows.map(toHex), base: bound.base },
    ...{ peaks: bound.peaks.map(toHex), owner: toHex(bound.owner), statement: toHex(bound.statement) },
    readCheck: toHex(bound.readCheck),
    sealedContent: toHex(await openSealed(nodeEnv, keys.readKey, "content", value)),
    content: toHex(parts.content),
    author: author ? { device: toHex(author.device), account: toHex(author.account), name: author.name } : null,
    sealedCare: toHex(await openSealed(nodeEnv, verifyKey, "care", value)),
    careContent: toHex(parts.care),
    ...{ value: toHex(bytes), hash },
  }
}

function proofsOf({ hash }: Made, levels: readonly Level[]): BoundVectors["proofs"] {
  const proofs = [1, 2, 3, 64, 65, 128, 129, 137, 138, 139].map((sequence) => {
    const { level, path } = proveLevel(1, levels, sequence)
    return { value: hash, sequence, level: level.map(toHex), path: path.map(toHex), holds: true }
  })
  const [first, second] = [proofs[0]!, proofs[1]!]
  return [
    ...proofs,
    { ...first, sequence: 2, holds: false },
    { ...first, level: second.level, holds: false },
    { ...first, path: first.path.slice(1), holds: false },
    { ...first, path: [...first.path, first.path[0]!], holds: false },
    { ...first, sequence: 140, holds: false },
    { ...proofs[2]!, level: proofs[2]!.level.slice(0, 1), holds: false },
  ]
}

async function badValues(bytesOf: BytesOf, seed: Uint8Array, { bytes, value }: Made): Promise<BoundVectors["bad"]> {
  const fields = [...boundFieldsOf({ ...value, ...value.bound! }), value.sealed]
  const signed = async (changes: { readonly [index: number]: CborValue }, domain = "holdfast/register-value/4") => {
    const all = fields.map((field, i) => changes[i] ?? field)
    return encodeCbor([...all, await nodeCrypto.sign(seed, concat(domainPrefix(domain), encodeCbor(all)))])
  }
  const [a, b] = [bytesOf("hash a", 32), bytesOf("hash b", 32)].sort((x, y) => (toHex(x) < toHex(y) ? -1 : 1)) as [
    Uint8Array,
    Uint8Array,
  ]
  const spine = value.bound!.follows[0]!
  const bad = (name: string, made: Uint8Array, error: BoundVectors["bad"][number]["error"]) => ({
    name,
    bytes: toHex(made),
    error,
  })
  const last = (decodeCbor(bytes, "value") as CborValue[]).at(-1) as Uint8Array
  return [
    bad("cut short", bytes.subarray(0, -1), "ERR_BAD_FORMAT"),
    bad("version 5", await signed({ 0: 5 }), "ERR_UNSUPPORTED_VERSION"),
    bad("signed as version 3", await signed({}, "holdfast/register-value/3"), "ERR_CORRUPT"),
    bad("another read check under the same signature", encodeCbor([...fields.with(9, a), last]), "ERR_CORRUPT"),
    bad("nothing followed after the first value", await signed({ 4: new Uint8Array() }), "ERR_BAD_FORMAT"),
    bad("followed values out of order", await signed({ 4: concat(spine, b, a) }), "ERR_BAD_FORMAT"),
    bad("a followed value twice", await signed({ 4: concat(spine, spine) }), "ERR_BAD_FORMAT"),
    bad("half a hash", await signed({ 4: spine.subarray(16) }), "ERR_BAD_FORMAT"),
    bad("no level", await signed({ 5: 2 }), "ERR_BAD_FORMAT"),
    bad("a base after the value", await signed({ 5: 3 }), "ERR_BAD_FORMAT"),
    bad("a peak too many", await signed({ 6: concat(a, b) }), "ERR_BAD_FORMAT"),
    bad("a last peak that is not of what it follows", await signed({ 6: a }), "ERR_BAD_FORMAT"),
    bad("half an owner", await signed({ 7: a.subarray(16) }), "ERR_BAD_FORMAT"),
    bad("an epoch that nothing began", await signed({ 2: 1 }), "ERR_BAD_FORMAT"),
    bad("a statement that is none", await signed({ 2: 1, 8: utf8("statement") }), "ERR_BAD_FORMAT"),
    bad("an epoch that another than the owner began", await foreignEpoch(bytesOf, value, signed), "ERR_CORRUPT"),
  ]
}

async function foreignEpoch(
  bytesOf: BytesOf,
  value: RegisterValue,
  signed: (changes: { readonly [index: number]: CborValue }) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { publicKey, bound } = value
  const statement = {
    publicKey,
    epoch: 1,
    sequence: 1,
    hash: bound!.follows[0]!,
    writer: publicKey,
    readCheck: bound!.readCheck,
  }
  return signed({ 2: 1, 8: await signEpochStatement(nodeCrypto, bytesOf("somebody", 32), statement) })
}
