/** The root of a mutable tree as an entry. */
import { type DirectoryRef, type Entry, plainAttributes } from "@holdfast/tree"

/** An entry for `reference`; roots have no name and no attributes of their own. */
export function rootEntry(reference: DirectoryRef): Entry {
  return { ...plainAttributes(0o755, 0), name: "", kind: "directory", size: 0, reference }
}
