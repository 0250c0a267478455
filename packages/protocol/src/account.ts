/**
 * Accounts: for whom a place holds shares, and who may take marks away. Specification: docs/formats/account.md.
 * An account is an Ed25519 key pair, the collect key; devices show a grant signed by it, and only it signs orders to unmark.
 */
import { concat, domainPrefix, encodeCbor, hashSmall } from "@holdfast/core"
import type { RegisterId } from "./backend.ts"
import type { ChunkId } from "./chunk.ts"

/** Hash that names an account: 32 bytes. */
export type AccountId = Uint8Array & { readonly __id?: "account" }

/** What a device may do with an account's data at a place. */
export type AccountRole = "read" | "append" | "repair" | "collect"

/** Holds what was stored before there were accounts: nobody can unmark it, an administrator may drop it. */
export const legacyAccount: AccountId = new Uint8Array(32)

/** The account whose collect key is `publicKey`. */
export function accountIdOf(publicKey: Uint8Array): AccountId {
  return hashSmall("holdfast/account-id/1", publicKey)
}

/** An account's order to take marks of its own away at one place. */
export interface UnmarkOrder {
  /** The account's collect key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** `Backend.id` of the place. */
  readonly place: string
  /** From `collectToken` of this place: nothing marked after it goes. */
  readonly token: Uint8Array
  /** Marks younger than this stay; a place never takes less than its own minimum for it. */
  readonly graceMs: number
  /** Chunks all of whose shares here lose the account's marks, ascending. */
  readonly chunks: readonly ChunkId[]
  /** Registers that the account no longer needs, ascending. */
  readonly registers: readonly RegisterId[]
  /** Values kept behind the newest that are no longer needed: those of lower sequences than this one. */
  readonly trims: readonly { readonly register: RegisterId; readonly below: number }[]
}

/** An order with its signature, 64 bytes, by the collect key over `unmarkBytes`. */
export interface SignedUnmark extends UnmarkOrder {
  readonly signature: Uint8Array
}

/** What the collect key signs of an order. */
export function unmarkBytes({ publicKey, place, token, graceMs, chunks, registers, trims }: UnmarkOrder): Uint8Array {
  const kept = trims.map(({ register, below }) => [register, below])
  const lists = encodeCbor([concat(...chunks), concat(...registers), kept])
  const fields = [publicKey, place, token, graceMs, hashSmall("holdfast/unmark-list/1", lists)]
  return concat(domainPrefix("holdfast/unmark/1"), encodeCbor(fields))
}
