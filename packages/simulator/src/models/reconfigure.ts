/**
 * Moving a volume from places 0, 1, 2 (epoch 1) to places 2, 3, 4 (epoch 2) while clients commit: one register, f = 1, quorum 2.
 * W and V have the old description or the new one; the mover M has no key of the register. A value is its sequence and the sets
 * of operations (as bits) that its siblings contain; the next writer merges siblings.
 */
import { asTheyAre, type ModelCase } from "./case.ts"
import { explore, type Model } from "./explore.ts"
import { act } from "./reconfigure-client.ts"
import { move } from "./reconfigure-mover.ts"
import {
  clientOf,
  type Epoch,
  type MoveRules,
  type MoveState,
  moveRules,
  names,
  placesOf,
  serves,
  showValue,
  union,
  type Value,
} from "./reconfigure-state.ts"

/** The cases of this model. */
export const moveCases: readonly ModelCase[] = [
  moveCase(asTheyAre, {}, [1]),
  { ...moveCase(asTheyAre, {}, [1, 1]), slow: true },
  moveCase(asTheyAre, {}, [1, 2]),
  moveCase("places do not check the epoch", { checks: false, activate: false }, [1, 2]),
  moveCase("no place is sealed before values are copied", { copyAfterSeal: false }, [1]),
  moveCase("only f places are sealed", { seals: 1 }, [1]),
  moveCase("new places serve before they have copies", { activate: false }, [1, 2]),
  { ...moveCase("one of several siblings is copied", { siblings: false }, [1, 1]), slow: true },
]

function moveCase(variant: string, weaker: Partial<MoveRules>, epochs: readonly Epoch[]): ModelCase {
  const clients = epochs.map((epoch, j) => `${names[j]} of epoch ${epoch}`)
  return {
    model: "reconfigure",
    variant,
    scope: `${clients.join(", ")} and mover, from 3 places to 3`,
    ...(variant === asTheyAre ? {} : { breaks: "R1" as const }),
    explore: () => explore(moveModel({ ...moveRules, ...weaker }, epochs), { symmetric: variant === asTheyAre }),
  }
}

function moveModel(rules: MoveRules, epochs: readonly Epoch[]): Model<MoveState> {
  const empty: Value = { sequence: 0, operations: [0] }
  const init: MoveState = {
    places: [0, 1, 2, 3, 4].map((i) => ({
      epoch: i < 3 ? 1 : 2,
      active: i < 3 || !rules.activate,
      value: empty,
    })),
    clients: epochs.map((epoch) => clientOf(epoch)),
    m: { phase: "seal", heard: {}, value: empty, done: [] },
  }
  return {
    init,
    *next(s) {
      for (const j of epochs.keys()) yield* act(s, j, rules)
      yield* move(s, rules)
    },
    *breaches(s) {
      const acknowledged = s.clients.reduce((bits, { phase }, j) => (phase === "done" ? bits | (1 << j) : bits), 0)
      if (acknowledged === 0) return
      for (const epoch of [1, 2] as const)
        for (const [i, k] of pairs(placesOf[epoch].filter((i) => serves(s.places[i]!, epoch, rules) === "yes"))) {
          const seen = union([s.places[i]!.value, s.places[k]!.value])
          const missing = acknowledged & ~seen.operations.reduce((a, b) => a | b, 0)
          if (missing === 0) continue
          const who = names.filter((_, j) => missing & (1 << j)).join(" and ")
          yield {
            invariant: "R1",
            why: `${who} was acknowledged, and a reader of epoch ${epoch} at ${i} and ${k} sees ${showValue(seen)}`,
          }
        }
    },
    canonical,
  }
}

function* pairs(places: readonly number[]): Generator<readonly [number, number]> {
  for (const i of places) for (const k of places) if (k > i) yield [i, k]
}

/** Places 0 and 1 are alike, and so are 3 and 4. */
function canonical(s: MoveState): MoveState {
  const view = (i: number) =>
    JSON.stringify([
      s.places[i],
      s.clients.map(({ heard, said }) => [heard[i], said[i]]),
      s.m.heard[i],
      s.m.done.includes(i),
    ])
  const order = [0, 1, 2, 3, 4]
  if (view(0) > view(1)) order.splice(0, 2, 1, 0)
  if (view(3) > view(4)) order.splice(3, 2, 4, 3)
  const moved = <T>(all: Record<number, T>) =>
    Object.fromEntries(order.flatMap((from, to) => (from in all ? [[to, all[from]!]] : []))) as Record<number, T>
  return {
    places: order.map((i) => s.places[i]!),
    clients: s.clients.map((client) => ({ ...client, heard: moved(client.heard), said: moved(client.said) })),
    m: {
      ...s.m,
      heard: moved(s.m.heard),
      done: order.flatMap((from, to) => (s.m.done.includes(from) ? [to] : [])),
    },
  }
}
