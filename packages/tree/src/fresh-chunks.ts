/**
 * The chunks that a new root needs and an old one may not have needed. Both trees are walked side by side; what they
 * share is skipped unread, so the work is that of the changes. Some of the chunks may be old ones; none is left out.
 */
import { toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { type Entry, type FileContent, sameContent } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { type DirectoryRef, type Reference, referenceKey, sameReference } from "./reference.ts"

/** A directory before and after. */
export interface Step {
  readonly before: DirectoryRef
  readonly after: DirectoryRef
}

/** What is fresh after all `steps`. Directories and nodes in `known` (by referenceKey) need nothing fresh. */
export async function freshChunks(
  io: TreeIo,
  steps: readonly Step[],
  known: Iterable<string> = [],
): Promise<readonly ChunkId[]> {
  const walk = new FreshWalk(io, known)
  for (const step of steps) await walk.directory(step.before, step.after)
  await walk.finish()
  return [...walk.ids.values()]
}

/** Nodes of one level of a directory or manifest. */
interface Level {
  level: number
  nodes: readonly Reference[]
}

/** Reads a node, which must be of `level` when that is given. */
type ReadItems = (
  reference: Reference,
  level?: number,
) => Promise<{
  readonly level: number
  readonly items: readonly { readonly reference?: Reference | null }[]
}>

class FreshWalk {
  readonly ids = new Map<string, ChunkId>()
  readonly #io: TreeIo
  readonly #known: Set<string>
  readonly #seen = new Set<string>()
  /** Directories without a counterpart; perhaps they were only moved. */
  #added: Reference[] = []

  constructor(io: TreeIo, known: Iterable<string>) {
    this.#io = io
    this.#known = new Set(known)
  }

  async directory(before: DirectoryRef, after: DirectoryRef): Promise<void> {
    if (!after || sameReference(before, after) || this.#known.has(referenceKey(after))) return
    const pair = `${before && referenceKey(before)} ${referenceKey(after)}`
    if (this.#seen.has(pair)) return
    this.#seen.add(pair)
    const read: ReadItems = (reference, level) =>
      this.#io.readNode(reference, undefined, level) as ReturnType<ReadItems>
    const [old, fresh] = await this.#leaves(read, before, after)
    await this.#entries(this.#entriesOf(old.nodes), this.#entriesOf(fresh.nodes))
  }

  /** Adds what was put off: directories that were found nowhere before. */
  async finish(): Promise<void> {
    while (this.#added.length > 0) {
      const added = this.#added
      this.#added = []
      for (const directory of added) await this.directory(null, directory)
    }
  }

  /** The leaves that only one side has; ids of the nodes passed are added. */
  async #leaves(read: ReadItems, before: DirectoryRef, after: Reference): Promise<[old: Level, fresh: Level]> {
    let old = await topLevel(read, before)
    let fresh = await topLevel(read, after)
    for (;;) {
      if (old.level > fresh.level) {
        old = await below(read, old)
        continue
      }
      if (old.level === fresh.level) [old, fresh] = difference(old, fresh)
      for (const { chunk } of fresh.nodes) this.#add(chunk.id)
      if (fresh.level === 0) return [old, fresh]
      if (old.level === fresh.level) old = await below(read, old)
      fresh = await below(read, fresh)
    }
  }

  async *#entriesOf(leaves: readonly Reference[]): AsyncGenerator<Entry, void, void> {
    for (const leaf of leaves) yield* (await this.#io.readNode(leaf, undefined, 0)).items as readonly Entry[]
  }

  /** Goes through the entries of both sides in the order of their names. */
  async #entries(olds: AsyncGenerator<Entry>, news: AsyncGenerator<Entry>): Promise<void> {
    let old = await olds.next()
    for await (const entry of news) {
      while (!old.done && compareNames(old.value.name, entry.name) < 0) {
        this.#removed(old.value)
        old = await olds.next()
      }
      const hasOld = !old.done && old.value.name === entry.name
      await this.#entry(hasOld ? (old.value as Entry) : undefined, entry)
      if (hasOld) old = await olds.next()
    }
    for (; !old.done; old = await olds.next()) this.#removed(old.value)
  }

  async #entry(before: Entry | undefined, after: Entry): Promise<void> {
    if (before && sameContent(before, after)) return
    if (after.kind === "directory" && before?.kind === "directory")
      await this.directory(before.reference, after.reference)
    else {
      if (before) this.#removed(before)
      if (after.kind === "directory" && after.reference) this.#added.push(after.reference)
    }
    if (after.kind === "file") await this.#file(before?.kind === "file" ? before.content : undefined, after.content)
  }

  async #file(before: FileContent | undefined, after: FileContent): Promise<void> {
    if (after.form === "inline") return
    if (after.form === "single") return this.#add(after.reference.chunk.id)
    const old = before?.form === "manifest" ? before.reference : null
    const read: ReadItems = (reference, level) => this.#io.readManifest(reference, level)
    const [oldLeaves, freshLeaves] = await this.#leaves(read, old, after.reference)
    const held = new Set((await below(read, oldLeaves)).nodes.map(referenceKey))
    for (const piece of (await below(read, freshLeaves)).nodes)
      if (!held.has(referenceKey(piece))) this.#add(piece.chunk.id)
  }

  #removed(entry: Entry): void {
    if (entry.kind === "directory" && entry.reference) this.#known.add(referenceKey(entry.reference))
  }

  #add(id: ChunkId): void {
    this.ids.set(toHex(id), id)
  }
}

async function topLevel(read: ReadItems, root: DirectoryRef): Promise<Level> {
  return root ? { level: (await read(root)).level, nodes: [root] } : { level: -1, nodes: [] }
}

/** What the nodes of a level refer to. */
async function below(read: ReadItems, { level, nodes }: Level): Promise<Level> {
  const children: Reference[] = []
  for (const node of nodes)
    for (const { reference } of (await read(node, level)).items) if (reference) children.push(reference)
  return { level: level - 1, nodes: children }
}

/** Both without the nodes that they share. */
function difference(a: Level, b: Level): [Level, Level] {
  const keysOf = ({ nodes }: Level) => new Set(nodes.map(referenceKey))
  const [inA, inB] = [keysOf(a), keysOf(b)]
  return [
    { ...a, nodes: a.nodes.filter((node) => !inB.has(referenceKey(node))) },
    { ...b, nodes: b.nodes.filter((node) => !inA.has(referenceKey(node))) },
  ]
}
