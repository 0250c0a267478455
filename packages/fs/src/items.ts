/** Questions to items that every door has. */
import { isHoldfastError, toHex } from "@holdfast/core"
import { type Entry, RepeatGuard } from "@holdfast/tree"
import type { Item } from "./file-system.ts"

/** True for a directory and for a tree linked in. */
export function holdsEntries({ entry }: { readonly entry: Pick<Entry, "kind"> }): boolean {
  return entry.kind === "directory" || entry.kind === "junction"
}

/** True for the root of a tree: it has no mode and no time of its own. */
export function isBare({ entry }: Item): boolean {
  return entry.name === "" && entry.kind === "directory"
}

/** The same for all directories, and trees linked in, that hold the same now. */
export function identityOf({ entry }: Item): string {
  if (entry.kind === "junction") return `junction ${toHex(entry.readCap)}`
  if (entry.kind !== "directory" || !entry.reference) return "nothing"
  const { chunk, offset } = entry.reference
  return `${toHex(chunk.id)} ${offset}`
}

/**
 * An item and all below it, each directory before what is in it. Throws ERR_LIMIT when the same directories come again and
 * again without end. Without `links` what is linked in is not entered.
 */
export async function* walkItems(
  item: Item,
  path: readonly string[],
  { links = true, guard = new RepeatGuard() }: { readonly links?: boolean; readonly guard?: RepeatGuard } = {},
): AsyncGenerator<{ readonly path: readonly string[]; readonly item: Item }, void, void> {
  yield { path, item }
  if (!holdsEntries(item) || (!links && item.entry.kind === "junction")) return
  const tell = guard.enter(identityOf(item))
  let entries = 0
  try {
    for await (const [name, child] of item.owner.list(item)) {
      entries++
      tell(1)
      yield* walkItems(child, [...path, name], { links, guard })
    }
  } catch (error) {
    if (!isCircle(item, error) || entries > 0) throw error
  }
}

/** A file or many: what is below an item. */
export interface Size {
  readonly bytes: number
  readonly files: number
}

/** Sums below an item. What is linked in several places counts in each, and is read once. */
export async function sizeOf(item: Item, known = new Map<string, Size>()): Promise<Size> {
  if (item.entry.kind === "file") return { bytes: item.entry.size, files: 1 }
  if (!holdsEntries(item)) return { bytes: 0, files: 0 }
  const identity = identityOf(item)
  const before = known.get(identity)
  if (before) return before
  let [bytes, files] = [0, 0]
  let hasEntries = false
  try {
    for await (const [, child] of item.owner.list(item)) {
      hasEntries = true
      const below = await sizeOf(child, known)
      bytes += below.bytes
      files += below.files
    }
  } catch (error) {
    if (!isCircle(item, error) || hasEntries) throw error
  }
  const size = { bytes, files }
  known.set(identity, size)
  return size
}

/** A tree linked in itself: what is in it was told further above. */
function isCircle({ entry }: Item, error: unknown): boolean {
  return entry.kind === "junction" && isHoldfastError(error, "ERR_LIMIT")
}
