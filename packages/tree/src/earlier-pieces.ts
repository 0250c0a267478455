/**
 * The pieces that a file had, in step with those that it gets: so a piece that stays is known by who writes it, and no server is
 * asked for it. Only what lay at the same place of the same file counts, never another file (docs/threat-model.md).
 */
import { isHoldfastError } from "@holdfast/core"
import type { FileContent } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import type { ManifestItem } from "./manifest.ts"
import type { Reference } from "./reference.ts"

/** Goes through the pieces of a content once. */
export class EarlierPieces {
  #pieces: AsyncGenerator<ManifestItem, void, void> | undefined

  constructor(io: TreeIo, before: FileContent | undefined) {
    this.#pieces = before && piecesOf(io, before)
  }

  /** The piece that had the next `length` bytes; none any more once a boundary differs or something cannot be read. */
  async next(length: number): Promise<ManifestItem | undefined> {
    try {
      const next = await this.#pieces?.next()
      if (next && !next.done && next.value.length === length) return next.value
    } catch (error) {
      if (!isHoldfastError(error)) throw error // a version that is damaged must not keep the next from being stored
    }
    this.#pieces = undefined
    return undefined
  }
}

/** The pieces of a content that is not inline, in order. Throws what cannot be read. */
async function* piecesOf(io: TreeIo, content: FileContent): AsyncGenerator<ManifestItem, void, void> {
  if (content.form === "single") yield { length: content.size, reference: content.reference }
  if (content.form === "manifest") yield* itemsBelow(io, content.reference, content.size)
}

async function* itemsBelow(
  io: TreeIo,
  reference: Reference,
  length: number,
  level?: number,
): AsyncGenerator<ManifestItem, void, void> {
  const node = await io.readManifest(reference, { length, ...(level !== undefined && { level }) })
  for (const item of node.items)
    if (node.level === 0) yield item
    else yield* itemsBelow(io, item.reference!, item.length, node.level - 1)
}
