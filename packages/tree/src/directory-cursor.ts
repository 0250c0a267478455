/** Walks the nodes of one level of a directory from left to right, from any name on. */
import { assert } from "@holdfast/core"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import type { Reference } from "./reference.ts"

/** Position at a node of `level`. Begins nowhere: seek first. */
export class DirectoryCursor {
  readonly #io: TreeIo
  readonly #root: Reference
  readonly #level: number
  #path: { readonly items: readonly ChildNode[]; index: number }[] = []
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
    await this.#descend(await this.#io.readNode(this.#root), name)
  }

  /** Goes to the next node; false when this is the last. */
  async next(): Promise<boolean> {
    while (this.#path.length > 0) {
      const top = this.#path.at(-1)!
      if (++top.index < top.items.length) {
        const child = top.items[top.index]!
        const level = this.#node!.level + this.#depthBelow()
        await this.#descend(await this.#io.readNode(child.reference, child, level), undefined)
        return true
      }
      this.#path.pop()
    }
    return false
  }

  /** First name of the next node; undefined when this is the last. */
  nextName(): string | undefined {
    for (let depth = this.#path.length - 1; depth >= 0; depth--) {
      const { items, index } = this.#path[depth]!
      if (index + 1 < items.length) return items[index + 1]!.name
    }
    return undefined
  }

  #rootLevel = 0

  /** Levels between the node here and the children of the last node on the path. */
  #depthBelow(): number {
    return this.#rootLevel - this.#path.length - this.#level
  }

  async #descend(from: DirectoryNode, name: string | undefined): Promise<void> {
    if (this.#path.length === 0) this.#rootLevel = from.level
    let node = from
    while (node.level > this.#level) {
      const items = node.items as readonly ChildNode[]
      const index = name === undefined ? 0 : childIndex(items, name)
      this.#path.push({ items, index })
      const child = items[index]!
      node = await this.#io.readNode(child.reference, child, node.level - 1)
    }
    this.#node = node
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
