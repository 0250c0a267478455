/**
 * Makes the manifest of a file from left to right, out of pieces and of nodes that stay as they are. A node that would get few
 * items is joined with the one before it, so that a file changed again and again is as flat as one written at once.
 */
import { HoldfastError } from "@holdfast/core"
import type { TreeIo } from "./io.ts"
import {
  decodeManifestNode,
  encodeManifestNode,
  type ManifestItem,
  type ManifestNode,
  maxManifestLevel,
} from "./manifest.ts"
import type { NodePack } from "./pack.ts"
import { PackedReference, type Reference } from "./reference.ts"

/** What a builder stands on. */
export interface ManifestBuilderDeps {
  readonly io: TreeIo
  /** Takes the nodes; its owner seals it at the end. */
  readonly pack: NodePack
  /** Waits until those of `items` that are being stored are. */
  readonly stored: (items: readonly ManifestItem[]) => Promise<void>
  /** Most items of a node that is made. */
  readonly mostItems: number
}

/** The top of what was built: the only piece at level -1, else a node of that level. It refers to something. */
export interface ManifestTop {
  readonly level: number
  readonly item: ManifestItem
}

/** Builds one manifest. Its methods are called one after another. */
export class ManifestBuilder {
  readonly #deps: ManifestBuilderDeps
  /** Items that no node has yet, by level; those of higher levels come before those of lower ones. */
  readonly #open: ManifestItem[][] = [[]]
  /** Items of nodes made here, which cannot be read before their pack is sealed. */
  readonly #made = new WeakMap<Reference, readonly ManifestItem[]>()

  constructor(deps: ManifestBuilderDeps) {
    this.#deps = deps
  }

  /** Adds a piece, or a hole, which becomes one with the hole before it. */
  async addPiece(item: ManifestItem): Promise<void> {
    const pieces = this.#at(0)
    const last = pieces.at(-1)
    if (item.reference || !last || last.reference) return this.#add(0, item)
    pieces[pieces.length - 1] = { length: last.length + item.length, reference: null }
  }

  /** Adds a node of `level` as it is, with all below it. */
  async addNode(item: ManifestItem, level: number): Promise<void> {
    for (let below = 0; below < level; below++) await this.#close(below)
    const beside = this.#at(level)
    // Too little for a node, and nothing before it: what comes is opened instead.
    if (beside.length > 0 && this.#isFew(beside) && !this.#hasAbove(level)) {
      const opened = await this.#nodeOf(item, level)
      for (const child of opened?.items ?? []) await this.#add(level, child)
      if (opened) return
    }
    await this.#close(level)
    await this.#add(level + 1, item)
  }

  /** Ends the manifest; undefined when nothing was added. Throws ERR_LIMIT when it has more levels than there may be. */
  async finish(): Promise<ManifestTop | undefined> {
    if (this.#open.every((items) => items.length === 0)) return undefined
    for (let level = 0; ; level++) {
      const items = this.#at(level)
      const isTop = items.length === 1 && !this.#hasAbove(level)
      if (isTop && items[0]!.reference) return { level: level - 1, item: items[0]! }
      await this.#close(level)
    }
  }

  async #add(level: number, item: ManifestItem): Promise<void> {
    const { mostItems } = this.#deps
    const items = this.#at(level)
    items.push(item)
    // So much stays that what comes last has enough for a node.
    if (items.length >= 2 * mostItems) await this.#add(level + 1, await this.#write(level, items.splice(0, mostItems)))
  }

  /** Makes nodes of all items of a level that have none. */
  async #close(level: number): Promise<void> {
    const items = this.#at(level)
    if (items.length === 0) return
    if (this.#isFew(items)) await this.#takeFromLeft(level)
    const all = items.splice(0)
    const nodes = Math.ceil(all.length / this.#deps.mostItems)
    for (let i = 0; i < nodes; i++) {
      const [start, end] = [i, i + 1].map((part) => Math.round((part * all.length) / nodes))
      await this.#add(level + 1, await this.#write(level, all.slice(start, end)))
    }
  }

  /** Opens the node before the items of a level: they become one list. */
  async #takeFromLeft(level: number): Promise<void> {
    let from = level + 1
    while (from < this.#open.length && this.#at(from).length === 0) from++
    for (; from > level && from < this.#open.length; from--) {
      const item = this.#at(from).at(-1)!
      const node = await this.#nodeOf(item, from - 1)
      if (!node) return
      this.#at(from).pop()
      const items = this.#at(from - 1)
      const [last, first] = [node.items.at(-1)!, items[0]]
      const isOneHole = !last.reference && first && !first.reference
      if (isOneHole) items[0] = { length: last.length + first.length, reference: null }
      items.unshift(...(isOneHole ? node.items.slice(0, -1) : node.items))
    }
  }

  /** The node of `level` that an item refers to; undefined when it lies in a pack that is not stored yet. */
  async #nodeOf({ length, reference }: ManifestItem, level: number): Promise<Pick<ManifestNode, "items"> | undefined> {
    const made = this.#made.get(reference!)
    if (made) return { items: made }
    if (reference instanceof PackedReference && !reference.pack.chunk) return undefined
    return this.#deps.io.readManifest(reference!, { length, level })
  }

  async #write(level: number, items: readonly ManifestItem[]): Promise<ManifestItem> {
    if (level > maxManifestLevel)
      throw new HoldfastError("ERR_LIMIT", "The list of a file's pieces has more levels than there may be.")
    await this.#deps.stored(items)
    const encode = (holder: Parameters<typeof encodeManifestNode>[2]) => encodeManifestNode(level, items, holder)
    const reference = await this.#deps.pack.write(encode, decodeManifestNode)
    this.#made.set(reference, items)
    return { length: items.reduce((sum, { length }) => sum + length, 0), reference }
  }

  #at(level: number): ManifestItem[] {
    while (this.#open.length <= level) this.#open.push([])
    return this.#open[level]!
  }

  #hasAbove(level: number): boolean {
    return this.#open.slice(level + 1).some((items) => items.length > 0)
  }

  #isFew(items: readonly ManifestItem[]): boolean {
    return items.length < this.#deps.mostItems / 4
  }
}
