/** Immutable capabilities: one entry, with the references that read it, as a string of its own. */
import { HoldfastError } from "@holdfast/core"
import type { ImmutableCap } from "@holdfast/protocol"
import { checkEntry, decodeEntry, type Entry, encodeEntry } from "./entry.ts"

/** A capability to read exactly what `entry` is now. Throws ERR_INVALID_ARGUMENT when it has no name. */
export function encodeEntryCap(entry: Entry): ImmutableCap {
  checkEntry(entry)
  return { kind: "ci", entry: encodeEntry(entry) }
}

/** The entry in an immutable capability. Throws ERR_BAD_CAPABILITY. */
export function decodeEntryCap(cap: ImmutableCap): Entry {
  try {
    return decodeEntry(cap.entry)
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_CAPABILITY", "This capability holds no valid directory entry.", {}, { cause })
  }
}
