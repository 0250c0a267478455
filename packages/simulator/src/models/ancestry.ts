/**
 * Ancestry by a Merkle mountain range. Level i of a register's history is the list of values with sequence i that the value i + 1
 * of the spine follows; each value carries the peaks over all levels before it. Not explored but drawn: histories of racing and
 * dying writers over three servers, from a fixed seed. Every value that a quorum once held must be proven for each later
 * value, and no other branch, however long, for any.
 */
import { Random } from "../random.ts"
import { asTheyAre, type ModelCase } from "./case.ts"
import type { Exploration } from "./explore.ts"
import { follows, type HistoryValue, nextValue, type Proof, prove } from "./mountain-range.ts"

interface AncestryRules {
  /** A sequence counts as read when a quorum holds it; otherwise when one server gives it. */
  readonly settles: boolean
  /** What cannot be proven stops the client; otherwise what is too far away to be proven passes. */
  readonly failsClosed: boolean
}

const rules: AncestryRules = { settles: true, failsClosed: true }
const servers = 3
const quorum = 2
const rounds = 20
/** How far a client sees that lets pass what it cannot prove. */
const lineageLevels = 20

/** The cases of this model. */
export const ancestryCases: readonly ModelCase[] = [
  ancestryCase(asTheyAre, {}),
  ancestryCase("a sequence counts as read when one server gives it", { settles: false }),
  ancestryCase("what is too far away to be proven passes", { failsClosed: false }),
]

function ancestryCase(variant: string, weaker: Partial<AncestryRules>): ModelCase {
  return {
    model: "ancestry",
    variant,
    scope: `up to 3 writers at ${servers} places, ${rounds} histories of up to 220 rounds`,
    ...(variant === asTheyAre ? {} : { breaks: "B2" as const }),
    explore: () => drawHistories({ ...rules, ...weaker }),
  }
}

function drawHistories(rules: AncestryRules): Exploration {
  const random = new Random("ancestry")
  let proofs = 0
  for (let round = 0; round < rounds; round++) {
    const history = drawHistory(random.fork(round), rules)
    for (const later of new Set(history.held))
      for (const known of history.known) {
        if (!later || known.sequence >= later.sequence) continue
        proofs++
        const why = check(history, later, known, rules)
        if (why) return { states: proofs, complete: false, breach: { invariant: "B2", why }, trace: [] }
      }
  }
  return { states: proofs, complete: true }
}

interface History {
  /** What each server holds in the end. */
  readonly held: readonly (HistoryValue | undefined)[]
  readonly all: Map<string, HistoryValue>
  /** What a quorum held at some time. */
  readonly known: readonly HistoryValue[]
}

function drawHistory(random: Random, { settles }: AncestryRules): History {
  const held: (HistoryValue | undefined)[] = Array.from({ length: servers }, () => undefined)
  const all = new Map<string, HistoryValue>()
  const known = new Set<HistoryValue>()
  const steps = random.between(20, 220)
  for (let i = 0; i < steps; i++) {
    const bases = Array.from({ length: random.between(1, 3) }, () => read(random, held, settles))
    const values = bases.map((parents, writer) => nextValue(parents, `${i}/${writer}`))
    for (const value of values) all.set(value.hash, value)
    // Some messages are lost: a writer that dies leaves a value that too few servers hold.
    const messages = values.flatMap((value) =>
      [...held.keys()].filter(() => random.chance(0.8)).map((at) => ({ value, at })),
    )
    for (const { value, at } of random.some(messages, messages.length)) {
      if ((held[at]?.sequence ?? 0) < value.sequence) held[at] = value
      if (held.filter((other) => other === value).length >= quorum) known.add(value)
    }
  }
  return { held, all, known: [...known] }
}

/** What a writer that does not hear one of the servers takes for the newest values. */
function read(random: Random, held: (HistoryValue | undefined)[], settles: boolean): HistoryValue[] {
  const away = random.between(0, servers - 1)
  const heard = held.filter((_, i) => i !== away).flatMap((value) => value ?? [])
  const sequence = Math.max(0, ...heard.map((value) => value.sequence))
  const newest = [...new Set(heard.filter((value) => value.sequence === sequence))]
  if (settles && sequence > 0)
    for (const [i, value] of held.entries()) if (i !== away && (value?.sequence ?? 0) < sequence) held[i] = newest[0]
  return newest
}

/** What is wrong with the proof that `later` follows `known`, or with that of another branch. */
function check(history: History, later: HistoryValue, known: HistoryValue, rules: AncestryRules): string | undefined {
  const proof = prove(levelsOf(history, later), known.sequence)
  if (!follows(later, known, proof)) return `value ${known.sequence} cannot be proven for value ${later.sequence}`
  const branch = branchBefore(history, known, proof)
  const proofs = [proof, prove(levelsOf(history, branch), known.sequence)]
  const isTooFar = branch.sequence - known.sequence > lineageLevels
  if (proofs.some((one) => follows(branch, known, one)) || (!rules.failsClosed && isTooFar))
    return `value ${branch.sequence} of another branch passes for a follower of value ${known.sequence}`
  return undefined
}

/** A branch of forty values that left before `known`: from a sibling that nobody followed, or from its parents. */
function branchBefore({ all }: History, known: HistoryValue, proof: Proof): HistoryValue {
  const sibling = [...all.values()].find(
    ({ sequence, hash }) => sequence === known.sequence && hash !== known.hash && !proof.follows.includes(hash),
  )
  let branch =
    sibling ??
    nextValue(
      known.follows.map((hash) => all.get(hash)!),
      "branch",
    )
  for (let i = 0; i < 40; i++) {
    all.set(branch.hash, branch)
    branch = nextValue([branch], `branch ${i}`)
  }
  return branch
}

/** What the spine of `value` follows at each level. */
function levelsOf({ all }: History, value: HistoryValue): (readonly string[])[] {
  const levels: (readonly string[])[] = []
  for (let at: HistoryValue | undefined = value; at && at.follows.length > 0; at = all.get(at.follows[0]!))
    levels.unshift(at.follows)
  return levels
}
