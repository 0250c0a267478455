/**
 * What a tree has where a local walk is. Both go through names in the same order, so the tree's directories are read along with the
 * walk, a node at a time, and none of them is ever held as a whole.
 */
import { compareNames } from "@holdfast/tree"
import type { Item, Writer } from "../file-system.ts"

/** The entries of one directory of the tree, as far as the walk has come. */
interface Listing {
  readonly entries: ReturnType<Writer["list"]>
  /** The first entry that the walk has not passed; undefined at the end. */
  head: readonly [name: string, item: Item] | undefined
}

/** Follows a walk that goes depth first, each folder before what is in it, names in the order of trees. */
export class InStep {
  readonly #writer: Pick<Writer, "list">
  readonly #root: readonly string[]
  /** Of the folders that the walk is in, by depth. */
  readonly #open: Listing[] = []

  /** `root`: where in the tree the root of the walk lies. */
  constructor(writer: Pick<Writer, "list">, root: readonly string[]) {
    this.#writer = writer
    this.#root = root
  }

  /** What the tree has at `path` below the root, of one name at least; the walk has come there just now. */
  async at(path: readonly string[]): Promise<Item | undefined> {
    const depth = path.length - 1
    await this.#leave(path.length)
    const name = path[depth]!
    let listing = this.#open[depth]
    if (!listing) {
      const entries = this.#writer.list([...this.#root, ...path.slice(0, -1)])
      listing = { entries, head: await nextOf(entries) }
      this.#open[depth] = listing
    }
    for (; listing.head; listing.head = await nextOf(listing.entries)) {
      const order = compareNames(listing.head[0], name)
      if (order > 0) return undefined
      if (order === 0) return listing.head[1]
    }
    return undefined
  }

  /** Ends what it is reading. */
  async close(): Promise<void> {
    await this.#leave(0)
  }

  async #leave(depth: number): Promise<void> {
    while (this.#open.length > depth) await this.#open.pop()?.entries.return()
  }
}

async function nextOf(entries: Listing["entries"]): Promise<Listing["head"]> {
  const step = await entries.next()
  return step.done ? undefined : step.value
}
