/** Files that have several names: hard links. Each name is stored as a file of its own, but its content is read once. */
import type { LocalItem } from "./local.ts"

/** The content of a file that is being stored; undefined when it could not be. */
export type Linked<T> = Promise<T | undefined>

/** Remembers files until all their names came by. */
export class LinkedFiles<T> {
  readonly #known = new Map<string, { content: Linked<T>; left: bigint }>()
  readonly #seen = new Map<string, bigint>()

  /** The content of the file if it was stored under another name. */
  find(item: LocalItem): Linked<T> | undefined {
    const key = keyOf(item)
    const known = key === undefined ? undefined : this.#known.get(key)
    if (!known) return undefined
    if (--known.left <= 0n) this.#known.delete(key!)
    return known.content
  }

  /** The file is being stored for the first time. */
  keep(item: LocalItem, content: Linked<T>): void {
    const key = keyOf(item)
    if (key !== undefined) this.#known.set(key, { content, left: item.links - 1n })
  }

  /** True when another name of the file was counted before. */
  isAgain(item: LocalItem): boolean {
    const key = keyOf(item)
    if (key === undefined) return false
    const left = this.#seen.get(key)
    if ((left ?? item.links) <= 1n) this.#seen.delete(key)
    else this.#seen.set(key, (left ?? item.links) - 1n)
    return left !== undefined
  }
}

/** With size and time: a file that was written to since, or another that has the number of one removed, has other content. */
function keyOf({ kind, links, dev, ino, sizeBytes, mtimeNs }: LocalItem): string | undefined {
  return kind === "file" && links > 1n ? `${dev}:${ino}:${sizeBytes}:${mtimeNs}` : undefined
}
