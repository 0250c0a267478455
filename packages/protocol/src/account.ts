/**
 * Accounts: for whom a place holds shares, and who may take marks away. Specification: docs/formats/account.md.
 * An account is an Ed25519 key pair, the collect key; devices show a grant signed by it, and only it signs orders to unmark.
 */
import {
  type CryptoProvider,
  compare,
  concat,
  domainPrefix,
  encodeCbor,
  equal,
  HoldfastError,
  hashSmall,
} from "@holdfast/core"
import type { AccountId, ChunkId, RegisterId } from "./ids.ts"

/** What a device may do with an account's data at a place. */
export type AccountRole = "read" | "append" | "repair" | "collect"

/** All roles, in the order of their bits in a grant. */
export const accountRoles: readonly AccountRole[] = ["read", "append", "repair", "collect"]

/** Who calls a place and what it may do there. */
export interface AccountAccess {
  readonly account: AccountId
  readonly roles: readonly AccountRole[]
}

/** Holds what was stored before there were accounts: nobody can unmark it, an administrator may drop it. */
export const legacyAccount: AccountId = new Uint8Array(32)

/** Who shows no grant: may read what it knows the id of, and is nobody's. */
export const readerAccess: AccountAccess = { account: legacyAccount, roles: ["read"] }

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

/** Signs an order with the seed of the collect key; sorts its lists. */
export async function signUnmark(
  crypto: CryptoProvider,
  seed: Uint8Array,
  order: Omit<UnmarkOrder, "publicKey">,
): Promise<SignedUnmark> {
  const sorted = {
    ...order,
    publicKey: await crypto.publicKeyOf(seed),
    chunks: order.chunks.toSorted(compare),
    registers: order.registers.toSorted(compare),
    trims: order.trims.toSorted((a, b) => compare(a.register, b.register)),
  }
  return { ...sorted, signature: await crypto.sign(seed, unmarkBytes(sorted)) }
}

/**
 * Throws ERR_REFUSED unless `order` is one of `account` for `place`, well formed and signed by its collect key. That its token is
 * good is for the place to say.
 */
export async function checkUnmark(
  crypto: CryptoProvider,
  order: SignedUnmark,
  { account, place }: { readonly account: AccountId; readonly place: string },
): Promise<void> {
  const trimmed = order.trims.map(({ register }) => register)
  if (!equal(accountIdOf(order.publicKey), account)) throw refused("it is another account's")
  if (order.place !== place) throw refused(`it is for ${JSON.stringify(order.place)}`)
  if (![order.chunks, order.registers, trimmed].every(isAscending)) throw refused("its lists are not in order")
  if (!(await crypto.verify(order.publicKey, unmarkBytes(order), order.signature)))
    throw refused("its signature is wrong")
}

function isAscending(ids: readonly Uint8Array[]): boolean {
  return ids.every((id, i) => i === 0 || compare(ids[i - 1]!, id) < 0)
}

function refused(why: string): HoldfastError {
  return new HoldfastError("ERR_REFUSED", `This order to unmark is refused: ${why}.`)
}
