/**
 * The signed value of a register. Specification: docs/formats/register.md.
 * Servers check form, signature and order; what it says is encrypted: `sealed` for holders of the read key, `care`
 * (which chunks the content needs) for those of the verify key.
 */
import {
  type CborValue,
  type CryptoProvider,
  compare,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  hashSmall,
  limits,
} from "@holdfast/core"
import type { RegisterId } from "./ids.ts"
import { type Ancestry, joinLevel, levelLeaf, mountainsOf } from "./register-ancestry.ts"
import {
  decodeEpochStatement,
  type EpochStatement,
  epochStatementBytes,
  isStatementOf,
  lastEpoch,
  lastSequence,
} from "./register-epoch.ts"
import { readFirstVersions, signedRegisterBytes } from "./register-lineage.ts"
import type { BoundFields, RegisterOrder, RegisterValue, UnsignedValue } from "./register-value.ts"

const registerIdDomain = "holdfast/register-id/1"
const readCheckDomain = "holdfast/read-check/1"
const hashBytes = 32
const hashDomain = "holdfast/register-hash/1"

/** The id of the register that `publicKey` signs. */
export function registerIdOf(publicKey: Uint8Array): RegisterId {
  return hashSmall(registerIdDomain, publicKey)
}

/** Hash by which the next value refers to this one. */
export function registerHashOf(encoded: Uint8Array): Uint8Array {
  return hashSmall(hashDomain, encoded)
}

/** The same, by the platform's own code where that is faster: for who hashes values of many others. */
export function hashRegisterValue(crypto: CryptoProvider, encoded: Uint8Array): Promise<Uint8Array> {
  return crypto.sha256(domainPrefix(hashDomain), encoded)
}

/** What a value says of the keys that open it: the verify key follows from the read key, so both are bound by it. */
export function readCheckOf(verifyKey: Uint8Array): Uint8Array {
  return hashSmall(readCheckDomain, verifyKey)
}

/** What a value of version 4 says of the levels before it. */
export function ancestryOf({ sequence }: RegisterOrder, { base, peaks }: BoundFields): Ancestry {
  return { sequence, base, peaks }
}

/** The statement that began the epoch of `value`; undefined in epoch 0. */
export function statementOf({ bound }: Pick<RegisterValue, "bound">): EpochStatement | undefined {
  return bound && bound.statement.length > 0 ? decodeEpochStatement(bound.statement) : undefined
}

/** Signs a value of version 4. */
export async function signBoundValue(
  crypto: CryptoProvider,
  seed: Uint8Array,
  value: UnsignedValue,
): Promise<Uint8Array> {
  const fields = [...boundFieldsOf(value), value.sealed]
  return encodeCbor([...fields, await crypto.sign(seed, signedRegisterBytes(4, fields))])
}

/** All fields but what is sealed and the signature, in order: what an author signs beside the content. */
export function boundFieldsOf(value: Omit<UnsignedValue, "sealed">): CborValue[] {
  const { publicKey, epoch, sequence, follows, base, peaks, owner, statement, readCheck, care } = value
  const ancestry = [joinLevel(follows), base, concat(...peaks)]
  return [4, publicKey, epoch, sequence, ...ancestry, owner, statement, readCheck, care]
}

/** Decodes a value and verifies its signature. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function decodeRegisterValue(crypto: CryptoProvider, bytes: Uint8Array): Promise<RegisterValue> {
  const { value, fields } = parse(bytes)
  const statement = statementOf(value)
  if (statement && !(await isStatementOf(crypto, statement, { publicKey: value.publicKey, owner: value.bound!.owner })))
    throw new HoldfastError("ERR_CORRUPT", "A register value is of an epoch that its owner did not begin.")
  const signed = signedRegisterBytes(value.version, fields.slice(0, -1))
  if (!(await crypto.verify(statement?.writer ?? value.publicKey, signed, value.signature)))
    throw new HoldfastError("ERR_CORRUPT", "A register value has a wrong signature.")
  return value
}

/** Takes a value apart that was verified before. Throws as decodeRegisterValue, but ERR_CORRUPT. */
export function parseRegisterValue(bytes: Uint8Array): RegisterValue {
  return parse(bytes).value
}

