/** Everything below a directory: its entries with their paths, and the chunks that hold it all. */
import { HoldfastError, limits } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"
import { listPages } from "./directory.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { reach, tooDeep } from "./reach.ts"
import { type DirectoryRef, referenceKey } from "./reference.ts"

/** An entry and where it is. */
export interface WalkItem {
  readonly path: readonly string[]
  readonly entry: Entry
}

/**
 * All entries below `directory`, parents before what is in them, names in order. Junctions are not followed. Throws
 * ERR_LIMIT when the same directories come again and again.
 */
export async function* walk(
  io: TreeIo,
  directory: DirectoryRef,
  prefix: readonly string[] = [],
  guard = new RepeatGuard(),
): AsyncGenerator<WalkItem, void, void> {
  if (!directory) return
  const tell = guard.enter(referenceKey(directory))
  for await (const page of listPages(io, directory)) {
    tell(page.length)
    for (const entry of page) {
      const path = [...prefix, entry.name]
      if (path.length > limits.pathDepth) throw tooDeep()
      yield { path, entry }
      if (entry.kind === "directory") yield* walk(io, entry.reference, path, guard)
    }
  }
}

/**
 * Every chunk that `roots` need, each once (within bounds of memory), with those of files and manifests. Nodes that
 * several roots share are visited once. Throws at the first node that cannot be read.
 */
export async function* chunksOf(
  io: TreeIo,
  roots: DirectoryRef | readonly DirectoryRef[],
): AsyncGenerator<ChunkRef, void, void> {
  const all = Array.isArray(roots) ? (roots as readonly DirectoryRef[]) : [roots as DirectoryRef]
  const where = { path: [], version: "newest" } as const
  const starts = all.map((directory) => ({ directory, where }))
  for await (const met of reach(io, starts))
    if (met.kind === "lost") throw met.lost.error
    else if (met.kind === "chunk") yield met.chunk
}

/**
 * Keeps walks that tell every path from never ending: copies share directories, and sixty directories that each hold the next
 * one twice have more paths than can be told.
 */
export class RepeatGuard {
  readonly #seen = new Set<string>()
  #distinct = 0
  #repeated = 0

  /**
   * Begins a directory, known by its name here; gives what is to be called with the number of its entries as they are told, and
   * throws ERR_LIMIT when nearly all that is told was told before.
   */
  enter(directory: string): (entries: number) => void {
    const isKnown = this.#seen.has(directory)
    this.#seen.add(directory)
    return (entries) => {
      if (isKnown) this.#repeated += entries
      else this.#distinct += entries
      if (this.#repeated > Math.max(mostRepeated, mostCopies * this.#distinct)) throw this.#endless()
    }
  }

  #endless(): HoldfastError {
    return new HoldfastError(
      "ERR_LIMIT",
      `The same ${this.#distinct} entries are linked in so many places of this tree that ${this.#repeated} were told again, and there is no end to it. Name a place further down.`,
      { distinct: this.#distinct, repeated: this.#repeated },
    )
  }
}

/** Repeated entries that are always told, and how often each may come on average beyond that. */
const mostRepeated = 20_000
const mostCopies = 100
