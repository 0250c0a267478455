/**
 * Everything that directories and files stand on: their chunks, and the trees that are linked in. A node that cannot be read
 * is told with its path, and the walk goes on with the rest.
 */
import { type CryptoProvider, HoldfastError, hashSmall, limits, utf8 } from "@holdfast/core"
import { type ChunkRef, mostIdsAtOnce, RecentIds } from "@holdfast/store"
import { isDamage, type LostNode, type Whereabouts } from "./damage.ts"
import type { ChildNode } from "./directory-node.ts"
import type { Entry, JunctionEntry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { type ManifestPlace, type NodePlace, placeBelow, placeKey } from "./node-place.ts"
import { type DirectoryRef, type Reference, referenceKey } from "./reference.ts"
import type { RootContent } from "./root.ts"
import type { Path } from "./session.ts"

/** One thing that was met. */
export type Reached =
  | { readonly kind: "chunk"; readonly chunk: ChunkRef; readonly where: Whereabouts }
  | { readonly kind: "junction"; readonly junction: JunctionEntry; readonly where: Whereabouts }
  | { readonly kind: "lost"; readonly lost: LostNode }

/** A directory to begin at. */
export interface ReachStart {
  readonly directory: DirectoryRef
  readonly where: Whereabouts
}

/** How far to go. */
export interface ReachOptions {
  /** False: the directories themselves, and nothing of what is in them. */
  readonly deep?: boolean
  /** What was met before, shared between walks so that nothing is told twice (within bounds of memory). */
  readonly seen?: Seen
  /** Hears of every reference to bytes of a chunk, and of every entry, of the directories and lists that are visited. */
  readonly onReference?: (reference: Reference) => void
  readonly onEntry?: (entry: Entry) => void
}

const newest: Whereabouts = { path: [], version: "newest" }

/** All that `starts` stand on; nodes that several share are visited once, and named by the first place. */
export async function* reach(
  io: TreeIo,
  starts: readonly ReachStart[],
  options: ReachOptions = {},
): AsyncGenerator<Reached, void, void> {
  const walk = new Reach(io, options)
  for (const { directory, where } of starts) if (directory) yield* walk.directory(directory, where)
}

/** All that `entry` stands on, with what is below it; `where` is its place. */
export async function* reachEntry(
  io: TreeIo,
  entry: Entry,
  where: Whereabouts = newest,
  options: ReachOptions = {},
): AsyncGenerator<Reached, void, void> {
  yield* new Reach(io, options).entry(entry, where)
}

/** Where the walk over all that a tree keeps begins: its root, its snapshots, its past roots. */
export function startsOf({ root, snapshots, history }: RootContent): ReachStart[] {
  return [
    { directory: root, where: newest },
    { directory: snapshots, where: { path: [], version: "snapshots" } },
    ...history.map(({ sequence, root: directory }) => ({ directory, where: { path: [], version: sequence } })),
  ]
}

class Reach {
  readonly #io: TreeIo
  readonly #options: ReachOptions
  readonly #seen: Seen

  constructor(io: TreeIo, options: ReachOptions) {
    this.#io = io
    this.#options = options
    this.#seen = options.seen ?? new Seen(io.env.crypto)
  }

  async *directory(reference: Reference, where: Whereabouts, place?: NodePlace): AsyncGenerator<Reached, void, void> {
    if (!this.#seen.addNode(reference, place ? placeKey(place) : "")) return
    yield* this.#chunk(reference, where) // before it is read, so that a lost one is told
    const node = await this.#readable("directory", reference, where, () => {
      const most = limits.pathDepth + (where.version === "snapshots" ? 1 : 0) // the snapshot's name
      if (where.path.length > most) throw tooDeep()
      return this.#io.readNode(reference, place)
    })
    if ("kind" in node) {
      yield node
      return
    }
    for (const [i, item] of node.items.entries())
      if (!("kind" in item)) yield* this.directory((item as ChildNode).reference, where, placeBelow(node, i, place))
      else if (this.#options.deep ?? true) yield* this.entry(item, within(where, item.name))
  }

  async *entry(entry: Entry, where: Whereabouts): AsyncGenerator<Reached, void, void> {
    this.#options.onEntry?.(entry)
    if (entry.kind === "junction") yield { kind: "junction", junction: entry, where }
    else if (entry.kind === "directory" && entry.reference) yield* this.directory(entry.reference, where)
    else if (entry.kind === "file" && entry.content.form === "single")
      yield* this.#chunk(entry.content.reference, where)
    else if (entry.kind === "file" && entry.content.form === "manifest")
      yield* this.#manifest(entry.content.reference, where, { length: entry.content.size })
  }

  async *#manifest(
    reference: Reference,
    where: Whereabouts,
    place: ManifestPlace,
  ): AsyncGenerator<Reached, void, void> {
    if (!this.#seen.addNode(reference, `${place.length}:${place.level ?? ""}`)) return
    yield* this.#chunk(reference, where)
    const node = await this.#readable("file", reference, where, () => this.#io.readManifest(reference, place))
    if ("kind" in node) {
      yield node
      return
    }
    for (const item of node.items)
      if (!item.reference) continue
      else if (node.level === 0) yield* this.#chunk(item.reference, where)
      else yield* this.#manifest(item.reference, where, { length: item.length, level: node.level - 1 })
  }

  /** What `read` gives; for a node that cannot be read, that. */
  async #readable<T>(
    what: LostNode["what"],
    { chunk }: Reference,
    where: Whereabouts,
    read: () => Promise<T>,
  ): Promise<T | { readonly kind: "lost"; readonly lost: LostNode }> {
    try {
      return await read()
    } catch (error) {
      if (!isDamage(error)) throw error
      return { kind: "lost", lost: { ...where, what, chunk: chunk.id, error } }
    }
  }

  *#chunk(reference: Reference, where: Whereabouts): Generator<Reached, void, void> {
    const { chunk } = reference
    this.#options.onReference?.(reference)
    if (this.#seen.chunks.add(chunk.id)) yield { kind: "chunk", chunk, where }
  }
}

function within({ path, version }: Whereabouts, name: string): Whereabouts {
  return { path: [...path, name] as Path, version }
}

/** The error for a directory below more others than there may be. */
export function tooDeep(): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `A directory is nested deeper than ${limits.pathDepth}: this tree is damaged.`)
}

/**
 * Most nodes remembered, in 35 MB; beyond it some may be visited twice. Of chunks few need to be: nearly all that lies in one is met on
 * end, and who must not hear of any twice keeps a set of all.
 */
const maxNodes = mostIdsAtOnce
const maxChunks = 100_000
const nodeDomain = "holdfast/seen-node"

/** Chunks and nodes that were met. */
export class Seen {
  readonly chunks: RecentIds
  readonly #nodes: RecentIds

  constructor(crypto: Pick<CryptoProvider, "random">) {
    this.chunks = new RecentIds(crypto, maxChunks)
    this.#nodes = new RecentIds(crypto, maxNodes)
  }

  /**
   * False for a node that was met at a place that asks the same of it: what was seen elsewhere may be wrong here. Remembered by hashes:
   * two that meet would leave out what is needed, whoever chose them.
   */
  addNode(reference: Reference, place: string): boolean {
    return this.#nodes.add(hashSmall(nodeDomain, utf8(`${referenceKey(reference)} ${place}`)))
  }
}