function parse(bytes: Uint8Array): { readonly value: RegisterValue; readonly fields: readonly CborValue[] } {
  if (bytes.length > limits.registerValueBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A register value of ${bytes.length} bytes is over the limit of ${limits.registerValueBytes}.`,
    )
  const decoded = decodeCbor(bytes, "register value")
  const fields = new FieldReader(decoded, "register value")
  const version = fields.integer()
  if (version !== 1 && version !== 3 && version !== 4)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Register value version ${version} needs a newer Holdfast.`, {
      version,
    })
  const value = version === 4 ? readBound(fields) : readFirstVersions(fields, version, bytes.length)
  return { value, fields: decoded as readonly CborValue[] }
}

/** What follows the version in a value of version 4. */
function readBound(fields: FieldReader): RegisterValue {
  const order = {
    publicKey: fields.bytes(32),
    epoch: fields.integer(0, lastEpoch),
    sequence: fields.integer(1, lastSequence),
  }
  const bound = {
    follows: hashesIn(fields.bytes(undefined, limits.lineageHashes * hashBytes)),
    base: fields.integer(1, order.sequence),
    peaks: hashesIn(fields.bytes(undefined, 53 * hashBytes)),
    owner: fields.bytes(undefined, 32),
    statement: fields.bytes(undefined, epochStatementBytes),
    readCheck: fields.bytes(32),
  }
  const care = fields.bytes(undefined, limits.registerCareBytes + limits.registerLevelsBytes + 64)
  const sealed = fields.bytes(undefined, limits.registerContentBytes + 48)
  const signature = fields.bytes(64)
  fields.end()
  checkBound(order, bound)
  const lineage = order.sequence === 1 ? [] : [bound.follows.toSorted(compare)]
  return { version: 4, ...order, lineage, bound, sealed, care, signature }
}

function checkBound(order: RegisterOrder & { readonly publicKey: Uint8Array }, bound: BoundFields): void {
  const { sequence, epoch } = order
  const { follows, base, peaks, owner, readCheck } = bound
  const isFirst = sequence === 1
  if (isFirst !== (follows.length === 0) || (!isFirst && base === sequence))
    throw badValue(`it does not name what a value with sequence ${sequence} follows`)
  const [spine, ...others] = follows
  const isOrdered = others.every((hash, i) => !equal(hash, spine!) && (i === 0 || compare(others[i - 1]!, hash) < 0))
  if (!isOrdered) throw badValue("the values that it follows are not in order")
  const count = sequence - base
  if (peaks.length !== mountainsOf(count).length) throw badValue(`it has ${peaks.length} peaks over ${count} levels`)
  if (count % 2 === 1 && !equal(peaks.at(-1)!, levelLeaf(sequence - 1, follows)))
    throw badValue("its last peak is not of the values that it follows")
  if (owner.length !== 0 && owner.length !== 32) throw badValue("its owner's key is none")
  const statement = statementOf({ bound })
  if ((epoch === 0) !== (statement === undefined)) throw badValue("it does not say what began its epoch")
  if (!statement) return
  const fits =
    statement.epoch === epoch &&
    owner.length === 32 &&
    sequence > statement.sequence &&
    equal(statement.readCheck, readCheck) &&
    (sequence > statement.sequence + 1 || (follows.length === 1 && equal(follows[0]!, statement.hash)))
  if (!fits) throw badValue("it does not fit what began its epoch")
}

function hashesIn(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % hashBytes !== 0) throw badValue("it does not hold whole hashes")
  return Array.from({ length: bytes.length / hashBytes }, (_, i) => bytes.slice(i * hashBytes, (i + 1) * hashBytes))
}

function badValue(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `register value is damaged: ${why}.`)
}
