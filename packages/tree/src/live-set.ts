/**
 * What a tree needs, for whoever is about to take things away. It never lacks anything: all that is met on the walk counts, and
 * all that the care list names, which knows what is below a node that is lost. When even that cannot be known it says so, and
 * nothing may be removed.
 */
import { type HoldfastError, isHoldfastError } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { isOutOfReach, type LostNode, type Whereabouts } from "./damage.ts"
import type { JunctionEntry } from "./entry.ts"
import type { Tree } from "./tree.ts"

/** What is known of a live set beside its ids. */
export interface LiveSet {
  /** Nodes that cannot be read; what is below them counts by the care list, so that must not be trimmed. */
  readonly lost: readonly LostNode[]
  /**
   * Why ids may be missing all the same: nothing may be unmarked or removed while this is not empty. A directory that is only
   * out of reach may link in trees that nothing else names; one that is lost for good gives nobody a way to them.
   */
  readonly unknown: readonly HoldfastError[]
}

/** Who hears of a live set. */
export interface LiveSetOptions {
  /** An id that is needed; it may come several times. */
  readonly onChunk: (id: ChunkId) => void
  /** A tree that is linked in: its own live set counts too. */
  readonly onJunction?: (junction: JunctionEntry, where: Whereabouts) => void
  /** Tells what the tree's list names, for who reads it in another way; by default `caredFor` and `onChunk` do. */
  readonly readList?: (onUnreadable: (error: HoldfastError) => void) => Promise<void>
}

/** Tells every chunk that `tree`, its history and its snapshots need. What cannot be read never ends it. */
export async function liveSetOf(tree: Tree, options: LiveSetOptions): Promise<LiveSet> {
  const { onChunk, onJunction, readList = listReader(tree, onChunk) } = options
  const lost: LostNode[] = []
  const unknown: HoldfastError[] = []
  try {
    for await (const met of tree.reach())
      if (met.kind === "chunk") onChunk(met.chunk.id)
      else if (met.kind === "junction") onJunction?.(met.junction, met.where)
      else lost.push(met.lost)
    const unreadable: HoldfastError[] = []
    await readList((error) => void unreadable.push(error))
    // A list that is lost for good says nothing that a whole walk does not.
    unknown.push(...unreadable.filter((error) => lost.length > 0 || isOutOfReach(error)))
    unknown.push(
      ...lost.filter(({ what, error }) => what === "directory" && isOutOfReach(error)).map(({ error }) => error),
    )
  } catch (error) {
    // The register cannot be read, goes back, or has forked: who knows what the tree needs?
    if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
    unknown.push(error)
  }
  return { lost, unknown }
}

function listReader(tree: Tree, onChunk: LiveSetOptions["onChunk"]): NonNullable<LiveSetOptions["readList"]> {
  return async (onUnreadable) => {
    for await (const id of tree.caredFor(onUnreadable)) onChunk(id)
  }
}
