/**
 * Changing a directory. Only the leaves with changed names are read and written again, and those after them until a
 * node ends where one ended before; then the same one level up. The result has the nodes that a directory made
 * afresh with the same entries has.
 */
import { assert, HoldfastError } from "@holdfast/core"
import { DirectoryCursor } from "./directory-cursor.ts"
import {
  type ChildNode,
  type DirectoryNode,
  decodeDirectoryNode,
  encodeDirectoryNode,
  maxNodeLevel,
  NodeCutter,
  type NodeItem,
} from "./directory-node.ts"
import { checkEntry, type Entry, sameEntry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { entriesBelow, type NodePlace, placeBelow } from "./node-place.ts"
import type { NodePack } from "./pack.ts"
import type { DirectoryRef, OpenPack, Reference } from "./reference.ts"

/** What is to become of names: their new entry, or null to remove them. */
export type DirectoryChanges = ReadonlyMap<string, Entry | null>

interface Change {
  readonly name: string
  readonly item: NodeItem | null
}

/**
 * The directory with `changes` made, its new nodes in `pack`. The same reference comes back when nothing changes;
 * removing a name that is not there changes nothing. Throws ERR_INVALID_NAME, ERR_INVALID_ARGUMENT.
 */
export async function updateDirectory(
  io: TreeIo,
  pack: NodePack,
  directory: DirectoryRef,
  changes: DirectoryChanges,
): Promise<DirectoryRef> {
  for (const [name, entry] of changes) {
    if (!entry) continue
    assert(entry.name === name, "an entry is put under another name")
    checkEntry(entry)
  }
  let pending: readonly Change[] = [...changes].map(([name, item]) => ({ name, item }))
  pending = pending.toSorted((a, b) => compareNames(a.name, b.name))
  const writer = new NodeWriter(pack)
  if (!directory) return build(writer, 0, itemsOf(pending))
  const root = await io.readNode(directory)
  for (let level = 0; level <= root.level; level++) {
    pending = await updateLevel(writer, new DirectoryCursor(io, directory, level), level, pending)
    if (pending.length === 0) return directory
  }
  // What is pending now stands above the old root: it goes, and the new nodes take its place.
  const top = itemsOf(pending) as readonly ChildNode[]
  if (top.length !== 1) return build(writer, root.level + 1, top)
  return withoutIdleRoots(io, writer, top[0]!.reference, root.level)
}

/** Builds the levels from `level` up over `items`, until one node is left. */
async function build(writer: NodeWriter, level: number, items: readonly NodeItem[]): Promise<DirectoryRef> {
  if (items.length === 0) return null
  if (level > maxNodeLevel) throw new HoldfastError("ERR_LIMIT", "A directory has more entries than can be stored.")
  const run = new Run(level)
  for (const item of items) run.take(item)
  const nodes = await writer.write(level, run.finish())
  return nodes.length === 1 ? nodes[0]!.reference : build(writer, level + 1, nodes)
}

/** Goes down from a root of one item to the highest node that a fresh directory would have as its root. */
async function withoutIdleRoots(io: TreeIo, writer: NodeWriter, root: Reference, level: number): Promise<Reference> {
  let reference = root
  let place: NodePlace | undefined
  for (let at = level; at > 0; at--) {
    const node = { level: at, items: writer.itemsOf(reference) ?? (await io.readNode(reference, place)).items }
    if (node.items.length > 1) break
    reference = (node.items[0] as ChildNode).reference
    place = placeBelow(node as DirectoryNode, 0, place)
  }
  return reference
}

/** Makes `changes` in the nodes of one level; gives the changes that follow one level up. */
async function updateLevel(
  writer: NodeWriter,
  cursor: DirectoryCursor,
  level: number,
  changes: readonly Change[],
): Promise<readonly Change[]> {
  const above = new Map<string, Change>()
  let next = 0
  while (next < changes.length) {
    await cursor.seek(changes[next]!.name)
    const run = new Run(level)
    const replaced: string[] = []
    let isChanged = false
    do {
      const { items } = cursor.node
      replaced.push(items[0]!.name)
      const merged = mergeItems(run, items, changes, next, cursor.nextName())
      next = merged.next
      isChanged ||= merged.isChanged
    } while (!run.isBetweenNodes && (await cursor.next()))
    if (!isChanged) continue
    for (const name of replaced) above.set(name, { name, item: null })
    for (const node of await writer.write(level, run.finish())) above.set(node.name, { name: node.name, item: node })
  }
  return [...above.values()].sort((a, b) => compareNames(a.name, b.name))
}

/** Feeds `run` with `items` and the changes from index `from` on that lie before the name `limit`. */
function mergeItems(
  run: Run,
  items: readonly NodeItem[],
  changes: readonly Change[],
  from: number,
  limit: string | undefined,
): { readonly next: number; readonly isChanged: boolean } {
  let next = from
  let isChanged = false
  const change = () => {
    const candidate = changes[next]
    return candidate && (limit === undefined || compareNames(candidate.name, limit) < 0) ? candidate : undefined
  }
  for (const item of items) {
    let upcoming = change()
    for (; upcoming && compareNames(upcoming.name, item.name) < 0; upcoming = change()) {
      isChanged = takeNew(run, upcoming) || isChanged
      next++
    }
    if (upcoming?.name !== item.name) {
      run.take(item)
      continue
    }
    next++
    if (upcoming.item && isSame(upcoming.item, item)) run.take(item)
    else {
      isChanged = true
      if (upcoming.item) run.take(upcoming.item)
    }
  }
  for (let upcoming = change(); upcoming; upcoming = change()) {
    isChanged = takeNew(run, upcoming) || isChanged
    next++
  }
  return { next, isChanged }
}

function takeNew(run: Run, { item }: Change): boolean {
  if (item) run.take(item)
  return item !== null
}

function isSame(a: NodeItem, b: NodeItem): boolean {
  return a === b || ("kind" in a && "kind" in b && sameEntry(a, b))
}

function itemsOf(changes: readonly Change[]): readonly NodeItem[] {
  return changes.flatMap(({ item }) => (item ? [item] : []))
}

/** Items of one level on their way into nodes, from the start of a node on. */
class Run {
  readonly #cutter: NodeCutter
  readonly #groups: NodeItem[][] = []
  #open: NodeItem[] = []

  constructor(level: number) {
    this.#cutter = new NodeCutter(level)
  }

  /** True when the next item begins a node. */
  get isBetweenNodes(): boolean {
    return this.#open.length === 0
  }

  take(item: NodeItem): void {
    this.#open.push(item)
    if (!this.#cutter.endsAfter(item)) return
    this.#groups.push(this.#open)
    this.#open = []
  }

  /** The items of each node. */
  finish(): readonly (readonly NodeItem[])[] {
    if (this.#open.length > 0) this.#groups.push(this.#open)
    this.#open = []
    return this.#groups
  }
}

/** Writes nodes, and remembers those above the leaves as they cannot be read before their pack is stored. */
class NodeWriter {
  readonly #pack: NodePack
  readonly #written = new Map<Reference, readonly NodeItem[]>()

  constructor(pack: NodePack) {
    this.#pack = pack
  }

  /** Items of a node written here. */
  itemsOf(reference: Reference): readonly NodeItem[] | undefined {
    return this.#written.get(reference)
  }

  async write(level: number, groups: readonly (readonly NodeItem[])[]): Promise<readonly ChildNode[]> {
    const nodes: ChildNode[] = []
    for (const items of groups) {
      const node = { level, items } as DirectoryNode
      const encode = (holder: OpenPack) => encodeDirectoryNode(level, items, holder)
      const reference = await this.#pack.write(encode, decodeDirectoryNode, node)
      if (level > 0) this.#written.set(reference, items)
      nodes.push({ name: items[0]!.name, reference, count: entriesBelow(node) })
    }
    return nodes
  }
}
