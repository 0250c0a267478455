/** What the models are asked: that the rules hold in every state, and that each weaker rule is caught by an invariant. */
import type { Exploration, Invariant } from "./explore.ts"

/** One question to a model. */
export interface ModelCase {
  /** Name of the model. */
  readonly model: string
  /** The rule that is weakened; "the rules as they are" when none is. */
  readonly variant: string
  /** Who takes part, and how often. */
  readonly scope: string
  /** The invariant that must not survive the weaker rule; absent when all must hold. */
  readonly breaks?: Invariant
  /** Left to `npm run models`, as it takes more than some seconds. */
  readonly slow?: boolean
  explore(): Exploration
}

/** Variant of the cases in which no rule is weakened. */
export const asTheyAre = "the rules as they are"

/** True when an exploration gives what its case says. */
export function isAsExpected({ breaks }: ModelCase, { complete, breach }: Exploration): boolean {
  return breaks === undefined ? complete && breach === undefined : breach?.invariant === breaks
}

/** One line on a case, and the steps to a breach when that was not to be, or with `traces`. */
export function describeOutcome(question: ModelCase, found: Exploration, traces: boolean): string {
  const { model, variant, scope } = question
  const good = isAsExpected(question, found)
  const verdict = found.breach
    ? `${found.breach.invariant} broken: ${found.breach.why}`
    : found.complete
      ? "holds"
      : "NOT EXPLORED TO THE END"
  const head = `${good ? "ok  " : "FAIL"} ${model}: ${variant} (${scope}): ${found.states} states, ${verdict}`
  const steps = found.trace && (traces || !good) ? found.trace.map((step, i) => `       ${i + 1}. ${step}`) : []
  return [head, ...steps].join("\n")
}
