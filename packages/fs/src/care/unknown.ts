/** What keeps a collection from knowing what is needed, and what does not. */
import { HoldfastError } from "@holdfast/core"
import type { Cap } from "@holdfast/protocol"
import type { LostPlace } from "../damage.ts"

/** Why it cannot be known what trees need. */
interface Unknown {
  readonly unknown: readonly { readonly label: string; readonly error: HoldfastError }[]
  readonly lost: readonly LostPlace[]
}

/** True for an immutable capability that stands for nothing, and never did: any device may list one. */
export function isNonsense(cap: Cap, { code }: HoldfastError): boolean {
  return cap.kind === "ci" && code === "ERR_BAD_CAPABILITY"
}

/** Removing nothing is all that is left when it cannot be known what a tree needs. */
export function cannotKnow(first: HoldfastError, { unknown, lost }: Unknown): HoldfastError {
  const whys = unknown.map(({ label, error }) => `${label}: ${error.message}`)
  const lines = [...whys, ...lost.map(({ place, message }) => `${place}: ${message}`)].map((line) => `  ${line}`)
  return new HoldfastError(
    first.code,
    `Nothing was removed, as it cannot be known what these trees need:`,
    { ...first.details, lines, unknown: whys, unreadable: lost.map(({ place }) => place) },
    { cause: first },
  )
}

/** Where history does not fit, or nobody can say what is needed: nothing is taken away then. */
export const stopsAll: ReadonlySet<string> = new Set([
  "ERR_ROLLBACK",
  "ERR_FORK",
  "ERR_UNPROVEN",
  "ERR_NO_QUORUM",
  "ERR_REFUSED",
])
