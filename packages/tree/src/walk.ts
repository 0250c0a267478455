/** Everything below a directory: its entries with their paths, and the chunks that hold it all. */
import { HoldfastError, limits, toHex } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"
import { listPages } from "./directory.ts"
import type { ChildNode } from "./directory-node.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { type DirectoryRef, type Reference, referenceKey } from "./reference.ts"

/** An entry and where it is. */
export interface WalkItem {
  readonly path: readonly string[]
  readonly entry: Entry
}

/** All entries below `directory`, parents before what is in them, names in order. Junctions are not followed. */
export async function* walk(
  io: TreeIo,
  directory: DirectoryRef,
  prefix: readonly string[] = [],
): AsyncGenerator<WalkItem, void, void> {
  for await (const page of listPages(io, directory)) {
    for (const entry of page) {
      const path = [...prefix, entry.name]
      if (path.length > limits.pathDepth) throw tooDeep()
      yield { path, entry }
      if (entry.kind === "directory") yield* walk(io, entry.reference, path)
    }
  }
}

/** Most names remembered of chunks and nodes seen; beyond it some may come twice. */
const maxSeen = 2_000_000

/**
 * Every chunk that `roots` need, each once (within bounds of memory), with those of files and manifests. Nodes that
 * several roots share are visited once.
 */
export async function* chunksOf(
  io: TreeIo,
  roots: DirectoryRef | readonly DirectoryRef[],
): AsyncGenerator<ChunkRef, void, void> {
  const seen: Seen = { chunks: new BoundedSet(maxSeen), nodes: new BoundedSet(maxSeen) }
  for (const root of Array.isArray(roots) ? (roots as readonly DirectoryRef[]) : [roots as DirectoryRef])
    if (root) yield* chunksBelow(io, root, seen)
}

/** Every chunk of one file. */
export async function* chunksOfFile(io: TreeIo, entry: Entry): AsyncGenerator<ChunkRef, void, void> {
  yield* chunksOfEntry(io, entry, { chunks: new BoundedSet(maxSeen), nodes: new BoundedSet(maxSeen) })
}

interface Seen {
  readonly chunks: BoundedSet
  readonly nodes: BoundedSet
}

async function* chunksBelow(
  io: TreeIo,
  reference: Reference,
  seen: Seen,
  depth = 0,
  level?: number,
): AsyncGenerator<ChunkRef, void, void> {
  if (depth > limits.pathDepth) throw tooDeep()
  if (!seen.nodes.add(referenceKey(reference))) return
  yield* once(reference, seen)
  const node = await io.readNode(reference, undefined, level)
  for (const item of node.items) {
    if ("kind" in item) yield* chunksOfEntry(io, item, seen, depth + 1)
    else yield* chunksBelow(io, (item as ChildNode).reference, seen, depth, node.level - 1)
  }
}

async function* chunksOfEntry(io: TreeIo, entry: Entry, seen: Seen, depth = 0): AsyncGenerator<ChunkRef, void, void> {
  if (entry.kind === "directory" && entry.reference) yield* chunksBelow(io, entry.reference, seen, depth)
  if (entry.kind !== "file" || entry.content.form === "inline") return
  if (entry.content.form === "single") yield* once(entry.content.reference, seen)
  else yield* chunksOfManifest(io, entry.content.reference, seen)
}

async function* chunksOfManifest(
  io: TreeIo,
  reference: Reference,
  seen: Seen,
  level?: number,
): AsyncGenerator<ChunkRef, void, void> {
  if (!seen.nodes.add(referenceKey(reference))) return
  yield* once(reference, seen)
  const node = await io.readManifest(reference, level)
  for (const item of node.items) {
    if (!item.reference) continue
    if (node.level === 0) yield* once(item.reference, seen)
    else yield* chunksOfManifest(io, item.reference, seen, node.level - 1)
  }
}

function* once({ chunk }: Reference, seen: Seen): Generator<ChunkRef, void, void> {
  if (seen.chunks.add(toHex(chunk.id))) yield chunk
}

function tooDeep(): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `A directory is nested deeper than ${limits.pathDepth}: this tree is damaged.`)
}

/** A set that begins anew when it is full. */
class BoundedSet {
  readonly #items = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  /** False when `item` was there. */
  add(item: string): boolean {
    if (this.#items.has(item)) return false
    if (this.#items.size >= this.#max) this.#items.clear()
    this.#items.add(item)
    return true
  }
}
