/**
 * Nodes and directories: marks of accounts, collection beside puts, commits and copies. One chunk X (k = 1, happy = 2) on three
 * places, registers by quorum (f = 1). W writes for account A, C collects for account A on another device, B copies X by
 * reference into a tree of account B. Each request is one step at its place; it may be late, and its answer may be lost, after
 * which it is repeated. There is no time: whatever an age or a grace would forbid may happen at once.
 */
import { asTheyAre, type ModelCase } from "./case.ts"
import { type Breach, explore, type Invariant, type Model } from "./explore.ts"
import {
  type Client,
  collect,
  type MarkRules,
  type MarkScope,
  type MarkState,
  places,
  restore,
  rules,
} from "./marks-places.ts"
import { write } from "./marks-writer.ts"

/** Whether X is new, or was stored by account A before and is used again. */
export type MarkStart = "new" | "brought back"

const happy = 2
const everybody: MarkScope = { clients: "WB", runs: 1, lostAnswers: false, restores: false }

/** The cases of this model. */
export const markCases: readonly ModelCase[] = [
  ...(["new", "brought back"] as const).flatMap((start) => [
    markCase(asTheyAre, {}, start, everybody),
    markCase(asTheyAre, {}, start, { ...everybody, clients: "W", runs: 2, lostAnswers: true }),
    markCase(asTheyAre, {}, start, { ...everybody, clients: "B", runs: 2, lostAnswers: true }),
  ]),
  markCase(asTheyAre, {}, "new", { ...everybody, clients: "W", restores: true }),
  weaker("I1", "one mark for all accounts", { accounts: false }, "brought back"),
  weaker("I2", "one mark for all accounts", { accounts: false }, "brought back"),
  weaker("I4", "one mark for all accounts", { accounts: false }, "brought back"),
  weaker("I1", "marked by the put alone", { stamp: "put", acknowledge: "quorum" }),
  weaker("I1", "confirmed before the commit", { stamp: "before", acknowledge: "quorum" }),
  weaker("I1", "no token: ages by a client's clock", { token: "none" }),
  weaker("I5", "no token: ages by a client's clock", { token: "none" }),
  weaker("I1", "roots by quorum, not also the place's own", { ownAnswer: false }),
  weaker("I1", "acknowledged by a quorum of values alone", { acknowledge: "quorum" }),
  weaker("I3", "a share stays after its last mark", { removes: false }, "brought back"),
  weaker("I1", "first look, then mark", { atomicMark: false, stamp: "put", acknowledge: "quorum" }, "brought back", {
    ...everybody,
    clients: "B",
  }),
  weaker("I1", "tokens outlive the restoring of a place", { instance: false }, "new", {
    ...everybody,
    clients: "W",
    restores: true,
  }),
]

function markCase(
  variant: string,
  weakened: Partial<MarkRules>,
  start: MarkStart,
  scope: MarkScope,
  breaks?: Invariant,
): ModelCase {
  const { clients, runs, lostAnswers, restores } = scope
  const words = [
    `X ${start}`,
    `${[...clients].join(", ")} and collector at ${places.length} places`,
    `${runs} gc`,
    ...(lostAnswers ? ["answers lost"] : []),
    ...(restores ? ["one place restored from an old copy"] : []),
  ]
  return {
    model: "marks",
    variant,
    scope: words.join(", "),
    ...(breaks && { breaks }),
    explore: () =>
      explore(markModel({ ...rules, ...weakened }, start, scope), {
        ...(breaks && { only: breaks }),
        symmetric: !breaks && !restores, // the place that is restored is not like the others
      }),
  }
}

function weaker(
  breaks: Invariant,
  variant: string,
  weakened: Partial<MarkRules>,
  start: MarkStart = "new",
  scope = everybody,
): ModelCase {
  return markCase(variant, weakened, start, scope, breaks)
}

function markModel(rules: MarkRules, start: MarkStart, scope: MarkScope): Model<MarkState> {
  const isNew = start === "new"
  const client = (): Client => ({ phase: "store", heard: "---", value: "---" })
  const init: MarkState = {
    places: places.map(() => ({ x: !isNew, a: isNew ? 0 : 2, b: 0, needsA: false, needsB: false })),
    w: client(),
    b: client(),
    c: { phase: "ask", runs: 1, heard: ["", "", ""], live: false, isStale: false },
    restored: "no",
    isAllowed: { proof: true, token: true },
  }
  return {
    init,
    *next(s) {
      if (scope.clients.includes("W")) yield* write(s, "w", { rules, lostAnswers: scope.lostAnswers, isNew })
      if (scope.clients.includes("B")) yield* write(s, "b", { rules, lostAnswers: scope.lostAnswers, isNew: false })
      yield* collect(s, rules, scope)
      if (scope.restores) yield* restore(s, isNew)
    },
    breaches: (s) => breaches(s, rules),
    canonical,
  }
}

function* breaches(s: MarkState, { accounts }: MarkRules): Generator<Breach> {
  for (const [who, account, name] of [
    ["w", "a", "A"],
    ["b", "b", "B"],
  ] as const) {
    const held = s.places.filter((place) => place.x && place[accounts ? account : "a"] > 0).length
    // A place that lost what it had vouched for is not an honest one.
    const honest = who === "w" && s.restored === "after vouching" ? happy - 1 : happy
    if (s[who].phase === "done" && held < honest)
      yield { invariant: "I1", why: `${name} was told that X is stored, and ${held} of the places hold it for ${name}` }
  }
  if (!s.isAllowed.proof) yield { invariant: "I2", why: "a mark of B went by A's proof" }
  if (s.places.some(({ x, a, b }) => x && a === 0 && b === 0))
    yield { invariant: "I3", why: "a place keeps X without a mark" }
  if (s.b.value.includes("r")) yield { invariant: "I4", why: "B's value was refused because A collected" }
  if (!s.isAllowed.token) yield { invariant: "I5", why: "a mark went that was made after the token" }
}

/** The places sorted by what is there and what is known of them. */
function canonical(s: MarkState): MarkState {
  const views = places.map((i) =>
    JSON.stringify([s.places[i], s.w.heard[i], s.w.value[i], s.b.heard[i], s.b.value[i], s.c.heard[i]]),
  )
  const order = [...places].sort((i, j) => (views[i]! < views[j]! ? -1 : 1))
  const letters = (text: string) => order.map((i) => text[i]).join("")
  const client = (c: Client): Client => ({ ...c, heard: letters(c.heard), value: letters(c.value) })
  return {
    ...s,
    places: order.map((i) => s.places[i]!),
    w: client(s.w),
    b: client(s.b),
    c: { ...s.c, heard: order.map((i) => s.c.heard[i]!) },
  }
}
