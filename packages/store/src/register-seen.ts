/**
 * What a client remembers of registers, so that no set of servers can show it an older value or another history.
 * Specification: docs/formats/register.md, section What a client remembers.
 */
import { type CryptoProvider, equal, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { compareOrder, namesAncestor, registerIdOf } from "@holdfast/protocol"
import { decodeHeld, type HeldValue } from "./register-quorum.ts"
import { evidenceOf, rollbackError } from "./register-rollback.ts"

/** What was seen of one register. */
export interface Seen {
  /** The epoch of what follows; 0 when absent. */
  readonly epoch?: number
  /** The highest sequence number that was read or written with a quorum. */
  readonly sequence: number
  /** The last encoded value that a quorum is known to hold: no other of its sequence can be acknowledged. */
  readonly stable?: Uint8Array
  /** Older ones that others saw at the same time: it is not proven yet that `stable` goes on from them. */
  readonly others?: readonly Uint8Array[]
  /** Where the user went on although that was not proven, newest first. */
  readonly accepted?: readonly AcceptedHistory[]
}

/** A step that the user took: hashes are hexadecimal. */
export interface AcceptedHistory {
  readonly timeMs: number
  readonly from: { readonly sequence: number; readonly hash: string }
  readonly to: { readonly sequence: number; readonly hash: string }
}

/** What was seen of each register, kept on disk by the caller. Ids are in hexadecimal. */
export interface SeenStore {
  get(registerId: string): Promise<Seen | undefined>
  /**
   * Replaces what was seen by what `change` makes of it, while nobody else does; on disk when this resolves. Throws what
   * `change` throws, and an error for people when it cannot be written.
   */
  update(registerId: string, change: (before: Seen | undefined) => Promise<Seen>): Promise<void>
}

/** Most values remembered that are not proven yet; more come together only when nothing is read for long. */
const maxOthers = 64
const maxAccepted = 16

/** A memory that lasts as long as the process. */
export function createMemorySeen(): SeenStore {
  const seen = new Map<string, Seen>()
  let last: Promise<unknown> = Promise.resolve()
  return {
    get: async (id) => seen.get(id),
    update(id, change) {
      const work = last.then(async () => void seen.set(id, await change(seen.get(id))))
      last = work.catch(() => undefined)
      return work
    },
  }
}

/** Remembers nothing: for who looks at one moment alone. */
export const forgetfulSeen: SeenStore = {
  get: async () => undefined,
  update: async (_, change) => void (await change(undefined)),
}

/** The values that are known to be held by a quorum, the newest first. Throws ERR_BAD_FORMAT. */
export function knownValues(crypto: CryptoProvider, register: string, seen: Seen | undefined): Promise<HeldValue[]> {
  const all = [...(seen?.stable ? [seen.stable] : []), ...(seen?.others ?? [])]
  return Promise.all(all.map((bytes) => decodeKnown(crypto, register, bytes)))
}

/**
 * What two devices saw of one register, as one memory. Where it takes more than both values to tell whether one follows the other,
 * both are remembered, and the next read proves itself against both. Values with a hash in `proven` are known to be followed by
 * that of `b`. Throws ERR_FORK when they were shown different histories, ERR_BAD_FORMAT when one of the values is not of this register.
 */
export async function mergeSeen(
  crypto: CryptoProvider,
  register: string,
  a: Seen,
  b: Seen,
  proven: ReadonlySet<string> = new Set(),
): Promise<Seen> {
  const ofB = await knownValues(crypto, register, b)
  const isProven = ({ hash }: HeldValue) => proven.has(hash) && ofB.every((value) => value.hash !== hash)
  const values = [...ofB, ...(await knownValues(crypto, register, a)).filter((value) => !isProven(value))]
    .filter((value, i, all) => all.findIndex(({ hash }) => hash === value.hash) === i)
    .sort((x, y) => compareOrder(y.value, x.value))
  const kept = values.filter((older, i) => !values.slice(0, i).some((newer) => isFollowedBy(register, older, newer)))
  if (kept.length > maxOthers + 1)
    throw new HoldfastError(
      "ERR_LIMIT",
      `More than ${maxOthers} versions of register ${register} were seen that are not proven to be of one history. ` +
        "Read the tree once while its servers can be reached.",
    )
  const [stable, ...others] = kept.map(({ bytes }) => bytes)
  const newest = [a, b, ...values.map(({ value }) => value)].reduce((x, y) =>
    compareOrder(orderOf(y), orderOf(x)) > 0 ? y : x,
  )
  return {
    ...((newest.epoch ?? 0) > 0 && { epoch: newest.epoch! }),
    sequence: newest.sequence,
    ...(stable && { stable }),
    ...(others.length > 0 && { others }),
    ...acceptedOf(a, b),
  }
}

/** Where what was seen stands in the order of values. */
export function orderOf({ epoch = 0, sequence }: { readonly epoch?: number; readonly sequence: number }) {
  return { epoch, sequence }
}

/** True when `newer` names `older` as followed, false when it takes more to tell. Throws ERR_FORK when it names others. */
function isFollowedBy(register: string, older: HeldValue, newer: HeldValue): boolean {
  const names =
    compareOrder(older.value, newer.value) === 0
      ? false
      : older.value.epoch === newer.value.epoch
        ? namesAncestor(newer.value, older.value.sequence, fromHex(older.hash))
        : undefined
  if (names === false)
    throw rollbackError({
      register,
      offered: newer.value.sequence,
      seen: older.value.sequence,
      evidence: [evidenceOf(older), evidenceOf(newer)],
    })
  return names === true
}

function acceptedOf(a: Seen, b: Seen): Pick<Seen, "accepted"> {
  const all = [...(b.accepted ?? []), ...(a.accepted ?? [])]
  const steps = all.filter(({ to }, i) => all.findIndex((other) => other.to.hash === to.hash) === i)
  const accepted = steps.sort((x, y) => y.timeMs - x.timeMs).slice(0, maxAccepted)
  return accepted.length > 0 ? { accepted } : {}
}

async function decodeKnown(crypto: CryptoProvider, register: string, bytes: Uint8Array): Promise<HeldValue> {
  try {
    const held = await decodeHeld(crypto, bytes)
    if (toHex(registerIdOf(held.value.publicKey)) === register) return held
  } catch (cause) {
    throw damaged(register, { cause })
  }
  throw damaged(register)
}

function damaged(register: string, options?: ErrorOptions): HoldfastError {
  return new HoldfastError(
    "ERR_BAD_FORMAT",
    `What was remembered of register ${register} is damaged. ` +
      `Forget it with \`holdfast seen forget ${register}\`, and import it from another device if there is one.`,
    { register },
    options,
  )
}

/** True when both remember the same. */
export function sameSeen(a: Seen, b: Seen): boolean {
  const sameBytes = (x: Uint8Array | undefined, y: Uint8Array | undefined) => (x && y ? equal(x, y) : x === y)
  const [others, theirs] = [a.others ?? [], b.others ?? []]
  return (
    compareOrder(orderOf(a), orderOf(b)) === 0 &&
    sameBytes(a.stable, b.stable) &&
    others.length === theirs.length &&
    others.every((bytes, i) => equal(bytes, theirs[i]!)) &&
    a.accepted?.length === b.accepted?.length
  )
}
