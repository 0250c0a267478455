/**
 * Mutable files: trees whose root holds the file as its entry "content", so that history, snapshots, merging and
 * checking are those of trees. Other entries of the root are copies kept of changes that conflicted.
 */
import { HoldfastError } from "@holdfast/core"
import { lookupEntry } from "./directory.ts"
import { type FileEntry, plainAttributes } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import type { DirectoryRef } from "./reference.ts"
import { createTree, type Tree, type TreeOptions } from "./tree.ts"

/** Name of the file in the root of its tree. */
export const mutableFileName = "content"

/** Makes an empty mutable file in a fresh register. Throws ERR_ALREADY_EXISTS. */
export async function createMutableFile(options: TreeOptions): Promise<Tree> {
  const tree = await createTree(options)
  const attributes = plainAttributes(0o644, options.env.clock.nowMs())
  const content = { form: "inline", size: 0, bytes: new Uint8Array() } as const
  await tree.commit(async (session) =>
    session.set([mutableFileName], { ...attributes, name: mutableFileName, kind: "file", size: 0, content }),
  )
  return tree
}

/** The file in a root. Throws ERR_BAD_FORMAT when this is not the root of a mutable file. */
export async function mutableFileOf(io: TreeIo, root: DirectoryRef): Promise<FileEntry> {
  const entry = await lookupEntry(io, root, mutableFileName)
  if (entry?.kind === "file") return entry
  throw new HoldfastError("ERR_BAD_FORMAT", "A capability for a mutable file leads to something else.")
}
