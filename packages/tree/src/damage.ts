/** What of a tree cannot be read now: lost, damaged, or out of reach; and where that was met. */
import { type HoldfastError, isHoldfastError } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { Path } from "./session.ts"

/** Where in a tree something was met. */
export interface Whereabouts {
  /** Of a snapshot the first name is the snapshot's. */
  readonly path: Path
  /** The newest root, the directory of snapshots, or the sequence of a past root. */
  readonly version: "newest" | "snapshots" | number
}

/** A node that cannot be read. What is below it is known to nobody but the care list. */
export interface LostNode extends Whereabouts {
  readonly what: "directory" | "file"
  readonly chunk: ChunkId
  readonly error: HoldfastError
}

/**
 * True for what concerns the data that was read: its chunk is not there or not whole, or what it holds is not what its place
 * requires. Whoever walks a tree tells it and goes on with the rest.
 */
export function isDamage(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && ofData.has(error.code)
}

const ofData: ReadonlySet<string> = new Set([
  "ERR_NOT_ENOUGH_SHARES",
  "ERR_CORRUPT",
  "ERR_INCONSISTENT",
  "ERR_BAD_FORMAT",
  "ERR_LIMIT",
  "ERR_UNSUPPORTED_VERSION",
])

/**
 * True when a node may be read another time: some server gave no answer, or a later version wrote it. What all servers deny or
 * damaged is lost.
 */
export function isOutOfReach({ code, details }: HoldfastError): boolean {
  if (code === "ERR_UNSUPPORTED_VERSION") return true
  if (code !== "ERR_NOT_ENOUGH_SHARES") return false
  return details["unanswered"] === undefined || details["unanswered"] !== 0
}
