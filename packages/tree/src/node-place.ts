/**
 * Where nodes must stand. What an item says of the node that it refers to, and the items beside it, bound what may be in that
 * node: so the names of a whole directory are in order and none comes twice, whichever of its nodes are read, and the pieces of
 * a file are as long as they should be. Specification: docs/formats/tree.md.
 */
import { HoldfastError } from "@holdfast/core"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import type { ManifestNode } from "./manifest.ts"
import { compareNames } from "./name.ts"

/** What a directory's node below its root must be. */
export interface NodePlace {
  readonly level: number
  /** The first name in it. */
  readonly name: string
  /** Entries below it. */
  readonly count: number
  /** All names below it come before this one; undefined for what has nothing after it. */
  readonly before: string | undefined
}

/** What a node of a file manifest must be. */
export interface ManifestPlace {
  /** Bytes below it. */
  readonly length: number
  /** Undefined for the root. */
  readonly level?: number
}

/** The place of the `index`-th node below `node`, which stands at `place` itself unless it is a root. */
export function placeBelow(node: DirectoryNode, index: number, place: NodePlace | undefined): NodePlace {
  const items = node.items as readonly ChildNode[]
  const { name, count } = items[index]!
  return { level: node.level - 1, name, count, before: items[index + 1]?.name ?? place?.before }
}

/** True when both ask the same of a node. */
export function samePlace(a: NodePlace, b: NodePlace): boolean {
  return a.level === b.level && a.name === b.name && a.count === b.count && a.before === b.before
}

/** A place as text, to be told from others of the same node. */
export function placeKey({ level, count, name, before }: NodePlace): string {
  return `${level}:${count}:${name}/${before ?? ""}` // no name has a slash
}

/** How many entries are below `node`, as far as it says. */
export function entriesBelow({ level, items }: DirectoryNode): number {
  if (level === 0) return items.length
  return (items as readonly ChildNode[]).reduce((sum, { count }) => sum + count, 0)
}

/** Throws ERR_BAD_FORMAT unless `node` may stand at `place`. */
export function checkPlace(node: DirectoryNode, place: NodePlace): void {
  if (node.level !== place.level) throw misplaced("it is of another level")
  if (node.items[0]!.name !== place.name) throw misplaced("it begins with another name")
  if (place.before !== undefined && compareNames(node.items.at(-1)!.name, place.before) >= 0)
    throw misplaced("its names go beyond those of the next one")
  if (entriesBelow(node) !== place.count) throw misplaced("it has another number of entries")
}

/** Throws ERR_BAD_FORMAT unless `node` may stand at `place`. */
export function checkManifestPlace({ level, items }: ManifestNode, place: ManifestPlace): void {
  if (place.level !== undefined && level !== place.level)
    throw new HoldfastError("ERR_BAD_FORMAT", "A node of a file manifest is not what its parent says.")
  if (items.reduce((sum, { length }) => sum + length, 0) !== place.length)
    throw new HoldfastError("ERR_BAD_FORMAT", "A file manifest does not add up to the file's size.")
}

function misplaced(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A directory node is not what its parent says: ${why}.`)
}
