/**
 * The signed value of a register. Specification: docs/formats/register.md.
 * Servers check form, signature and sequence; what it says is encrypted: `sealed` for holders of the read key, `care`
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
import type { RegisterId } from "./backend.ts"

/** A register value taken apart. */
export interface RegisterValue {
  /** Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 1 for the first value. */
  readonly sequence: number
  readonly lineage: Lineage
  /** Salt and AEAD ciphertext: opaque here. */
  readonly sealed: Uint8Array
  /** Salt and AEAD ciphertext of what a verify capability opens: opaque here. */
  readonly care: Uint8Array
  /** Ed25519 signature, 64 bytes. */
  readonly signature: Uint8Array
}

/**
 * Hashes of the values that one follows, at index i those whose sequence is i + 1 less: more than one where writers raced and
 * the next one merged. Each list is ascending and complete; older lists are left out.
 */
export type Lineage = readonly (readonly Uint8Array[])[]

/** What `extendLineage` needs of a value that is followed. */
export interface Followed {
  readonly hash: Uint8Array
  readonly value: Pick<RegisterValue, "sequence" | "lineage">
}

const registerIdDomain = "holdfast/register-id/1"
const valueDomains = { 1: "holdfast/register-value/1", 3: "holdfast/register-value/3" } as const
const hashBytes = 32
/** Limits of versions 1 and 3. */
const firstVersions = { valueBytes: 81 * 1024, careBytes: 16 * 1024 }
const hashDomain = "holdfast/register-hash/1"

/** The id of the register that `publicKey` signs. */
export function registerIdOf(publicKey: Uint8Array): RegisterId {
  return hashSmall(registerIdDomain, publicKey)
}

/** Hash by which the next value refers to this one. */
export function registerHashOf(encoded: Uint8Array): Uint8Array {
  return hashSmall(hashDomain, encoded)
}

/** The lineage of a value that follows all of `followed`, which have one sequence; the first of them matter most. */
export function extendLineage(followed: readonly Followed[]): Lineage {
  const lineage = [sortedSet(followed.slice(0, limits.lineageHashes).map(({ hash }) => hash))]
  if (followed.length === 0) return []
  let count = lineage[0]!.length
  for (let depth = 0; followed.every(({ value }) => value.lineage[depth]); depth++) {
    const hashes = sortedSet(followed.flatMap(({ value }) => value.lineage[depth]!))
    count += hashes.length
    if (count > limits.lineageHashes) break
    lineage.push(hashes)
  }
  return lineage
}

/** False when `value` is known not to follow the value with `sequence` and `hash`; true when it does, or goes back less far. */
export function mayFollow(
  value: Pick<RegisterValue, "sequence" | "lineage">,
  sequence: number,
  hash: Uint8Array,
): boolean {
  const hashes = value.lineage[value.sequence - sequence - 1]
  return !hashes || hashes.some((other) => equal(other, hash))
}

/** Signs the next value of a register. */
export async function signRegisterValue(
  crypto: CryptoProvider,
  seed: Uint8Array,
  value: Omit<RegisterValue, "signature" | "publicKey">,
): Promise<Uint8Array> {
  const { sequence, sealed, care, lineage } = value
  const fields = [3, await crypto.publicKeyOf(seed), sequence, sealed, care, lineage.map((hashes) => [...hashes])]
  return encodeCbor([...fields, await crypto.sign(seed, signedBytes(3, fields))])
}

/** Decodes a value and verifies its signature. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function decodeRegisterValue(crypto: CryptoProvider, bytes: Uint8Array): Promise<RegisterValue> {
  if (bytes.length > limits.registerValueBytes) throw tooLong(bytes.length, limits.registerValueBytes)
  const decoded = decodeCbor(bytes, "register value")
  const fields = new FieldReader(decoded, "register value")
  const version = fields.integer()
  if (version !== 1 && version !== 3)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Register value version ${version} needs a newer Holdfast.`, {
      version,
    })
  if (bytes.length > firstVersions.valueBytes) throw tooLong(bytes.length, firstVersions.valueBytes)
  const publicKey = fields.bytes(32)
  const sequence = fields.integer(1)
  const previous = version === 1 ? fields.bytes(hashBytes) : undefined
  const value = {
    ...{ publicKey, sequence },
    sealed: fields.bytes(undefined, limits.registerContentBytes + 48),
    care: fields.bytes(undefined, firstVersions.careBytes + 48),
    lineage: previous
      ? lineageOfFirst(sequence, previous)
      : decodeLineage(sequence, fields.array(limits.lineageHashes)),
    signature: fields.bytes(64),
  }
  fields.end()
  const signed = signedBytes(version, (decoded as readonly CborValue[]).slice(0, -1))
  if (!(await crypto.verify(publicKey, signed, value.signature)))
    throw new HoldfastError("ERR_CORRUPT", "A register value has a wrong signature.")
  return value
}

function tooLong(length: number, most: number): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `A register value of ${length} bytes is over the limit of ${most}.`)
}

/** Version 1 names the value before alone, by zeros when there is none. */
function lineageOfFirst(sequence: number, previous: Uint8Array): Lineage {
  return sequence === 1 ? [] : [[previous]]
}

function decodeLineage(sequence: number, lists: readonly CborValue[]): Lineage {
  const lineage = lists.map((list) => decodeHashes(new FieldReader(list, "lineage of a register value")))
  const count = lineage.reduce((sum, hashes) => sum + hashes.length, 0)
  if (count > limits.lineageHashes || lineage.length >= sequence || (sequence > 1 && lineage.length === 0))
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      `register value is damaged: a lineage of ${lineage.length} lists and ${count} hashes cannot be that of sequence ${sequence}.`,
    )
  return lineage
}

function decodeHashes(fields: FieldReader): Uint8Array[] {
  const hashes: Uint8Array[] = []
  do hashes.push(fields.bytes(hashBytes))
  while (fields.remaining > 0)
  if (hashes.every((hash, i) => i === 0 || compare(hashes[i - 1]!, hash) < 0)) return hashes
  throw new HoldfastError("ERR_BAD_FORMAT", "register value is damaged: expected the hashes of its lineage in order.")
}

function sortedSet(hashes: readonly Uint8Array[]): Uint8Array[] {
  return hashes.toSorted(compare).filter((hash, i, all) => i === 0 || !equal(all[i - 1]!, hash))
}

function signedBytes(version: keyof typeof valueDomains, fields: readonly CborValue[]): Uint8Array {
  return concat(domainPrefix(valueDomains[version]), encodeCbor([...fields]))
}
