/** What a file had before a patch: read in parts, and taken over piece by piece and node by node without being read. */
import type { FileContent } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import type { ManifestItem, ManifestNode } from "./manifest.ts"
import type { ManifestBuilder } from "./manifest-builder.ts"
import { RandomReader } from "./random-reader.ts"
import { isOwnChunk, packedFileBytes, type Reference } from "./reference.ts"

interface Range {
  readonly start: number
  readonly end: number
}

/** One content. */
export class EarlierContent {
  readonly #io: TreeIo
  readonly #content: FileContent
  readonly #reader: RandomReader

  constructor(io: TreeIo, content: FileContent) {
    this.#io = io
    this.#content = content
    this.#reader = new RandomReader(io, content, { readAhead: false })
  }

  /** Its bytes from `start` to `end`, which are within it; never change them. */
  read(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return this.#reader.read(start, end - start, { signal })
  }

  /** Adds what is from `start` to `end`; nodes that lie between as a whole are not read. `store` is for bytes that have no chunk. */
  async copyTo(
    builder: ManifestBuilder,
    { start, end }: Range,
    store: (bytes: Uint8Array) => Promise<ManifestItem>,
  ): Promise<void> {
    const content = this.#content
    if (content.form === "inline") return builder.addPiece(await store(content.bytes.slice(start, end)))
    const root = await this.#root()
    const isWhole = start === 0 && end === content.size
    if (isWhole && content.form === "manifest")
      return builder.addNode({ length: end, reference: content.reference }, root.level)
    await this.#copyBelow(builder, root, { start, end })
  }

  /** How many pieces and holes lie between `start` and `end`, counted up to `most`. */
  async countPieces({ start, end }: Range, most: number): Promise<number> {
    const stop = Math.min(end, this.#content.size)
    if (start >= stop || this.#content.form === "inline") return 0
    return this.#countBelow(await this.#root(), { start, end: stop }, most)
  }

  async #root(): Promise<ManifestNode> {
    const { form, size } = this.#content
    if (form === "manifest") return this.#io.readManifest(this.#content.reference, { length: size })
    const items = form === "single" ? [{ length: size, reference: this.#content.reference }] : []
    return { level: 0, items }
  }

  async #copyBelow(builder: ManifestBuilder, node: ManifestNode, range: Range): Promise<void> {
    for (const { item, start, end } of itemsIn(node, range)) {
      const isWhole = start === 0 && end === item.length
      if (node.level === 0) for (const part of partsOf(item, start, end)) await builder.addPiece(part)
      else if (isWhole) await builder.addNode(item, node.level - 1)
      else await this.#copyBelow(builder, await this.#child(node, item), { start, end })
    }
  }

  async #countBelow(node: ManifestNode, range: Range, most: number): Promise<number> {
    let count = 0
    for (const { item, start, end } of itemsIn(node, range)) {
      count +=
        node.level === 0 ? 1 : await this.#countBelow(await this.#child(node, item), { start, end }, most - count)
      if (count >= most) return count
    }
    return count
  }

  #child({ level }: ManifestNode, { length, reference }: ManifestItem): Promise<ManifestNode> {
    return this.#io.readManifest(reference!, { length, level: level - 1 })
  }
}

/** The items of a node that reach into a range, and which part of each does. */
function* itemsIn(
  { items }: ManifestNode,
  range: Range,
): Generator<Range & { readonly item: ManifestItem }, void, void> {
  let at = 0
  for (const item of items) {
    const start = Math.max(range.start - at, 0)
    const end = Math.min(range.end - at, item.length)
    at += item.length
    if (start < end) yield { item, start, end }
  }
}

/** A part of a piece, in two where one would look as if nothing else were in its chunk. */
function partsOf(item: ManifestItem, start: number, end: number): readonly ManifestItem[] {
  if (start === 0 && end === item.length) return [item]
  if (!item.reference) return [{ length: end - start, reference: null }]
  const { chunk, offset } = item.reference
  const part = (from: number, to: number): ManifestItem => {
    const reference: Reference = { chunk, offset: offset + from, length: to - from }
    return { length: to - from, reference }
  }
  if (!isOwnChunk(part(start, end).reference!)) return [part(start, end)]
  return [part(start, start + packedFileBytes), part(start + packedFileBytes, end)]
}
