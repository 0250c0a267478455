/** What every place decides alike: who may do what, which lists and register values it takes. Specification: docs/protocols/marks.md. */
import { concat, equal, HoldfastError, isHoldfastError, limits, toHex } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountId,
  type AccountRole,
  batchTokenBytes,
  type CallOptions,
  legacyAccount,
  type MarkOptions,
  parseRegisterValue,
  type RegisterValue,
  type SignedUnmark,
  whyRefused,
} from "@holdfast/protocol"

/** Nothing younger is ever taken away, whatever an operator or a client asks for. */
export const leastGraceMs = 3_600_000
/** What a place counts as young unless its operator says otherwise. */
export const usualGraceMs = 24 * 3_600_000
/**
 * A value is taken for a batch only so long after the place last heard of it, by its own stamps: well before anything of it can be
 * taken away. So a writer that slept between its marks and its value shows that to no place that marked something.
 */
const mostUnconfirmedMs = leastGraceMs / 2

/** Why a value is not taken for a batch of this state, at a stamp; undefined when it may be. */
export function whyUnheld(batch: { readonly isBroken: boolean; readonly stamp: number }, stamp: number) {
  if (batch.isBroken) return "Something that this command marked was collected since."
  return isUnheard(batch, stamp) ? "What this command marked was not confirmed lately." : undefined
}

/**
 * Whether a batch that marked something here was not heard of for too long, at a stamp. When it marks more it is broken: its writer slept
 * meanwhile, and what it marked elsewhere may be gone, although it is heard of again.
 */
export function isUnheard(batch: { readonly stamp: number }, stamp: number): boolean {
  return stamp - batch.stamp > mostUnconfirmedMs
}

/** What a share or a register value costs beside its bytes: its row and what indexes it. */
export const rowBytes = 160
/** What each mark costs: its row, and its part in those of its batch and account. */
export const markBytes = 128
/** What each command costs that marks something, until it is forgotten. */
export const batchBytes = 96

/** Of a limit: what removals may take beyond it, and the bounds of that. */
const removalPart = 1 / 16
const leastRemovalBytes = 2 ** 20
const mostRemovalBytes = 64 * 2 ** 20

/**
 * What requests that say that they serve a removal may store beyond a limit: to remove something, a commit stores a few
 * nodes and values first. Nothing checks what they say, so nobody has more of it for lying.
 */
export function removalReserve(limitBytes: number): number {
  return Math.min(mostRemovalBytes, Math.max(leastRemovalBytes, Math.floor(limitBytes * removalPart)))
}

/**
 * How much more values in place of others may take of what is kept for removals: who has used up the rest by removing must be able to
 * collect, which writes the account's list, and anybody to bring a value that few places have to the others.
 */
export const replacingFactor = 1.5

/** What is to be stored, as far as limits ask. */
export interface Purposes {
  readonly forRemoval?: boolean | undefined
  /** A value in place of another one. */
  readonly isReplacing?: boolean | undefined
}

/** Most bytes that may be stored under a limit. */
export function mostUnder(limitBytes: number, { forRemoval = false, isReplacing = false }: Purposes = {}): number {
  return forRemoval ? limitBytes + removalReserve(limitBytes) * (isReplacing ? replacingFactor : 1) : limitBytes
}

/** Why no more is stored under a limit. */
export function quotaUsedUp(limitBytes: number, what: string, forRemoval = false): string {
  const beside = forRemoval ? ` and the ${removalReserve(limitBytes)} beyond it that are for removals are` : " is"
  return `The quota of ${limitBytes} bytes${beside} used up: ${what}.`
}

/** A value with the sequence number it carries. */
export interface HeldValue {
  readonly sequence: number
  readonly bytes: Uint8Array
}

/** How a value fares against the one held. */
export type Judgement =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly current: Uint8Array; readonly message: string }

/**
 * Judges a correctly signed value against the one held: higher wins as far as it may follow, equal bytes are fine, all else is
 * refused. Specification: docs/formats/register.md, section What servers and readers do.
 */
export function judgeProposal(held: HeldValue | undefined, proposed: HeldValue): Judgement {
  if (held === undefined || equal(proposed.bytes, held.bytes)) return { accepted: true }
  const before = parsed(held.bytes)
  const message = before && whyRefused(before, parseRegisterValue(proposed.bytes))
  return message === undefined ? { accepted: true } : { accepted: false, current: held.bytes, message }
}

