/**
 * What something stands on: its chunks, and the registers of the trees in it. For who checks, mends and moves; what is
 * about to be taken away is asked of `needed`, which never lacks anything.
 */
import { isHoldfastError } from "@holdfast/core"
import type { AccountId, Cap, ChunkId, ImmutableVerifyCap, VerifyCap } from "@holdfast/protocol"
import type { ChunkStore, RegisterStore } from "@holdfast/store"
import { careIds, type JunctionEntry, joinAccounts, type Reached, reachEntry, readCare } from "@holdfast/tree"
import { damageAt, type LostPlace, lostPlace, placeIn } from "../damage.ts"
import type { FileSystem, Item } from "../file-system.ts"
import { CircularLink, enterOnce } from "../junctions.ts"

/** A chunk that something stands on. */
export interface StoredChunk {
  readonly id: ChunkId
  /** Where in the tree it was met first, for messages. */
  readonly place?: () => string
  /** Gives the accounts that its tree is held for: what is placed anew is held for them too. */
  readonly holders?: () => Promise<readonly AccountId[]>
}

/** What something stands on. */
export interface Footing {
  /** Each may come more than once. */
  readonly chunks: AsyncIterable<StoredChunk>
  /** Public keys of registers; complete when all chunks were given. */
  readonly registers: readonly Uint8Array[]
}

/** How far a footing goes. */
export interface FootingOptions {
  /** All that is below too, and of a whole tree its history and snapshots. */
  readonly deep: boolean
  /** Hears of what cannot be read, and the rest goes on; without it, that is thrown. */
  readonly onLost?: (lost: LostPlace) => void
}

interface Walk extends FootingOptions {
  readonly registers: Uint8Array[]
  /** Trees linked in that were entered, and how deep: they may be linked in one another in more ways than can be told. */
  readonly entered: Map<string, number>
}

/** What an item stands on. */
export function footingOf(item: Item, options: FootingOptions): Footing {
  const walk: Walk = { ...options, registers: [], entered: new Map() }
  return { chunks: chunksOf(item, walk), registers: walk.registers }
}

/** What a verify capability lists: all of its tree, or the chunks that it names itself. Nothing can be read with it. */
export function footingOfCap(
  store: { readonly chunks: ChunkStore; readonly registers: RegisterStore },
  cap: VerifyCap | ImmutableVerifyCap,
): Footing {
  if (cap.kind === "cv") return { chunks: named(cap), registers: [] }
  return { chunks: listed(store, cap), registers: [cap.publicKey] }
}

/** True for a capability that verifies and reads nothing. */
export function onlyVerifies(cap: Cap): cap is VerifyCap | ImmutableVerifyCap {
  return cap.kind === "cv" || cap.kind === "dv" || cap.kind === "fv"
}

/** The chunks that an immutable verify capability names. */
export function* idsOf({ chunkIds }: ImmutableVerifyCap): Generator<ChunkId, void, void> {
  for (let at = 0; at < chunkIds.length; at += 32) yield chunkIds.slice(at, at + 32)
}

/** What the register of a verify capability lists: all that its tree needs. A part that is lost shows by its own id. */
async function* listed(
  { chunks, registers }: { readonly chunks: ChunkStore; readonly registers: RegisterStore },
  cap: VerifyCap,
): AsyncGenerator<StoredChunk, void, void> {
  const lists = await readCare(registers, cap)
  const accounts = joinAccounts(lists)
  const holders = async () => accounts
  for (const list of lists) for await (const id of careIds(chunks, list, () => undefined)) yield { id, holders }
}

async function* named(cap: ImmutableVerifyCap): AsyncGenerator<StoredChunk, void, void> {
  for (const id of idsOf(cap)) yield { id }
}

async function* chunksOf({ entry, owner, path = [] }: Item, walk: Walk): AsyncGenerator<StoredChunk, void, void> {
  if (entry.kind === "junction") {
    const inner = await owner.enter(entry, [entry.name])
    yield* chunksOf(inner.item(inner.root, []), walk)
    return
  }
  const tree = entry === owner.root ? owner.tree : undefined
  if (tree) walk.registers.push(owner.access!.publicKey)
  const { deep } = walk
  const met = tree && deep ? tree.reach() : reachEntry(owner.io, entry, { path, version: "newest" }, { deep })
  const holders = once(() => owner.accounts())
  yield* placed({ files: owner, holders }, met, walk)
  // What is below a lost node is named here alone. What cannot be read of the list is told as lost by its own id.
  if (tree && deep) for await (const id of tree.caredFor(() => undefined)) yield { id, holders }
}

async function* placed(
  { files, holders }: { readonly files: FileSystem; readonly holders: NonNullable<StoredChunk["holders"]> },
  met: AsyncIterable<Reached>,
  walk: Walk,
): AsyncGenerator<StoredChunk, void, void> {
  const { label } = files
  for await (const one of met)
    if (one.kind === "chunk") yield { id: one.chunk.id, holders, place: () => placeIn(label, one.where) }
    else if (one.kind === "lost") {
      if (!walk.onLost) throw damageAt(one.lost.error, label, one.lost.path)
      walk.onLost(lostPlace(label, one.lost))
    } else if (enterOnce(walk.entered, one.junction, files.depth)) {
      const inner = await enterOrTell(files, one.junction, one.where.path, walk)
      if (inner) yield* chunksOf(inner.item(inner.root, []), walk)
    }
}

/** The tree that is linked in; undefined for a circle, whose content is told further above, and for one that is told as lost. */
async function enterOrTell(
  files: FileSystem,
  junction: JunctionEntry,
  path: readonly string[],
  { onLost }: Walk,
): Promise<FileSystem | undefined> {
  try {
    return await files.enter(junction, path)
  } catch (error) {
    if (error instanceof CircularLink) return undefined
    if (!onLost || !isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
    const place = placeIn(files.label, { path, version: "newest" })
    onLost({ place, what: "directory", chunk: new Uint8Array(), message: error.message })
    return undefined
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => (result ??= work())
}
