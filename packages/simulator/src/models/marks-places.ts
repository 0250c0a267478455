/** The places of the model of marks, the collector that takes marks away, and a place that is restored from an old copy. */
import { clone, type Step } from "./explore.ts"

/** A writer, and what it heard from each place. */
export interface Client {
  phase: "store" | "confirm" | "commit" | "done"
  /** "-" nothing, "y" put or marked, "n" not there, "Y" marked after it was seen, "s" to be confirmed. */
  heard: string
  /** "-" nothing, "v" took the value and vouches for X, "t" took it without vouching, "r" refused: the mark is gone. */
  value: string
}

/** The rules that the cases weaken one by one. */
export interface MarkRules {
  /** A mark for each account; otherwise one for all. */
  readonly accounts: boolean
  /** When marks are stamped: with the register's value, in a request before it, or by the put alone. */
  readonly stamp: "with the value" | "before" | "put"
  /** What may be unmarked: what was marked before the token of this place, or what a client's clock calls old, which may be anything. */
  readonly token: "before the roots" | "none"
  /** A token is honoured by the run of the place that gave it alone. */
  readonly instance: boolean
  /** The collector keeps what the place's own register names, beside what a quorum says. */
  readonly ownAnswer: boolean
  /** Acknowledged when places took the value with the mark intact, or by a quorum of values alone. */
  readonly acknowledge: "vouched" | "quorum"
  /** Looking for a share and marking it is one step at the place. */
  readonly atomicMark: boolean
  /** A share goes with its last mark. */
  readonly removes: boolean
}

/** The rules as they are. */
export const rules: MarkRules = {
  accounts: true,
  stamp: "with the value",
  token: "before the roots",
  instance: true,
  ownAnswer: true,
  acknowledge: "vouched",
  atomicMark: true,
  removes: true,
}

/** Who takes part, and what may go wrong. */
export interface MarkScope {
  /** "W", "B" or both; the collector always does. */
  readonly clients: string
  /** How often the collector runs. */
  readonly runs: number
  readonly lostAnswers: boolean
  /** Place 0 may come back as it was at first. */
  readonly restores: boolean
}

/** Of a mark: none, made before the collector's newest token at its place, or after it. */
export type MarkAge = 0 | 1 | 2

/** What a place holds. */
export interface Place {
  x: boolean
  /** The marks of accounts A and B. */
  a: MarkAge
  b: MarkAge
  /** Whether the values of A's and B's registers here need X. */
  needsA: boolean
  needsB: boolean
}

/** A state of the model. */
export interface MarkState {
  places: Place[]
  w: Client
  b: Client
  c: {
    phase: "ask" | "unmark"
    runs: number
    heard: ("" | "live" | "dead")[]
    live: boolean
    /** The token of place 0 is of before it was restored. */
    isStale: boolean
  }
  restored: "no" | "before vouching" | "after vouching"
  /** What was ever unmarked was: of the collector's account; older than the token. */
  isAllowed: { proof: boolean; token: boolean }
}

/** Numbers of the places. */
export const places = [0, 1, 2] as const
/** Places whose answers are enough for a register. */
export const quorum = 2

/** The age of a mark that place `i` makes now. One that was restored with its clock set back stamps lower than it did before. */
export function ageOfNewMark({ c }: MarkState, i: number): MarkAge {
  return i === 0 && c.isStale ? 1 : 2
}

/** What the collector of account A may do. */
export function* collect(s: MarkState, rules: MarkRules, { runs }: MarkScope): Generator<Step<MarkState>> {
  const { c } = s
  for (const i of places) {
    if (c.heard[i] !== "") continue // the answer of a place may come when a quorum has spoken already
    const t = clone(s)
    const place = t.places[i]!
    t.c.heard[i] = place.needsA ? "live" : "dead"
    if (place.a === 2) place.a = 1
    yield [`C: root of A at ${i}, with a token: ${place.needsA ? "needs X" : "does not need X"}`, t]
  }
  if (c.phase === "ask" && c.heard.filter((answer) => answer !== "").length >= quorum) {
    const t = clone(s)
    t.c.phase = "unmark"
    t.c.live = c.heard.includes("live")
    yield [`C: a quorum says that X is ${t.c.live ? "needed" : "garbage"}`, t]
  }
  if (c.phase !== "unmark") return
  if (!c.live) for (const i of places) yield* unmark(s, i, rules)
  if (c.runs < runs) {
    const t = clone(s)
    t.c = { phase: "ask", runs: c.runs + 1, heard: ["", "", ""], live: false, isStale: false }
    yield ["C: ends, and collects once more", t]
  }
}

function* unmark(s: MarkState, i: number, rules: MarkRules): Generator<Step<MarkState>> {
  const heard = s.c.heard[i]
  const place = s.places[i]!
  if (heard === "" || (rules.ownAnswer && heard === "live") || place.a === 0) return
  if (rules.token === "before the roots" && place.a === 2) return
  if (rules.instance && i === 0 && s.c.isStale) return // the place does not know the token's instance
  const t = clone(s)
  const after = t.places[i]!
  after.a = 0
  if (after.b === 0 && rules.removes) after.x = false
  if (place.a === 2) t.isAllowed.token = false
  if (!rules.accounts && "yY".includes(s.b.heard[i]!)) t.isAllowed.proof = false
  yield [`C: unmark X at ${i}${after.x ? "" : ": share removed"}`, t]
}

/** Place 0 comes back from a copy of the beginning, its clock set back too. */
export function* restore(s: MarkState, isNew: boolean): Generator<Step<MarkState>> {
  if (s.restored !== "no") return
  const t = clone(s)
  t.places[0] = { x: !isNew, a: isNew ? 0 : 1, b: 0, needsA: false, needsB: false }
  t.restored = s.w.value[0] === "v" ? "after vouching" : "before vouching"
  t.c.isStale = s.c.heard[0] !== ""
  yield ["place 0 is restored from an old copy, its clock set back", t]
}
