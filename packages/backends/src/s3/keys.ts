/**
 * Names of objects in a bucket. Specification: docs/formats/bucket.md.
 * Shares sort by (chunk id, index, generation); the values of a register sort newest first; what is about to be retired sorts
 * before all marks of its account.
 */
import { fromHex, HoldfastError, toHex } from "@holdfast/core"
import type { AccountId, ChunkId, RegisterId } from "@holdfast/protocol"

/** What all shares begin with. */
export const sharesPrefix = "shares/"
/** What all marks begin with. */
export const marksPrefix = "marks/"
/** What all values of registers begin with. */
export const registersPrefix = "registers/"
/** What stops writers begins with it: epochs and what is condemned. */
export const fencePrefix = "fence/"

/** One object that holds a share. A share that was condemned is stored again under a higher generation, never the same key. */
export interface ShareKey {
  readonly id: ChunkId
  readonly index: number
  readonly generation: number
}

const mostGenerations = 999_999
const mostNumber = 99_999_999_999_999

/** The key of a share. */
export function shareKey(id: ChunkId, index: number, generation = 0): string {
  const plain = `${chunkPrefix(id)}${String(index).padStart(3, "0")}`
  if (generation === 0) return plain
  if (generation > mostGenerations) throw exhausted(plain)
  return `${plain}.${String(generation).padStart(6, "0")}`
}

/** What the keys of all shares of a chunk begin with. */
export function chunkPrefix(id: ChunkId): string {
  return `${sharesPrefix}${toHex(id)}.`
}

/** The share that a key names; undefined when it is none of ours. */
export function parseShareKey(key: string): ShareKey | undefined {
  const match = /^shares\/([0-9a-f]{64})\.([0-9]{3})(?:\.([0-9]{6}))?$/.exec(key)
  if (!match || Number(match[2]) > 254 || match[3] === "000000") return undefined
  return { id: fromHex(match[1]!), index: Number(match[2]), generation: Number(match[3] ?? 0) }
}

/** The key of a register's value: numbers count down, so that the newest comes first in a list. */
export function registerKey(id: RegisterId, sequence: number): string {
  return `${registerPrefix(id)}${(Number.MAX_SAFE_INTEGER - sequence).toString(16).padStart(14, "0")}`
}

/** What the keys of all values of a register begin with. */
export function registerPrefix(id: RegisterId): string {
  return `${registersPrefix}${toHex(id)}/`
}

/** The value of a register that a key names; undefined when it is none of ours. */
export function parseRegisterKey(key: string): { id: RegisterId; sequence: number } | undefined {
  const match = /^registers\/([0-9a-f]{64})\/([01][0-9a-f]{13})$/.exec(key)
  return match
    ? { id: fromHex(match[1]!), sequence: Number.MAX_SAFE_INTEGER - Number.parseInt(match[2]!, 16) }
    : undefined
}

/** What the keys of all marks of an account begin with. */
export function accountPrefix(account: AccountId): string {
  return `${marksPrefix}${toHex(account)}/`
}

/** The name of a mark object in its account's part: a number that grows, and 8 random bytes. */
export function markName(number: number, random: Uint8Array): string {
  if (number > mostNumber) throw exhausted("marks")
  return `${String(number).padStart(14, "0")}-${toHex(random)}`
}

/** The number in a mark object's name; undefined when it is no such name. */
export function numberOf(name: string): number | undefined {
  return /^[0-9]{14}-[0-9a-f]{16}$/.test(name) ? Number(name.slice(0, 14)) : undefined
}

/** The key that says which mark objects a collection is about to drop. */
export function retireKey(account: AccountId, token: Uint8Array): string {
  return `${accountPrefix(account)}!retire-${toHex(token)}`
}

/** The key that says that an account is dropped. */
export function dropKey(account: AccountId): string {
  return `${accountPrefix(account)}!dropped`
}

/** What a key under `marks/` stands for: a mark object, the word that some go, or that the account is dropped. */
export type MarkKey = { readonly account: AccountId } & (
  | { readonly name: string }
  | { readonly retires: string }
  | { readonly drops: true }
)

/** A key under `marks/`; undefined when it is none of ours. */
export function parseMarkKey(key: string): MarkKey | undefined {
  const match = /^marks\/([0-9a-f]{64})\/(?:([0-9]{14}-[0-9a-f]{16})|!retire-([0-9a-f]{32})|!dropped)$/.exec(key)
  if (!match) return undefined
  const account = fromHex(match[1]!)
  if (match[2] !== undefined) return { account, name: match[2] }
  return match[3] === undefined ? { account, drops: true } : { account, retires: match[3] }
}

/** The key of a list of what is about to be deleted. */
export function condemnedKey(name: string): string {
  return `${fencePrefix}condemned-${name}`
}

/** The key that says since when all that a list condemned is deleted. */
export function sweptKey(name: string): string {
  return `${fencePrefix}swept-${name}`
}

/** What a key under `fence/` says; undefined when it is none of ours. */
export function parseFenceKey(
  key: string,
): { kind: "condemned" | "swept"; name: string } | { epoch: number } | undefined {
  const match = /^fence\/(?:(condemned|swept)-([0-9a-f]{16})|epoch-([0-9]{1,15}))$/.exec(key)
  if (!match) return undefined
  return match[1] === undefined ? { epoch: Number(match[3]) } : { kind: match[1] as "swept", name: match[2]! }
}

function exhausted(what: string): HoldfastError {
  return new HoldfastError(
    "ERR_LIMIT",
    `The numbers of ${what} in the bucket are used up. Somebody has tampered with it.`,
  )
}
