/** Reading a directory: one name, a page of entries, the number of entries. */

import { childIndex } from "./directory-cursor.ts"
import type { ChildNode } from "./directory-node.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
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
  while (node.level > 0) {
    const items = node.items as readonly ChildNode[]
    const child = items[childIndex(items, name)]!
    node = await io.readNode(child.reference, child, node.level - 1)
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
  yield* pagesBelow(io, await io.readNode(directory), after)
}

/** How many entries the directory has. */
export async function countEntries(io: TreeIo, directory: DirectoryRef): Promise<number> {
  if (!directory) return 0
  const node = await io.readNode(directory)
  if (node.level === 0) return node.items.length
  return (node.items as readonly ChildNode[]).reduce((sum, child) => sum + child.count, 0)
}

async function* pagesBelow(
  io: TreeIo,
  node: Awaited<ReturnType<TreeIo["readNode"]>>,
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
    const child = items[i]!
    yield* pagesBelow(io, await io.readNode(child.reference, child, node.level - 1), i === first ? after : undefined)
  }
}
