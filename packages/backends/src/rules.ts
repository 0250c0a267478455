/** What every backend decides alike: which share lists and register values it takes. */
import { equal, HoldfastError, limits } from "@holdfast/core"
import type { ProposeOutcome } from "@holdfast/protocol"

/** A value with the sequence number it carries. */
export interface HeldValue {
  readonly sequence: number
  readonly bytes: Uint8Array
}

/** Judges a correctly signed value against the one held: higher wins, equal bytes are fine, all else is refused. */
export function judgeProposal(held: HeldValue | undefined, proposed: HeldValue): ProposeOutcome {
  if (held === undefined || proposed.sequence > held.sequence || equal(proposed.bytes, held.bytes))
    return { accepted: true }
  const message =
    proposed.sequence === held.sequence
      ? `Another value with sequence ${held.sequence} is held already.`
      : `Sequence ${proposed.sequence} is older than the ${held.sequence} held.`
  return { accepted: false, current: held.bytes, message }
}

/** Throws ERR_INVALID_ARGUMENT unless `limit` is an acceptable page length. */
export function checkListLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.requestItems)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A listing takes a limit from 1 to ${limits.requestItems}.`, {
      limit,
    })
}
