/** An opened tree as reading and writing share it, and the entries that were found in it. */
import type { ProfileUploads } from "@holdfast/client/profile"
import { toHex } from "@holdfast/core"
import type { RegisterKeys } from "@holdfast/store"
import type { CommitResult, Entry, JunctionEntry, Tree, TreeIo } from "@holdfast/tree"
import type { Item, Volume } from "./volume.ts"

/** A volume with the tree behind it. */
export interface OpenedTree extends Volume {
  readonly io: TreeIo
  readonly access: RegisterKeys | undefined
  readonly uploads: ProfileUploads
  /** Absent for what is immutable. */
  readonly tree: Tree | undefined
  /** The root's entry: of a mutable file the file itself. */
  readonly root: Entry
  /** Takes the root that a commit made, and warns of what conflicted. */
  adopt(result: CommitResult): Promise<void>
  /** `path` is where it is in the tree, for messages. */
  item(entry: Entry, path?: readonly string[]): Item
  /** Opens the tree that a junction at `path` leads to. */
  enter(junction: JunctionEntry, path: readonly string[]): Promise<OpenedTree>
  /** The tree, when it may be written. Throws ERR_WRONG_CAPABILITY. */
  writable(): Tree
}

/** An entry with the tree that it was found in, which junctions need. */
export interface EntryContent<Owner = OpenedTree> {
  readonly entry: Entry
  readonly owner: Owner
  /** Where it was found in the owner's tree. */
  readonly path?: readonly string[]
}

/** The entry behind an item. */
export function contentOf<Owner = OpenedTree>(item: Item): EntryContent<Owner> {
  return item.content as EntryContent<Owner>
}

/** The same for all directories, and trees linked in, that hold the same now. */
export function identityOf(item: Item): string {
  const { entry } = contentOf(item)
  if (entry.kind === "junction") return `junction ${toHex(entry.readCap)}`
  if (entry.kind !== "directory" || !entry.reference) return "nothing"
  const { chunk, offset } = entry.reference
  return `${toHex(chunk.id)} ${offset}`
}
