/** What differs between two directories. Parts they share are skipped unread. */
import { limits } from "@holdfast/core"
import type { ChildNode, DirectoryNode } from "./directory-node.ts"
import { type Entry, sameAttributes, sameEntry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { type NodePlace, placeBelow, samePlace } from "./node-place.ts"
import { tooDeep } from "./reach.ts"
import { type DirectoryRef, referenceKey, sameReference } from "./reference.ts"
import { RepeatGuard } from "./repeat-guard.ts"
import { walk } from "./walk.ts"

/** One difference. A directory is "changed" only for what it is itself, not for what is in it. */
export interface Difference {
  readonly path: readonly string[]
  readonly kind: "added" | "removed" | "changed"
  readonly before?: Entry
  readonly after?: Entry
}

/** A name that differs between two directories. */
export interface EntryDifference {
  readonly name: string
  readonly before?: Entry
  readonly after?: Entry
}

/**
 * All differences from tree `a` to tree `b`, in the order of their paths. Throws ERR_LIMIT when the same directories come again
 * and again.
 */
export async function* diff(
  io: TreeIo,
  a: DirectoryRef,
  b: DirectoryRef,
  prefix: readonly string[] = [],
  guard = new RepeatGuard(),
): AsyncGenerator<Difference, void, void> {
  if (prefix.length > limits.pathDepth) throw tooDeep()
  const tell = guard.enter([a, b].map((one) => one && referenceKey(one)).join(" "))
  for await (const { name, before, after } of diffEntries(io, a, b)) {
    tell(1)
    const path = [...prefix, name]
    if (before?.kind === "directory" && after?.kind === "directory") {
      if (!sameAttributes(before, after)) yield { path, kind: "changed", before, after }
      yield* diff(io, before.reference, after.reference, path, guard)
    } else if (before && after && before.kind === after.kind) yield { path, kind: "changed", before, after }
    else {
      if (before) yield* whole(io, path, before, "removed", guard)
      if (after) yield* whole(io, path, after, "added", guard)
    }
  }
}

/** The names of two directories with unequal entries, in order; their subdirectories are not entered. */
export async function* diffEntries(
  io: TreeIo,
  a: DirectoryRef,
  b: DirectoryRef,
): AsyncGenerator<EntryDifference, void, void> {
  if (sameReference(a, b)) return
  const left = new Sequence(io)
  const right = new Sequence(io)
  await left.open(a)
  await right.open(b)
  for (;;) {
    const x = left.head
    const y = right.head
    if (!x && !y) return
    const order = !x ? 1 : !y ? -1 : compareNames(x.name, y.name)
    if (order !== 0) {
      const [first, head] = order < 0 ? [left, x!] : [right, y!]
      if (!isEntry(head)) await first.enter()
      else {
        yield order < 0 ? { name: head.name, before: head } : { name: head.name, after: head }
        first.skip()
      }
    } else if (isEntry(x!) && isEntry(y!)) {
      if (!sameEntry(x, y)) yield { name: x.name, before: x, after: y }
      left.skip()
      right.skip()
    } else if (left.level !== right.level) await (left.level > right.level ? left : right).enter()
    else if (left.isAtSameNode(right)) {
      left.skip()
      right.skip()
    } else {
      await left.enter()
      await right.enter()
    }
  }
}

async function* whole(
  io: TreeIo,
  path: readonly string[],
  entry: Entry,
  kind: "added" | "removed",
  guard: RepeatGuard,
): AsyncGenerator<Difference, void, void> {
  const describe = (at: readonly string[], item: Entry): Difference =>
    kind === "added" ? { path: at, kind, after: item } : { path: at, kind, before: item }
  yield describe(path, entry)
  if (entry.kind !== "directory") return
  for await (const below of walk(io, entry.reference, path, guard)) yield describe(below.path, below.entry)
}

function isEntry(item: Entry | ChildNode): item is Entry {
  return "kind" in item
}

/** The items of a directory from left to right, entered only where asked. */
class Sequence {
  readonly #io: TreeIo
  readonly #stack: { readonly node: DirectoryNode; readonly place: NodePlace | undefined; index: number }[] = []

  constructor(io: TreeIo) {
    this.#io = io
  }

  async open(directory: DirectoryRef): Promise<void> {
    if (directory) this.#stack.push({ node: await this.#io.readNode(directory), place: undefined, index: 0 })
  }

  /** The next item: an entry or a node not entered. */
  get head(): Entry | ChildNode | undefined {
    const top = this.#stack.at(-1)
    return top?.node.items[top.index]
  }

  /** Level of the node that holds `head`: 0 when that is an entry. */
  get level(): number {
    return this.#stack.at(-1)!.node.level
  }

  /** Passes over `head`. */
  skip(): void {
    this.#stack.at(-1)!.index++
    for (let top = this.#stack.at(-1); top && top.index >= top.node.items.length; top = this.#stack.at(-1))
      this.#stack.pop()
  }

  /** Replaces `head` by the items below it. */
  async enter(): Promise<void> {
    const { reference } = this.head as ChildNode
    const place = this.#headPlace
    this.skip()
    this.#stack.push({ node: await this.#io.readNode(reference, place), place, index: 0 })
  }

  /** True when both heads are one node at one place. At another place the same node may be wrong, so it is read. */
  isAtSameNode(other: Sequence): boolean {
    const [mine, theirs] = [this.head as ChildNode, other.head as ChildNode]
    return sameReference(mine.reference, theirs.reference) && samePlace(this.#headPlace, other.#headPlace)
  }

  get #headPlace(): NodePlace {
    const { node, index, place } = this.#stack.at(-1)!
    return placeBelow(node, index, place)
  }
}
