/** The chunks that entries stand on, with the trees linked in on the way. */
import { toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import {
  chunksOfFile,
  type DirectoryRef,
  type Entry,
  type JunctionEntry,
  type Reference,
  type TreeIo,
} from "@holdfast/tree"

/** A chunk, or a tree that is linked in. */
export type Reached = { readonly chunk: ChunkId } | { readonly junction: JunctionEntry }

/** How far to go. */
export interface ReachOptions {
  /** Into directories below, not only the entry itself. */
  readonly deep: boolean
  /** Nodes visited already, shared between roots that share nodes. */
  readonly seen?: Set<string>
}

/** What `entry` stands on: its content, and with `deep` all below it. */
export async function* reach(io: TreeIo, entry: Entry, options: ReachOptions): AsyncGenerator<Reached, void, void> {
  if (entry.kind === "directory") yield* reachDirectory(io, entry.reference, options)
  else if (entry.kind === "junction") yield { junction: entry }
  else if (entry.kind === "file") {
    if (entry.content.form === "single") yield { chunk: entry.content.reference.chunk.id }
    else if (entry.content.form === "manifest")
      for await (const chunk of chunksOfFile(io, entry)) yield { chunk: chunk.id }
  }
}

/** What a directory stands on. */
export async function* reachDirectory(
  io: TreeIo,
  directory: DirectoryRef,
  { deep, seen = new Set() }: ReachOptions,
): AsyncGenerator<Reached, void, void> {
  if (directory) yield* reachNode(io, directory, { deep, seen })
}

async function* reachNode(
  io: TreeIo,
  reference: Reference,
  options: Required<ReachOptions>,
): AsyncGenerator<Reached, void, void> {
  const key = `${toHex(reference.chunk.id)}:${reference.offset}`
  if (options.seen.has(key)) return
  options.seen.add(key)
  yield { chunk: reference.chunk.id } // before it is read, so that a lost one is told
  const node = await io.readNode(reference)
  for (const item of node.items)
    if (!("kind" in item)) yield* reachNode(io, item.reference, options)
    else if (options.deep) yield* reach(io, item, options)
}
