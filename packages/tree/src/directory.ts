/** Reading a directory: one name, a page of entries, the number of entries. */

import { childIndex } from "./directory-cursor.ts"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { entriesBelow, type NodePlace, placeBelow } from "./node-place.ts"
import type { DirectoryRef } from "./reference.ts"

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

/** As listDirectory, one node's entries at a time: faster for many entries. */
export async function* listPages(
  io: TreeIo,
  directory: DirectoryRef,
  { after }: ListOptions = {},
): AsyncGenerator<readonly Entry[], void, void> {
  if (!directory) return
  yield* pagesBelow(io, await io.readNode(directory), undefined, after)
}

/** How many entries the directory has. */
export async function countEntries(io: TreeIo, directory: DirectoryRef): Promise<number> {
  if (!directory) return 0
  return entriesBelow(await io.readNode(directory))
}

async function* pagesBelow(
  io: TreeIo,
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
  const items = node.items as readonly ChildNode[]
  const first = after === undefined ? 0 : childIndex(items, after)
  for (let i = first; i < items.length; i++) {
    const below = placeBelow(node, i, place)
    yield* pagesBelow(io, await io.readNode(items[i]!.reference, below), below, i === first ? after : undefined)
  }
}
