/**
 * The chunks that a new root needs and an old one may not have needed. Both trees are walked side by side; what they
 * share is skipped unread, so the work is that of the changes, and what was only moved is not fresh. Some of the chunks may be old
 * ones; none is left out.
 */
import { toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { ChildNode } from "./directory-node.ts"
import { type Entry, type FileContent, sameContent } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { compareNames } from "./name.ts"
import { type ManifestPlace, type NodePlace, placeBelow } from "./node-place.ts"
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
  return walk.fresh()
}

/** Nodes of one level of a directory or manifest. */
interface Level<Place> {
  level: number
  nodes: readonly Located<Place>[]
}

/** A node, or what a leaf refers to, and where it must stand; a directory's root has no place. */
interface Located<Place> {
  readonly reference: Reference
  readonly place: Place
}

/** How nodes are read. */
interface NodeReader<Place> {
  /** Reads a node, and tells what is below it. */
  read(node: Located<Place>): Promise<{ readonly level: number; readonly below: readonly Located<Place>[] }>
  /** True when nodes of one level may be the same; those of a directory each begin with another name. */
  readonly mayRepeat: boolean
}

type DirectoryPlace = NodePlace | undefined

class FreshWalk {
  readonly #ids = new Map<string, ChunkId>()
  /** Chunks of files that were before at other places. */
  readonly #held = new Set<string>()
  readonly #io: TreeIo
  readonly #known: Set<string>
  #last: ChunkId | undefined
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
    const reader: NodeReader<DirectoryPlace> = {
      read: async ({ reference, place }) => {
        const node = await this.#io.readNode(reference, place)
        const children = node.level === 0 ? [] : (node.items as readonly ChildNode[])
        return {
          level: node.level,
          below: children.map((child, i) => ({ reference: child.reference, place: placeBelow(node, i, place) })),
        }
      },
      mayRepeat: false,
    }
    const old = before && { reference: before, place: undefined }
    const [oldLeaves, freshLeaves] = await this.#leaves(reader, old, { reference: after, place: undefined })
    await this.#entries(new EntryRun(this.#io, oldLeaves.nodes), freshLeaves.nodes)
  }

  /** Adds what was put off: directories that were found nowhere before. */
  async finish(): Promise<void> {
    while (this.#added.length > 0) {
      const added = this.#added
      this.#added = []
      for (const directory of added) await this.directory(null, directory)
    }
  }

  fresh(): ChunkId[] {
    return [...this.#ids].flatMap(([name, id]) => (this.#held.has(name) ? [] : [id]))
  }

  /** The leaves that only one side has; ids of the nodes passed are added. */
  async #leaves<Place>(
    reader: NodeReader<Place>,
    before: Located<Place> | null,
    after: Located<Place>,
  ): Promise<[old: Level<Place>, fresh: Level<Place>]> {
    let old = await topLevel(reader, before)
    let fresh = await topLevel(reader, after)
    for (;;) {
      if (old.level > fresh.level) {
        old = await below(reader, old)
        continue
      }
      if (old.level === fresh.level) [old, fresh] = difference(old, fresh)
      for (const { reference } of fresh.nodes) this.#add(reference.chunk.id)
      if (fresh.level === 0) return [old, fresh]
      if (old.level === fresh.level) old = await below(reader, old)
      fresh = await below(reader, fresh)
    }
  }

  /** Goes through the entries of both sides in the order of their names. Most need no waiting, so few are awaited. */
  async #entries(old: EntryRun, leaves: readonly Located<DirectoryPlace>[]): Promise<void> {
    await old.fill()
    for (const { reference, place } of leaves) {
      for (const entry of (await this.#io.readNode(reference, place)).items as readonly Entry[]) {
        while (old.head && compareNames(old.head.name, entry.name) < 0) {
          this.#removed(old.head)
          if (old.skip()) await old.fill()
        }
        const before = old.head?.name === entry.name ? old.head : undefined
        const work = this.#entry(before, entry)
        if (work) await work
        if (before && old.skip()) await old.fill()
      }
    }
    while (old.head) {
      this.#removed(old.head)
      if (old.skip()) await old.fill()
    }
  }

  #entry(before: Entry | undefined, after: Entry): Promise<void> | undefined {
    if (before && sameContent(before, after)) return undefined
    if (after.kind === "directory" && before?.kind === "directory")
      return this.directory(before.reference, after.reference)
    if (before) this.#removed(before)
    if (after.kind === "directory" && after.reference) this.#added.push(after.reference)
    if (after.kind !== "file" || after.content.form === "inline") return undefined
    if (after.content.form === "manifest")
      return this.#manifest(before?.kind === "file" ? before.content : undefined, after.content)
    this.#add(after.content.reference.chunk.id)
    return undefined
  }

  async #manifest(before: FileContent | undefined, after: FileContent & { readonly form: "manifest" }): Promise<void> {
    const reader: NodeReader<ManifestPlace> = {
      read: async ({ reference, place }) => {
        const { level, items } = await this.#io.readManifest(reference, place)
        // Each once: a few nodes that name each other a thousand times have more pieces than can be gone through.
        const below = new Map<string, Located<ManifestPlace>>()
        for (const item of items)
          if (item.reference)
            below.set(`${referenceKey(item.reference)} ${item.length}`, {
              reference: item.reference,
              place: { length: item.length, level: level - 1 },
            })
        return { level, below: [...below.values()] }
      },
      mayRepeat: true,
    }
    const rootOf = ({ reference, size }: typeof after) => ({ reference, place: { length: size } })
    const old = before?.form === "manifest" ? rootOf(before) : null
    const [oldLeaves, freshLeaves] = await this.#leaves(reader, old, rootOf(after))
    // By chunk: what a patch left of a piece lies where the piece lay.
    const held = new Set((await below(reader, oldLeaves)).nodes.map(({ reference }) => toHex(reference.chunk.id)))
    for (const { reference } of (await below(reader, freshLeaves)).nodes)
      if (!held.has(toHex(reference.chunk.id))) this.#add(reference.chunk.id)
  }

  #removed(entry: Entry): void {
    if (entry.kind === "directory" && entry.reference) this.#known.add(referenceKey(entry.reference))
    if (entry.kind === "file" && entry.content.form === "single")
      this.#held.add(toHex(entry.content.reference.chunk.id))
  }

  #add(id: ChunkId): void {
    if (id === this.#last) return // most of a pack's items come one after another
    this.#last = id
    this.#ids.set(toHex(id), id)
  }
}

