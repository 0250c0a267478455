/**
 * Which value of a register goes before which, and how far one step may go: the rule that every place keeps, and by which clients
 * tell what no honest place would hold. Specification: docs/formats/register.md, section What servers and readers do.
 */
import { equal } from "@holdfast/core"
import { statementOf } from "./register.ts"
import { lastSequence } from "./register-epoch.ts"
import type { RegisterOrder, RegisterValue } from "./register-value.ts"

/** So far ahead of what a place holds may a value be: more is no writer's doing in good faith. */
const maxStep = 2 ** 20

/** Below zero when `a` comes before `b`: a higher epoch goes before any number. */
export function compareOrder(a: RegisterOrder, b: RegisterOrder): number {
  return a.epoch - b.epoch || a.sequence - b.sequence
}

/** Where a value stands among those of its register, as one number, which in epoch 0 is its sequence: what places sort values by. */
export function rankOf({ epoch, sequence }: RegisterOrder): number {
  return epoch * (lastSequence + 1) + Math.min(sequence, lastSequence) // values of versions 1 and 3 had no bound
}

/** Why a place that holds `held` does not take `next`; undefined when it does. */
export function whyRefused(held: RegisterValue, next: RegisterValue): string | undefined {
  const { epoch, sequence } = held
  const order = compareOrder(next, held)
  if (order === 0) return `Another value with sequence ${sequence} is held already.`
  if (order < 0)
    return next.epoch === epoch
      ? `Sequence ${next.sequence} is older than the ${sequence} held.`
      : `Epoch ${next.epoch} is over; epoch ${epoch} is held.`
  const [before, after] = [held.bound, next.bound]
  if (before && !after) return "It is of an older version than the value held."
  if (next.epoch > epoch) {
    const isOwners = before && after && equal(before.owner, after.owner) // that of an epoch is never empty
    if (!isOwners) return "Another epoch is begun by the owner that the value held names, and by nobody else."
    return tooFar(statementOf(next)!.sequence, next.sequence)
  }
  const far = tooFar(sequence, next.sequence)
  if (far) return far
  if (!before || !after) return undefined
  if (before.owner.length > 0 && !equal(before.owner, after.owner)) return "It names another owner than the value held."
  if (!equal(before.readCheck, after.readCheck)) return "It opens under another read key than the value held."
  return equal(before.statement, after.statement) ? undefined : "It says otherwise what began its epoch."
}

function tooFar(held: number, next: number): string | undefined {
  if (next - held <= maxStep) return undefined
  return `Sequence ${next} is too far ahead of ${held}: a place goes on in small steps, so that no writer uses the numbers up.`
}
