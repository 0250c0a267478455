/** interop/vectors/register-4.json: register values of version 4, and proofs of their ancestry. */
import { type CryptoProvider, type ErrorCode, fromHex, toHex } from "@holdfast/core"
import {
  ancestryOf,
  decodeRegisterValue,
  readCheckOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
} from "../register.ts"
import { provesLevel } from "../register-ancestry.ts"

/** Register values of version 4. Bytes are hexadecimal. */
export interface BoundVectors {
  readonly good: readonly BoundVector[]
  /** Whether `path` proves that `level` is the one with number `sequence` of the value with this hash. */
  readonly proofs: readonly {
    readonly value: string
    readonly sequence: number
    readonly level: readonly string[]
    readonly path: readonly string[]
    readonly holds: boolean
  }[]
  readonly bad: readonly { readonly name: string; readonly bytes: string; readonly error: ErrorCode }[]
}

/** One value, with each step between. */
export interface BoundVector {
  readonly name: string
  readonly seed: string
  readonly publicKey: string
  readonly readKey: string
  readonly verifyKey: string
  readonly id: string
  readonly epoch: number
  readonly sequence: number
  readonly follows: readonly string[]
  readonly base: number
  readonly peaks: readonly string[]
  readonly owner: string
  readonly statement: string
  readonly readCheck: string
  /** What is sealed: CBOR of the content, its author, and those before. */
  readonly sealedContent: string
  readonly content: string
  readonly author: { readonly device: string; readonly account: string; readonly name: string } | null
  /** What is sealed as care: CBOR of where the levels lie, and of the care list. */
  readonly sealedCare: string
  readonly careContent: string
  readonly value: string
  readonly hash: string
}

/** Throws unless every vector decodes, verifies, signs and proves as it says. */
export async function checkBoundVectors(crypto: CryptoProvider, vectors: BoundVectors): Promise<void> {
  const values = new Map<string, Awaited<ReturnType<typeof decodeRegisterValue>>>()
  for (const vector of vectors.good) {
    const bytes = fromHex(vector.value)
    const value = await decodeRegisterValue(crypto, bytes)
    const { publicKey, epoch, sequence, bound } = value
    const found = {
      ...{ publicKey: toHex(publicKey), id: toHex(registerIdOf(publicKey)), epoch, sequence },
      ...{ follows: bound!.follows.map(toHex), base: bound!.base, peaks: bound!.peaks.map(toHex) },
      ...{ owner: toHex(bound!.owner), statement: toHex(bound!.statement), readCheck: toHex(bound!.readCheck) },
      hash: toHex(registerHashOf(bytes)),
    }
    for (const [field, now] of Object.entries(found))
      same(JSON.stringify(now), JSON.stringify(vector[field as keyof typeof found]), `${vector.name}: ${field}`)
    same(toHex(readCheckOf(fromHex(vector.verifyKey))), vector.readCheck, `${vector.name}: read check`)
    const signed = await signBoundValue(crypto, fromHex(vector.seed), { ...value, ...bound! })
    same(toHex(signed), vector.value, `${vector.name}: signed again`)
    values.set(vector.hash, value)
  }
  for (const [i, { value: hash, sequence, level, path, holds }] of vectors.proofs.entries()) {
    const value = values.get(hash)!
    const proof = { level: level.map(fromHex), path: path.map(fromHex) }
    same(String(provesLevel(ancestryOf(value, value.bound!), sequence, proof)), String(holds), `proof ${i}`)
  }
  for (const { name, bytes, error } of vectors.bad) {
    const found = await decodeRegisterValue(crypto, fromHex(bytes)).then(
      () => "taken for good",
      (cause: { code?: string }) => String(cause.code),
    )
    same(found, error, name)
  }
}

function same(actual: string, expected: string, what: string): void {
  if (actual !== expected) throw new Error(`vector ${what}: got ${actual} instead of ${expected}`)
}
