/**
 * A bucket: objects, no code on the server, lists that are consistent key by key but no snapshot. One chunk X, whose object has
 * generations 0, 1, 2. W (account A) and B (account B, by copying) put or bring back X and commit; C compacts the marks of
 * account A on another device; S sweeps for all accounts. The lists that matter are read one key after another.
 */
import { compact, sweep } from "./bucket-collect.ts"
import {
  type BucketRules,
  type BucketScope,
  type BucketState,
  type BucketWriter,
  bucketRules,
  markKey,
} from "./bucket-state.ts"
import { write } from "./bucket-writer.ts"
import { asTheyAre, type ModelCase } from "./case.ts"
import { explore, type Model } from "./explore.ts"

type BucketStart = "new" | "brought back"

const once: BucketScope = { clients: "WC", compactions: 1, sweeps: 1 }

/** The cases of this model. */
export const bucketCases: readonly ModelCase[] = [
  ...(["new", "brought back"] as const).flatMap((start) => [
    bucketCase(asTheyAre, {}, start, { clients: "WC", compactions: 2, sweeps: 2 }),
    bucketCase(asTheyAre, {}, start, { clients: "WBC", compactions: 1, sweeps: 1 }),
  ]),
  bucketCase("marks are read once, then deleted", { twoPhase: false }, "brought back", once),
  bucketCase("the writer does not look for what is condemned", { looks: false }, "brought back", once),
  bucketCase("what is condemned is put under the same key", { generations: false }, "brought back", once),
  bucketCase("marks are dropped without announcing it", { retires: false }, "new", once),
  bucketCase("the writer does not look at its marks again", { looksAgain: false }, "new", once),
  bucketCase("new marks sort before those they replace", { ascending: false }, "brought back", {
    ...once,
    compactions: 2,
  }),
]

function bucketCase(variant: string, weaker: Partial<BucketRules>, start: BucketStart, scope: BucketScope): ModelCase {
  return {
    model: "bucket",
    variant,
    scope: `X ${start}, ${[...scope.clients].join(", ")} and sweeper, ${scope.compactions} compactions, ${scope.sweeps} sweeps`,
    ...(variant === asTheyAre ? {} : { breaks: "I1" as const }),
    explore: () => explore(bucketModel({ ...bucketRules, ...weaker }, start, scope)),
  }
}

function bucketModel(rules: BucketRules, start: BucketStart, scope: BucketScope): Model<BucketState> {
  const isNew = start === "new"
  const writer = (): BucketWriter => ({ phase: "put", mark: 0, generation: 0 })
  const init: BucketState = {
    x: [!isNew, false, false],
    marks: isNew ? [] : [markKey("a", 5, "o")], // what A's device marked long ago
    retired: null,
    condemned: null,
    needs: { a: false, b: false },
    w: writer(),
    b: writer(),
    c: { phase: "list", listed: [], live: false, runs: 1 },
    s: { phase: "scan", at: "", named: false, victims: [], runs: 1 },
  }
  return {
    init,
    *next(s) {
      if (scope.clients.includes("W")) yield* write(s, "w", rules)
      if (scope.clients.includes("B")) yield* write(s, "b", rules)
      yield* compact(s, rules, scope)
      yield* sweep(s, rules, scope)
    },
    *breaches(s) {
      for (const [who, account] of [
        ["w", "a"],
        ["b", "b"],
      ] as const) {
        if (s[who].phase !== "done") continue
        const name = who.toUpperCase()
        if (!s.x.some(Boolean)) yield { invariant: "I1", why: `${name} was told that X is stored, and it is gone` }
        if (!s.marks.some((key) => key.startsWith(account)))
          yield { invariant: "I1", why: `${name} was told that X is stored, and nothing marks it for its account` }
      }
    },
  }
}
