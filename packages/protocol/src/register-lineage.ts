/**
 * Register values of versions 1 and 3, which name the values that they follow over up to 20 versions. They stay readable; of
 * the two, version 3 is still written by who keeps a register without levels. Specification: docs/formats/register.md, section
 * Versions 1 and 3.
 */
import {
  type CborValue,
  type CryptoProvider,
  compare,
  concat,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  limits,
} from "@holdfast/core"
import type { Lineage, RegisterValue } from "./register-value.ts"

/** What `extendLineage` needs of a value that is followed. */
export interface Followed {
  readonly hash: Uint8Array
  readonly value: Pick<RegisterValue, "sequence" | "lineage">
}

const hashBytes = 32
const valueDomains = {
  1: "holdfast/register-value/1",
  3: "holdfast/register-value/3",
  4: "holdfast/register-value/4",
} as const
/** Limits of versions 1 and 3. */
const most = { valueBytes: 81 * 1024, careBytes: 16 * 1024 }

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

/** True when `value` names the one with `sequence` and `hash` as one it follows, false when it names others; else undefined. */
export function namesAncestor(
  value: Pick<RegisterValue, "sequence" | "lineage">,
  sequence: number,
  hash: Uint8Array,
): boolean | undefined {
  return value.lineage[value.sequence - sequence - 1]?.some((other) => equal(other, hash))
}

/** Signs the next value of a register, as version 3. */
export async function signRegisterValue(
  crypto: CryptoProvider,
  seed: Uint8Array,
  value: Pick<RegisterValue, "sequence" | "sealed" | "care" | "lineage">,
): Promise<Uint8Array> {
  const { sequence, sealed, care, lineage } = value
  const fields = [3, await crypto.publicKeyOf(seed), sequence, sealed, care, lineage.map((hashes) => [...hashes])]
  return encodeCbor([...fields, await crypto.sign(seed, signedRegisterBytes(3, fields))])
}

/** What is signed: a domain of its own for each version, and the fields but the signature. */
export function signedRegisterBytes(version: keyof typeof valueDomains, fields: readonly CborValue[]): Uint8Array {
  return concat(domainPrefix(valueDomains[version]), encodeCbor([...fields]))
}

/** What follows the version in a value of version 1 or 3 that has `length` bytes. */
export function readFirstVersions(fields: FieldReader, version: 1 | 3, length: number): RegisterValue {
  if (length > most.valueBytes)
    throw new HoldfastError("ERR_LIMIT", `A register value of ${length} bytes is over the limit of ${most.valueBytes}.`)
  const publicKey = fields.bytes(32)
  const sequence = fields.integer(1)
  const previous = version === 1 ? fields.bytes(hashBytes) : undefined
  const value = {
    ...{ version, publicKey, sequence, epoch: 0 },
    sealed: fields.bytes(undefined, limits.registerContentBytes + 48),
    care: fields.bytes(undefined, most.careBytes + 48),
    lineage: previous
      ? lineageOfFirst(sequence, previous)
      : decodeLineage(sequence, fields.array(limits.lineageHashes)),
    signature: fields.bytes(64),
  }
  fields.end()
  return value
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
