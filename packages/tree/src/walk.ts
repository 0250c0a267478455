/** Everything below a directory: its entries with their paths, and the chunks that hold it all. */
import { limits } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"
import { listPages } from "./directory.ts"
import type { Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { reach, tooDeep } from "./reach.ts"
import { type DirectoryRef, referenceKey } from "./reference.ts"
import { RepeatGuard } from "./repeat-guard.ts"

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
  // A stack, not a generator in a generator: an entry far down would pass through all of those above it.
  const open = [new OpenDirectory(io, directory, prefix, guard)]
  for (let top = open.at(-1); top; top = open.at(-1)) {
    const entry = await top.next()
    if (!entry) {
      open.pop()
      continue
    }
    const path = [...top.path, entry.name]
    if (path.length > limits.pathDepth) throw tooDeep()
    yield { path, entry }
    if (entry.kind === "directory") open.push(new OpenDirectory(io, entry.reference, path, guard))
  }
}

/** The entries of one directory, one after another. */
class OpenDirectory {
  readonly path: readonly string[]
  readonly #pages: AsyncIterator<readonly Entry[]>
  readonly #tell: (entries: number) => void
  #page: readonly Entry[] = []
  #at = 0

  constructor(io: TreeIo, directory: DirectoryRef, path: readonly string[], guard: RepeatGuard) {
    this.path = path
    this.#pages = listPages(io, directory)
    this.#tell = directory ? guard.enter(referenceKey(directory)) : () => undefined
  }

  async next(): Promise<Entry | undefined> {
    if (this.#at >= this.#page.length) {
      const page = await this.#pages.next()
      if (page.done) return undefined
      this.#tell(page.value.length)
      this.#page = page.value
      this.#at = 0
    }
    return this.#page[this.#at++]
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