/** The entries of some leaves, one after another. */
class EntryRun {
  readonly #io: TreeIo
  readonly #leaves: readonly Located<DirectoryPlace>[]
  #next = 0
  #items: readonly Entry[] = []
  #at = 0

  constructor(io: TreeIo, leaves: readonly Located<DirectoryPlace>[]) {
    this.#io = io
    this.#leaves = leaves
  }

  /** The entry here; undefined at the end. */
  get head(): Entry | undefined {
    return this.#items[this.#at]
  }

  /** Goes on; true when `fill` is needed before `head` is asked again. */
  skip(): boolean {
    return ++this.#at >= this.#items.length
  }

  async fill(): Promise<void> {
    const leaf = this.#leaves[this.#next++]
    this.#items = leaf ? ((await this.#io.readNode(leaf.reference, leaf.place)).items as readonly Entry[]) : []
    this.#at = 0
  }
}

async function topLevel<Place>(reader: NodeReader<Place>, root: Located<Place> | null): Promise<Level<Place>> {
  return root ? { level: (await reader.read(root)).level, nodes: [root] } : { level: -1, nodes: [] }
}

/** What the nodes of a level refer to. */
async function below<Place>(reader: NodeReader<Place>, { level, nodes }: Level<Place>): Promise<Level<Place>> {
  const children: Located<Place>[] = []
  for (const node of nodes) for (const child of (await reader.read(node)).below) children.push(child)
  return { level: level - 1, nodes: level > 0 && reader.mayRepeat ? eachOnce(children) : children }
}

/** Each once of what is named several times with the same place. */
function eachOnce<Place>(nodes: readonly Located<Place>[]): readonly Located<Place>[] {
  const keyOf = ({ reference, place }: Located<Place>) => `${referenceKey(reference)} ${JSON.stringify(place)}`
  const known = new Map<string, Located<Place>>()
  for (const node of nodes) known.set(keyOf(node), known.get(keyOf(node)) ?? node)
  return [...known.values()]
}

/** Both without the nodes that they share. */
function difference<Place>(a: Level<Place>, b: Level<Place>): [Level<Place>, Level<Place>] {
  const [restA, restB] = withoutSameEnds(a.nodes, b.nodes)
  const keyOf = ({ reference }: Located<Place>) => referenceKey(reference)
  const [inA, inB] = [new Set(restA.map(keyOf)), new Set(restB.map(keyOf))]
  return [
    { ...a, nodes: restA.filter((node) => !inB.has(keyOf(node))) },
    { ...b, nodes: restB.filter((node) => !inA.has(keyOf(node))) },
  ]
}

/** What is between the nodes that both begin with and those that both end with: mostly few of many, found without naming each. */
function withoutSameEnds<Place>(a: readonly Located<Place>[], b: readonly Located<Place>[]) {
  const shortest = Math.min(a.length, b.length)
  const isSame = (i: number, j: number) => sameReference(a[i]!.reference, b[j]!.reference)
  let first = 0
  while (first < shortest && isSame(first, first)) first++
  let last = 0
  while (last < shortest - first && isSame(a.length - 1 - last, b.length - 1 - last)) last++
  return [a.slice(first, a.length - last), b.slice(first, b.length - last)] as const
}
