/** What every backend decides alike: which share lists and register values it takes. */
import { equal, HoldfastError, isHoldfastError, limits } from "@holdfast/core"
import { type ProposeOutcome, parseRegisterValue, type RegisterValue, whyRefused } from "@holdfast/protocol"

/** A value with the sequence number it carries. */
export interface HeldValue {
  readonly sequence: number
  /** 0 when absent. */
  readonly epoch?: number
  readonly bytes: Uint8Array
}

/**
 * Judges a correctly signed value against the one held: higher wins as far as it may follow, equal bytes are fine, all else is
 * refused. Specification: docs/formats/register.md, section What servers and readers do.
 */
export function judgeProposal(held: HeldValue | undefined, proposed: HeldValue): ProposeOutcome {
  if (held === undefined || equal(proposed.bytes, held.bytes)) return { accepted: true }
  const before = parsed(held.bytes)
  const message = before && whyRefused(before, parseRegisterValue(proposed.bytes))
  return message === undefined ? { accepted: true } : { accepted: false, current: held.bytes, message }
}

/** Undefined for what rotted on the disk: it stands in nobody's way. */
function parsed(bytes: Uint8Array): RegisterValue | undefined {
  try {
    return parseRegisterValue(bytes)
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

/** Throws ERR_INVALID_ARGUMENT unless `limit` is an acceptable page length. */
export function checkListLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.requestItems)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A listing takes a limit from 1 to ${limits.requestItems}.`, {
      limit,
    })
}
