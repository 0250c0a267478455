/**
 * Compares what servers offer of a register with what was seen: an older value is a rollback; another value in the place of one
 * that was acknowledged is a fork; and what is not proven to go on from it is not taken. Decisions 0006 and 0011 say why honest servers
 * never come here.
 */
import { type CryptoProvider, equal, fromHex } from "@holdfast/core"
import { compareOrder, namesAncestor, statementOf } from "@holdfast/protocol"
import { findLevel, type History, type LevelReader } from "./register-levels.ts"
import type { HeldValue } from "./register-quorum.ts"
import { evidenceOf, type Rollback } from "./register-rollback.ts"
import {
  type AcceptedHistory,
  knownValues,
  mergeSeen,
  orderOf,
  type Seen,
  type SeenStore,
  sameSeen,
} from "./register-seen.ts"

/** How a later value stands to a known one. */
type Relation = "follows" | "fork" | "unproven"

/** What a guard stands on. */
export interface GuardDeps {
  readonly crypto: CryptoProvider
  readonly seen: SeenStore
  readonly chunks: LevelReader
}

/** Opens the history that a value carries; undefined when it has none. */
export type OpenHistory = (held: HeldValue) => Promise<History | undefined>

/** What is judged: values of one order, and the one of them that a quorum holds. */
export interface Offer {
  /**
   * What was remembered before servers were asked, or later as far as it comes before what they answered. What another command of the
   * profile has written and remembered since, an honest answer need not have.
   */
  readonly seen: Seen | undefined
  readonly values: readonly HeldValue[]
  readonly stable: HeldValue | undefined
  readonly openHistory: OpenHistory
}

/** What an offer is worth. */
export interface Verdict {
  /** What is wrong with it. */
  readonly rollback?: Rollback
  /** Hashes of the known values that all values of the offer follow, or that the user may go on from though nothing proves it. */
  readonly followed: ReadonlySet<string>
}

/** How values are remembered. */
export interface NoteOptions {
  /** Hashes of known values that the noted one follows: they need not be remembered beside it. Of no other value is that known. */
  readonly followed: ReadonlySet<string>
  readonly accepted?: AcceptedHistory | undefined
}

const maxRelations = 1000
const nothing: ReadonlySet<string> = new Set()

/** Remembers, and compares with what is remembered. */
export class SeenGuard {
  readonly #deps: GuardDeps
  readonly #relations = new Map<string, Relation>() // by both hashes
  readonly #known = new Map<string, readonly HeldValue[]>() // decoded, by register

  constructor(deps: GuardDeps) {
    this.#deps = deps
  }

  /** What is remembered of a register now. */
  seen(register: string): Promise<Seen | undefined> {
    return this.#deps.seen.get(register)
  }

  /** What is wrong with the offer, and what it follows. */
  async judge(register: string, { seen, values, stable, openHistory }: Offer): Promise<Verdict> {
    if (!seen) return { followed: nothing }
    const [first] = values
    const offered = first?.value.sequence ?? 0
    const rollback = { register, offered, seen: seen.sequence }
    if (!first || compareOrder(first.value, orderOf(seen)) < 0) return { rollback, followed: nothing }
    let unproven: Rollback | undefined
    const all = await this.#knownOf(register, seen)
    for (const known of all) {
      const other = forkBeside(known, values, stable)
      if (other)
        return { rollback: { ...rollback, evidence: [evidenceOf(known), evidenceOf(other)] }, followed: nothing }
      for (const held of values) {
        const relation = await this.#relate(known, held, openHistory)
        if (relation === "follows") continue
        const evidence = [evidenceOf(known), evidenceOf(held)] as const
        if (relation === "fork") return { rollback: { ...rollback, evidence }, followed: nothing }
        if (relation === "unproven") unproven ??= { ...rollback, evidence, unproven: true }
      }
    }
    return { ...(unproven && { rollback: unproven }), followed: new Set(all.map(({ hash }) => hash)) }
  }

