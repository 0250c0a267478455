/** The root of a mutable tree as an entry. */
import { type DirectoryRef, type Entry, mutableFileOf, plainAttributes, type TreeIo } from "@holdfast/tree"

/** An entry for a tree's root: roots have no name and no attributes of their own, but those of mutable files have a file's. */
export async function rootEntry(io: TreeIo, root: DirectoryRef, isFile: boolean): Promise<Entry> {
  if (isFile) return { ...(await mutableFileOf(io, root)), name: "" }
  return { ...plainAttributes(0o755, 0), name: "", kind: "directory", size: 0, reference: root }
}
