/**
 * An exhaustive checker: visits every state that a model can reach, breadth first, so that a state in which an invariant does
 * not hold comes back with a shortest way to it. States are plain JSON values. What is modelled and why: docs/models.md.
 */

/** Names of the invariants, as docs/models.md explains them. */
export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "R1" | "B2"

/** An invariant that a state breaks, and how. */
export interface Breach {
  readonly invariant: Invariant
  readonly why: string
}

/** A system of states and steps. */
export interface Model<S> {
  readonly init: S
  /** Every step that may be made in a state: what it is, and the state after it. */
  next(state: S): Iterable<Step<S>>
  /** The invariants that a state breaks; none in a good one. */
  breaches(state: S): Iterable<Breach>
  /** One representative of all states that differ only by the order of places that are alike. */
  canonical?(state: S): S
}

/** A step with what a person reads of it. */
export type Step<S> = readonly [label: string, state: S]

/** What an exploration found. */
export interface Exploration {
  readonly states: number
  /** True when every reachable state was visited. */
  readonly complete: boolean
  readonly breach?: Breach
  /** The steps that lead to the breach. */
  readonly trace?: readonly string[]
}

/** How a model is explored. */
export interface ExploreOptions {
  /** Stops at this invariant alone, and passes over the others. */
  readonly only?: Invariant
  /** Takes states that differ by the order of places for one: faster, but a trace mixes the places' numbers. */
  readonly symmetric?: boolean
  /** Most states to visit. */
  readonly maxStates?: number
}

/** Visits the states of `model` until an invariant is broken or all were seen. */
export function explore<S>(
  model: Model<S>,
  { only, symmetric = false, maxStates = 3_000_000 }: ExploreOptions = {},
): Exploration {
  /** How each state was reached first: the state before, and the step. */
  const origins = new Map<string, readonly [before: string, label: string] | undefined>()
  const start = JSON.stringify(model.init)
  origins.set(start, undefined)
  let level = [start]
  while (level.length > 0) {
    const below: string[] = []
    for (const key of level) {
      const state = JSON.parse(key) as S
      for (const breach of model.breaches(state))
        if (only === undefined || breach.invariant === only)
          return { states: origins.size, complete: false, breach, trace: traceTo(key, origins) }
      for (const [label, next] of model.next(state)) {
        const text = JSON.stringify(symmetric && model.canonical ? model.canonical(next) : next)
        if (origins.has(text)) continue
        origins.set(text, [key, label])
        below.push(text)
      }
      if (origins.size > maxStates) return { states: origins.size, complete: false }
    }
    level = below
  }
  return { states: origins.size, complete: true }
}

function traceTo(
  key: string,
  origins: ReadonlyMap<string, readonly [before: string, label: string] | undefined>,
): string[] {
  const labels: string[] = []
  for (let origin = origins.get(key); origin; origin = origins.get(origin[0])) labels.unshift(origin[1])
  return labels
}

/** A copy of a state, for a step to change. */
export function clone<T>(state: T): T {
  return JSON.parse(JSON.stringify(state)) as T
}
