/** What writers that raced to one sequence left, taken for one state. Specification: docs/formats/tree.md. */
import { toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { PastAuthor, RegisterContent } from "@holdfast/store"
import { type CareList, decodeCare, withLevels } from "./care.ts"
import type { TreeIo } from "./io.ts"
import { merge } from "./merge.ts"
import { reach } from "./reach.ts"
import { type DirectoryRef, sameReference } from "./reference.ts"
import { decodeRoot, maxHistory, type PastRoot, type RootContent, type TreeState } from "./root.ts"
import type { Path } from "./session.ts"

/** What the next value of a tree's register follows. */
export type Followed = Pick<Current, "epoch" | "sequence">

/** The newest values of a tree's register. */
export interface Current {
  readonly epoch: number | undefined
  readonly sequence: number
  readonly content: RootContent
  /** Root contents of writers that raced to the same sequence. */
  readonly siblings: readonly RootContent[]
  /** The care list of each of them. */
  readonly care: readonly CareList[]
  /** Who wrote each of them, and the versions before. */
  readonly authors: readonly PastAuthor[]
}

/** The values that were read, decoded. Throws as `decodeRoot` and `decodeCare`. */
export function currentOf(value: RegisterContent): Current {
  const { epoch, sequence, content, siblings = [] } = value
  return {
    ...{ epoch, sequence },
    content: decodeRoot(content),
    siblings: siblings.map((sibling) => decodeRoot(sibling.content)),
    authors: [value, ...siblings].flatMap(({ author, past = [] }) => [
      ...(author ? [{ sequence, author }] : []),
      ...past,
    ]),
    care: [value, ...siblings].map((one) => withLevels(decodeCare(one.care), one.levels)),
  }
}

/**
 * What `root` stands on, when writers raced and not each of their values keeps it: one that was not acknowledged may name what
 * is being taken away. What is lost cannot be made certain, and is left out.
 */
export async function uncertainChunks(
  io: TreeIo,
  { content, siblings }: Current,
  root: DirectoryRef,
): Promise<ChunkId[]> {
  const isKept = ({ root: newest, history }: RootContent) =>
    [newest, ...history.map((past) => past.root)].some((one) => sameReference(one, root))
  if (siblings.length === 0 || [content, ...siblings].every(isKept)) return []
  const ids = new Map<string, ChunkId>()
  const lost = new Set<string>()
  for await (const met of reach(io, [{ directory: root, where: { path: [], version: "newest" } }]))
    if (met.kind === "chunk") ids.set(toHex(met.chunk.id), met.chunk.id)
    else if (met.kind === "lost") lost.add(toHex(met.lost.chunk))
  return [...ids].flatMap(([name, id]) => (lost.has(name) ? [] : [id]))
}

/** The snapshots of all. */
export async function mergedSnapshots(io: TreeIo, { content, siblings }: Current): Promise<DirectoryRef> {
  let { snapshots } = content
  for (const sibling of siblings) snapshots = (await merge(io, null, sibling.snapshots, snapshots)).root
  return snapshots
}

/** All of them merged; copies that are kept go to `conflicts`. */
export async function mergeSiblings(
  io: TreeIo,
  { content, siblings }: Pick<Current, "content" | "siblings">,
  conflicts: Path[],
): Promise<TreeState> {
  let state: TreeState = { root: content.root, snapshots: content.snapshots }
  for (const sibling of siblings)
    state = await mergeStates(
      io,
      { base: { root: ancestorOf(content, sibling), snapshots: null }, mine: sibling, theirs: state },
      conflicts,
    )
  return state
}

/** Both changes of `base` in one state; copies that are kept go to `conflicts`. */
export async function mergeStates(
  io: TreeIo,
  { base, mine, theirs }: { readonly base: TreeState; readonly mine: TreeState; readonly theirs: TreeState },
  conflicts: Path[],
): Promise<TreeState> {
  const root = await merge(io, base.root, mine.root, theirs.root)
  const snapshots = await merge(io, base.snapshots, mine.snapshots, theirs.snapshots)
  conflicts.push(...root.conflicts)
  return { root: root.root, snapshots: snapshots.root }
}

/** The past roots of all that raced, newest first, each once. */
export function mergedHistory(
  raced: readonly PastRoot[],
  content: RootContent,
  siblings: readonly RootContent[],
): PastRoot[] {
  const all = [...raced, ...content.history, ...siblings.flatMap(({ history }) => history)]
  const distinct = all.filter(
    (past, i) =>
      all.findIndex(({ root, sequence }) => sequence === past.sequence && sameReference(root, past.root)) === i,
  )
  return distinct.sort((a, b) => b.sequence - a.sequence).slice(0, maxHistory)
}

/** The newest root that both have come from; null (an empty tree) when it is no longer in their histories. */
function ancestorOf(a: RootContent, b: RootContent): DirectoryRef {
  const others = [b.root, ...b.history.map((past) => past.root)]
  for (const root of [a.root, ...a.history.map((past) => past.root)])
    if (others.some((other) => sameReference(root, other))) return root
  return null
}

/** The names of the devices that wrote them. */
export function writersOf({ sequence, authors }: Current): string[] {
  return [...new Set(authors.filter((one) => one.sequence === sequence).map(({ author }) => author.name))]
}
