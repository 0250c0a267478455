/** Reading a directory: one name, a page of entries, the number of entries. */
import { equal } from "@holdfast/core"
import { childIndex } from "./directory-cursor.ts"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { entriesBelow, type NodePlace, placeBelow } from "./node-place.ts"
import type { DirectoryRef } from "./reference.ts"

/** Leaves of a directory of more entries are not kept when it is listed: they would go again before anyone asks for them. */
const mostKept = 10_000

/** Where a listing begins. */
export interface ListOptions {
  /** Only names after this one. */
  readonly after?: string
}

/** The entry called `name`; undefined when there is none. Reads one node of each level. */
export async function lookupEntry(io: TreeIo, directory: DirectoryRef, name: string): Promise<Entry | undefined> {
  if (!directory) return undefined
  let node = await io.readNode(directory)
  let place: NodePlace | undefined
  while (node.level > 0) {
    const items = node.items as readonly ChildNode[]
    const index = childIndex(items, name)
    place = placeBelow(node, index, place)
    node = await io.readNode(items[index]!.reference, place)
  }
  const items = node.items as readonly Entry[]
  const found = items[childIndex(items, name)]!
  return found.name === name ? found : undefined
}

/** All entries in order, read node by node while they are consumed, the next node ahead. */
export async function* listDirectory(
  io: TreeIo,
  directory: DirectoryRef,
  { after }: ListOptions = {},
): AsyncGenerator<Entry, void, void> {
  for await (const page of listPages(io, directory, { ...(after === undefined ? {} : { after }) })) yield* page
}

/** As listDirectory, one node's entries at a time: faster for many entries. The next chunk with nodes is read ahead. */
export async function* listPages(
  io: TreeIo,
  directory: DirectoryRef,
  { after }: ListOptions = {},
): AsyncGenerator<readonly Entry[], void, void> {
  if (!directory) return
  const root = await io.readNode(directory)
  const isKept = entriesBelow(root) <= mostKept
  yield* pagesBelow({ io, isKept }, root, undefined, after)
}

/** How many entries the directory has. */
export async function countEntries(io: TreeIo, directory: DirectoryRef): Promise<number> {
  if (!directory) return 0
  return entriesBelow(await io.readNode(directory))
}

/** How leaves are read. */
interface Reading {
  readonly io: TreeIo
  readonly isKept: boolean
}

async function* pagesBelow(
  reading: Reading,
  node: DirectoryNode,
  place: NodePlace | undefined,
  after: string | undefined,
): AsyncGenerator<readonly Entry[], void, void> {
  if (node.level === 0) {
    const entries = node.items as readonly Entry[]
    const page = after === undefined ? entries : entries.filter(({ name }) => compareNames(name, after) > 0)
    if (page.length > 0) yield page
    return
  }
  const { io, isKept } = reading
  const items = node.items as readonly ChildNode[]
  const first = after === undefined ? 0 : childIndex(items, after)
  let aheadOf = first
  for (let i = first; i < items.length; i++) {
    const below = placeBelow(node, i, place)
    const child = await io.readNode(items[i]!.reference, below, { isKept: isKept || below.level > 0 })
    yield* pagesBelow(reading, child, below, i === first ? after : undefined)
    if (i >= aheadOf) aheadOf = readNextChunk(io, items, i) // now that the reader is known to want more than one
  }
}

/** Begins to read the next chunk that holds one of `items` after the `index`-th; gives which one, or how many there are. */
function readNextChunk(io: TreeIo, items: readonly ChildNode[], index: number): number {
  const { chunk } = items[index]!.reference
  let next = index + 1
  const isHere = ({ reference }: ChildNode) => equal(reference.chunk.id, chunk.id) || io.hasNode(reference)
  while (next < items.length && isHere(items[next]!)) next++
  if (next < items.length) io.readAhead(items[next]!.reference, Promise.resolve(true))
  return next
}