  /**
   * Remembers that values like `held` were read or written; `stable` when a quorum holds that one. It was judged to be in order (or
   * the user said so), or follows what was. On disk when this resolves.
   */
  async note(
    register: string,
    { value }: HeldValue,
    stable: HeldValue | undefined,
    { followed, accepted }: NoteOptions,
  ): Promise<void> {
    const { crypto, seen } = this.#deps
    const before = await seen.get(register)
    const mine: Seen = {
      ...(value.epoch > 0 && { epoch: value.epoch }),
      sequence: value.sequence,
      ...(stable && { stable: stable.bytes }),
      ...(accepted && { accepted: [accepted] }),
    }
    const merged = (held: Seen | undefined) =>
      mergeSeen(crypto, register, held ?? { sequence: 0 }, mine, stable ? followed : undefined)
    if (before && sameSeen(before, await merged(before))) return
    await seen.update(register, merged)
  }

  /** The one of `values` that is known to be acknowledged before the others. */
  async knownFirst(register: string, values: readonly HeldValue[]): Promise<readonly HeldValue[]> {
    const known = await this.#knownOf(register, await this.#deps.seen.get(register))
    const isKnown = ({ hash }: HeldValue) => known.some((one) => one.hash === hash)
    return [...values.filter(isKnown), ...values.filter((value) => !isKnown(value))]
  }

  /** The values that are known to be held by a quorum, the newest first. */
  async knownOf(register: string): Promise<readonly HeldValue[]> {
    return this.#knownOf(register, await this.#deps.seen.get(register))
  }

  async #knownOf(register: string, seen: Seen | undefined): Promise<readonly HeldValue[]> {
    const cached = this.#known.get(register)
    const all = [...(seen?.stable ? [seen.stable] : []), ...(seen?.others ?? [])]
    if (cached && cached.length === all.length && cached.every(({ bytes }, i) => equal(bytes, all[i]!))) return cached
    const known = await knownValues(this.#deps.crypto, register, seen)
    this.#known.set(register, known)
    return known
  }

  async #relate(known: HeldValue, held: HeldValue, openHistory: OpenHistory): Promise<Relation> {
    if (compareOrder(known.value, held.value) === 0) return "follows" // judged by forkBeside
    const name = `${known.hash} ${held.hash}`
    const before = this.#relations.get(name)
    if (before) return before
    const relation = await this.#relationOf(known, held, openHistory)
    if (this.#relations.size >= maxRelations) this.#relations.clear()
    if (relation !== "unproven") this.#relations.set(name, relation)
    return relation
  }

  async #relationOf(known: HeldValue, held: HeldValue, openHistory: OpenHistory): Promise<Relation> {
    const [from, to] = [known.value, held.value]
    const hash = fromHex(known.hash)
    if (to.epoch === from.epoch && isBoundOtherwise(known, held)) return "fork"
    if (to.epoch > from.epoch) {
      const [owner, theirs] = [from.bound?.owner, to.bound!.owner]
      if (!owner || !equal(owner, theirs)) return "unproven" // an epoch has an owner, whose key is not empty
      // What the owner left out when it began the epoch is left out by its word.
      if (from.sequence >= statementOf(to)!.sequence) return "follows"
    }
    // An epoch in between, whose statement is not shown, may have left it out by the owner's word as well.
    const otherwise = to.epoch > from.epoch + 1 ? "unproven" : "fork"
    const names = namesAncestor(to, from.sequence, hash)
    if (names !== undefined) return names ? "follows" : otherwise
    const history = await openHistory(held)
    const proof = history && (await findLevel(this.#deps.chunks, history, from.sequence))
    if (!proof) return "unproven"
    return proof.level.some((one) => equal(one, hash)) ? "follows" : otherwise
  }
}

/**
 * The one of `values` that cannot stand beside `known`, which has their sequence, while no more servers lie than may: there are at
 * most siblings that no quorum holds, and it is among them.
 */
function forkBeside(
  known: HeldValue,
  values: readonly HeldValue[],
  stable: HeldValue | undefined,
): HeldValue | undefined {
  const [first] = values
  if (!first || compareOrder(first.value, known.value) !== 0) return undefined
  if (stable && stable.hash !== known.hash) return stable
  return values.some(({ hash }) => hash === known.hash) ? undefined : first
}

/** True when `held` is of an older version than `known`, of another owner, or for another read key: no place takes that. */
function isBoundOtherwise(known: HeldValue, held: HeldValue): boolean {
  const [before, after] = [known.value.bound, held.value.bound]
  if (!before) return false
  if (!after || !equal(before.readCheck, after.readCheck)) return true
  return before.owner.length > 0 && !equal(before.owner, after.owner)
}
