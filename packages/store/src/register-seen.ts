/**
 * What a client remembers of registers, so that no set of servers can show it an older value or another history.
 * Specification: docs/formats/register.md, section What a client remembers.
 */
import { type CryptoProvider, equal, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { mayFollow, registerIdOf } from "@holdfast/protocol"
import { decodeHeld, type HeldValue } from "./register-quorum.ts"

/** What was seen of one register. */
export interface Seen {
  /** The highest sequence number that was read or written with a quorum. */
  readonly sequence: number
  /** The last encoded value that a quorum is known to hold: no other of its sequence can be acknowledged. */
  readonly stable?: Uint8Array
}

/** What was seen of each register, kept on disk by the caller. Ids are in hexadecimal. */
export interface SeenStore {
  get(registerId: string): Seen | undefined
  set(registerId: string, seen: Seen): void
}

/** A signed value as evidence; it is ciphertext, so it may be shown to anybody. Hash and value are hexadecimal. */
export interface SignedEvidence {
  readonly sequence: number
  readonly hash: string
  readonly value: string
}

/** Servers offer an older value of a register than one seen before, or one of another history. */
export interface Rollback {
  /** In hexadecimal. */
  readonly register: string
  readonly offered: number
  readonly seen: number
  /** Of a fork: the value seen before, and the one offered that cannot stand beside it. */
  readonly evidence?: readonly [SignedEvidence, SignedEvidence]
}

/** A memory that lasts as long as the process. */
export function createMemorySeen(): SeenStore {
  const seen = new Map<string, Seen>()
  return { get: (id) => seen.get(id), set: (id, newest) => void seen.set(id, newest) }
}

/** Compares what servers offer with what was seen. */
export class SeenGuard {
  readonly #crypto: CryptoProvider
  readonly #store: SeenStore
  readonly #stable = new Map<string, HeldValue>() // the last stable value decoded, by register

  constructor(crypto: CryptoProvider, store: SeenStore) {
    this.#crypto = crypto
    this.#store = store
  }

  /** What is wrong with `values`, all of one sequence; `stable` is the one of them that a quorum holds. */
  async judge(
    register: string,
    values: readonly HeldValue[],
    stable: HeldValue | undefined,
  ): Promise<Rollback | undefined> {
    const seen = this.#store.get(register)
    if (!seen) return undefined
    const offered = values[0]?.value.sequence ?? 0
    const rollback = { register, offered, seen: seen.sequence }
    if (offered < seen.sequence) return rollback
    const known = await this.#known(register, seen)
    const other = known && conflictOf(known, values, stable)
    return other && { ...rollback, evidence: [evidenceOf(known), evidenceOf(other)] }
  }

  /** Remembers that values with `sequence` were read or written; `stable` when a quorum holds that one. */
  note(register: string, sequence: number, stable: HeldValue | undefined): void {
    const before = this.#store.get(register)
    const known = this.#stable.get(register)
    const isNewer = stable && (!known || known.value.sequence < stable.value.sequence)
    if (isNewer) this.#stable.set(register, stable)
    if (!isNewer && before && before.sequence >= sequence) return
    const kept = isNewer ? stable.bytes : before?.stable
    this.#store.set(register, { sequence: Math.max(sequence, before?.sequence ?? 0), ...(kept && { stable: kept }) })
  }

  /** The one of `values` that is known to be acknowledged before the others. */
  knownFirst(register: string, values: readonly HeldValue[]): readonly HeldValue[] {
    const known = this.#stable.get(register)
    const isKnown = ({ hash }: HeldValue) => hash === known?.hash
    return [...values.filter(isKnown), ...values.filter((value) => !isKnown(value))]
  }

  async #known(register: string, { stable }: Seen): Promise<HeldValue | undefined> {
    if (!stable) return undefined
    const cached = this.#stable.get(register)
    if (cached && equal(cached.bytes, stable)) return cached
    const known = await decodeStable(this.#crypto, register, stable)
    this.#stable.set(register, known)
    return known
  }
}

/**
 * What two devices saw of one register, as one memory. Throws ERR_FORK when they were shown different histories,
 * ERR_BAD_FORMAT when one of the values is not of this register.
 */
export async function mergeSeen(crypto: CryptoProvider, register: string, a: Seen, b: Seen): Promise<Seen> {
  const sequence = Math.max(a.sequence, b.sequence)
  const values = await Promise.all(
    [a, b].flatMap(({ stable }) => (stable ? [decodeStable(crypto, register, stable)] : [])),
  )
  const [older, newer] = values.sort((x, y) => x.value.sequence - y.value.sequence)
  if (older && newer && conflictOf(older, [newer], newer))
    throw rollbackError({
      register,
      offered: newer.value.sequence,
      seen: older.value.sequence,
      evidence: [evidenceOf(older), evidenceOf(newer)],
    })
  const stable = newer ?? older
  return { sequence, ...(stable && { stable: stable.bytes }) }
}

/**
 * The one of `values` that cannot stand beside `known` while no more servers lie than may. Of the sequence of `known`
 * there are at most siblings that no quorum holds, and it is among them; what comes next follows it. See the decision
 * docs/decisions/0006-linearizable-reads-and-forks.md for why honest servers never come here.
 */
function conflictOf(
  known: HeldValue,
  values: readonly HeldValue[],
  stable: HeldValue | undefined,
): HeldValue | undefined {
  const sequence = values[0]?.value.sequence
  if (sequence === known.value.sequence) {
    if (stable && stable.hash !== known.hash) return stable
    return values.some(({ hash }) => hash === known.hash) ? undefined : values[0]
  }
  return values.find(({ value }) => !mayFollow(value, known.value.sequence, fromHex(known.hash)))
}

async function decodeStable(crypto: CryptoProvider, register: string, bytes: Uint8Array): Promise<HeldValue> {
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

function evidenceOf({ bytes, hash, value }: HeldValue): SignedEvidence {
  return { sequence: value.sequence, hash, value: toHex(bytes) }
}

/** The error for what a rollback or fork forbids. */
export function rollbackError(rollback: Rollback): HoldfastError {
  const { offered, seen, evidence } = rollback
  if (!evidence)
    return new HoldfastError(
      "ERR_ROLLBACK",
      `The servers offer version ${offered} of this tree, but version ${seen} was seen here before. ` +
        "They may have been restored from an old copy, or someone is hiding newer data. Ask the operator; " +
        "to accept the older version for reading only, use --accept-rollback; to go on from it for good, `holdfast seen forget`.",
      { ...rollback },
    )
  const [known, other] = evidence
  return new HoldfastError(
    "ERR_FORK",
    `The servers show two histories of this tree: version ${other.sequence} (${other.hash.slice(0, 16)}) ` +
      `${other.sequence === known.sequence ? "is another one than" : "does not follow"} version ${known.sequence} ` +
      `(${known.hash.slice(0, 16)}) that they acknowledged before. They show different data to different people, or were ` +
      "restored from an old copy and written since. Nothing was merged or changed. Ask the operator: the error's details " +
      "(--json) hold both signed values as evidence; they are encrypted and may be handed on. " +
      "To read what the servers offer now, without writing, use --accept-rollback; to go on from it for good, `holdfast seen forget`.",
    { ...rollback },
  )
}
