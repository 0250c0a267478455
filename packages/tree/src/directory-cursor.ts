/** Walks the nodes of one level of a directory from left to right, from any name on. */
import { assert } from "@holdfast/core"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { type NodePlace, placeBelow } from "./node-place.ts"
import type { Reference } from "./reference.ts"

/** Position at a node of `level`. Begins nowhere: seek first. */
export class DirectoryCursor {
  readonly #io: TreeIo
  readonly #root: Reference
  readonly #level: number
  #path: { readonly node: DirectoryNode; readonly place: NodePlace | undefined; index: number }[] = []
  #node: DirectoryNode | undefined

  constructor(io: TreeIo, root: Reference, level: number) {
    this.#io = io
    this.#root = root
    this.#level = level
  }

  /** The node here. */
  get node(): DirectoryNode {
    assert(this.#node, "a cursor is used before seek")
    return this.#node
  }

  /** Goes to the node where `name` is or would be; to the first one without a name. */
  async seek(name?: string): Promise<void> {
    this.#path = []
    await this.#descend(await this.#io.readNode(this.#root), undefined, name)
  }

  /** Goes to the next node; false when this is the last. */
  async next(): Promise<boolean> {
    while (this.#path.length > 0) {
      const top = this.#path.at(-1)!
      if (++top.index < top.node.items.length) {
        const { node, place } = await this.#child(top)
        await this.#descend(node, place, undefined)
        return true
      }
      this.#path.pop()
    }
    return false
  }

  /** First name of the next node; undefined when this is the last. */
  nextName(): string | undefined {
    for (let depth = this.#path.length - 1; depth >= 0; depth--) {
      const { node, index } = this.#path[depth]!
      if (index + 1 < node.items.length) return node.items[index + 1]!.name
    }
    return undefined
  }

  async #descend(from: DirectoryNode, at: NodePlace | undefined, name: string | undefined): Promise<void> {
    let [node, place] = [from, at]
    while (node.level > this.#level) {
      const step = { node, place, index: name === undefined ? 0 : childIndex(node.items, name) }
      this.#path.push(step)
      ;({ node, place } = await this.#child(step))
    }
    this.#node = node
  }

  async #child(step: { readonly node: DirectoryNode; readonly place: NodePlace | undefined; readonly index: number }) {
    const place = placeBelow(step.node, step.index, step.place)
    const { reference } = step.node.items[step.index] as ChildNode
    return { node: await this.#io.readNode(reference, place), place }
  }
}

/** Index of the last item whose name is not after `name`; 0 when all are after it. */
export function childIndex(items: readonly { readonly name: string }[], name: string): number {
  let low = 0
  let high = items.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (compareNames(items[middle]!.name, name) <= 0) low = middle
    else high = middle
  }
  return low
}
