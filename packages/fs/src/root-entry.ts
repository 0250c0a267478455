/** The root of a mutable tree as an entry. */
import type { HoldfastError } from "@holdfast/core"
import {
  type DirectoryRef,
  type Entry,
  isDamage,
  mutableFileOf,
  plainAttributes,
  type Tree,
  type TreeIo,
} from "@holdfast/tree"

/** An entry for a tree's root: roots have no name and no attributes of their own, but those of mutable files have a file's. */
export async function rootEntry(io: TreeIo, root: DirectoryRef, isFile: boolean): Promise<Entry> {
  if (isFile) return { ...(await mutableFileOf(io, root)), name: "" }
  return { ...plainAttributes(0o755, 0), name: "", kind: "directory", size: 0, reference: root }
}

/** What the newest root is, or why it cannot be read: snapshots and past versions are there all the same. */
export async function presentRoot(
  tree: Tree,
  isFile: boolean,
): Promise<{ readonly top: DirectoryRef; readonly root: Entry } | { readonly problem: HoldfastError }> {
  try {
    const top = await tree.root()
    return { top, root: await rootEntry(tree.io, top, isFile) }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { problem: error }
  }
}
