/** Moving shares to where they belong after servers came or went. */
import { isHoldfastError, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { Collector, Rebalanced, Store } from "@holdfast/store"
import type { Footing } from "./footing.ts"

/** How shares are moved. */
export interface RebalanceOptions {
  /** Signs for what is freed where shares lay before; without one it stays until somebody who may collects. */
  readonly collector?: Collector | undefined
  /** Nothing is moved nor freed: what is told is what would be, of what is freed at most. */
  readonly dryRun?: boolean
  /** Hears of each chunk as it is done. */
  readonly onChunk?: () => void
}

/** What was moved. */
export interface RebalanceReport {
  readonly moved: number
  /** Shares freed where they lay before. */
  readonly released: number
  /** Chunks whose parity does not follow from their data, which are left where they are, in hexadecimal. */
  readonly inconsistent: readonly string[]
}

/** Moves the shares of a footing's chunks, each once. Others hold where shares lay before what they need there. */
export async function rebalance(
  store: Pick<Store, "beginCollection" | "rebalanceChunk">,
  { chunks }: Pick<Footing, "chunks">,
  { collector, dryRun = false, onChunk }: RebalanceOptions = {},
): Promise<RebalanceReport> {
  const collection = collector && !dryRun && (await store.beginCollection())
  const surplus = new Map<string, ChunkId[]>()
  const inconsistent: string[] = []
  const seen = new Set<string>()
  let moved = 0
  for await (const { id, holders } of chunks) {
    if (seen.has(toHex(id))) continue
    seen.add(toHex(id))
    const accounts = holders ? await holders() : []
    const done = await store.rebalanceChunk(id, { accounts, dryRun }).catch((error): Rebalanced => {
      if (!isHoldfastError(error, "ERR_INCONSISTENT")) throw error
      inconsistent.push(toHex(id))
      return { moved: 0, surplus: [] }
    })
    moved += done.moved
    for (const { id: place } of done.surplus) surplus.set(place, [...(surplus.get(place) ?? []), id])
    onChunk?.()
  }
  const wouldRelease = collector && dryRun ? [...surplus.values()].reduce((sum, ids) => sum + ids.length, 0) : 0
  const released = collection ? await collection.release(collector, surplus) : wouldRelease
  return { moved, released, inconsistent }
}