/** Undefined for what rotted on the disk: it stands in nobody's way. */
function parsed(bytes: Uint8Array): RegisterValue | undefined {
  try {
    return parseRegisterValue(bytes)
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

/** Throws ERR_INVALID_ARGUMENT unless `limit` is an acceptable page length. */
export function checkListLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.requestItems)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A listing takes a limit from 1 to ${limits.requestItems}.`, {
      limit,
    })
}

/** How long after it heard of a drop a place acts on it unless its operator says otherwise. */
export const usualDropGraceMs = 30 * 86_400_000

/** Throws ERR_REFUSED unless the caller has one of `roles`. */
export function checkRole({ roles }: AccountAccess, ...needed: readonly AccountRole[]): void {
  if (needed.some((role) => roles.includes(role))) return
  throw new HoldfastError(
    "ERR_REFUSED",
    `This needs the role ${needed.join(" or ")}; the caller's certificate and grant together give ${roles.join(", ") || "none"}. ${adviceFor(needed)}`,
    { needed, roles },
  )
}

/** What somebody does who lacks a role. */
function adviceFor(needed: readonly AccountRole[]): string {
  if (needed.includes("append"))
    return (
      "This profile may only read here. To name a tree that others keep: holdfast alias add NAME --local. To write, ask for an " +
      "invitation that may."
    )
  if (needed.includes("collect"))
    return "This profile may only add here, and take nothing away. Do it with a profile that may."
  return "Ask for an invitation that may."
}

/**
 * The accounts that something stored by the caller is held for: its own when it may append, and those it names.
 * Throws ERR_REFUSED, ERR_INVALID_ARGUMENT.
 */
export function accountsToMark(
  access: AccountAccess,
  options: Omit<MarkOptions, "batch" | keyof CallOptions>,
): AccountId[] {
  const named = options.accounts ?? []
  checkRole(access, "append", "repair")
  if (named.length > limits.careAccounts || named.some((id) => id.length !== 32 || equal(id, legacyAccount)))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `Shares are held for at most ${limits.careAccounts} other accounts.`,
    )
  const all = access.roles.includes("append") ? [access.account, ...named] : named
  if (all.length === 0)
    throw new HoldfastError(
      "ERR_REFUSED",
      "Who may repair but not append stores for the accounts it names, and named none.",
    )
  return [...new Map(all.map((id) => [toHex(id), id])).values()]
}

/** Throws ERR_INVALID_ARGUMENT unless it is a batch token. */
export function checkBatch(batch: Uint8Array): void {
  if (batch.length !== batchTokenBytes)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A batch token has ${batchTokenBytes} bytes.`)
}

/** What `collectToken` gives: the instance of the place (16 bytes) and a stamp, 8 bytes. */
export function encodeCollectToken(instance: Uint8Array, stamp: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(stamp))
  return concat(instance, bytes)
}

/** The stamp of a token that this instance of the place gave. Throws ERR_REFUSED for any other. */
export function checkToken(
  token: Uint8Array,
  place: { readonly instance: Uint8Array; readonly stamp: number },
): number {
  const stamp = token.length === 24 ? Number(new DataView(token.buffer, token.byteOffset).getBigUint64(16)) : -1
  if (equal(token.subarray(0, 16), place.instance) && stamp >= 0 && stamp <= place.stamp) return stamp
  throw new HoldfastError(
    "ERR_REFUSED",
    "This is refused: its token is not of this place since its last start. Begin again with a new one.",
  )
}

/** What an order to unmark may take: marks whose stamp is at most the token's and `graceMs` old. Throws ERR_REFUSED. */
export function takeable(
  { token, graceMs }: SignedUnmark,
  place: { readonly instance: Uint8Array; readonly stamp: number; readonly graceMs: number },
): (stamp: number) => boolean {
  const until = checkToken(token, place)
  const youngMs = Math.max(leastGraceMs, place.graceMs, graceMs)
  return (stamp) => stamp <= until && place.stamp - stamp >= youngMs
}

/** Shares smaller than this live in the index, larger ones in files. */
export const smallShareBytes = 64 * 1024
