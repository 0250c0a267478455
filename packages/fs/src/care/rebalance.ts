/** Moving shares to where they belong after servers came or went. */
import { isHoldfastError, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { Collector, Rebalanced, Store } from "@holdfast/store"
import type { Footing } from "./footing.ts"

/** How shares are moved. */
export interface RebalanceOptions {
  /** Signs for what is freed where shares lay before; without one it stays until somebody who may collects. */
  readonly collector?: Collector | undefined
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
  { collector, onChunk }: RebalanceOptions = {},
): Promise<RebalanceReport> {
  const collection = collector && (await store.beginCollection())
  const surplus = new Map<string, ChunkId[]>()
  const inconsistent: string[] = []
  const seen = new Set<string>()
  let moved = 0
  for await (const { id, holders } of chunks) {
    if (seen.has(toHex(id))) continue
    seen.add(toHex(id))
    const accounts = holders ? await holders() : []
    const done = await store.rebalanceChunk(id, { accounts }).catch((error): Rebalanced => {
      if (!isHoldfastError(error, "ERR_INCONSISTENT")) throw error
      inconsistent.push(toHex(id))
      return { moved: 0, surplus: [] }
    })
    moved += done.moved
    for (const { id: place } of done.surplus) surplus.set(place, [...(surplus.get(place) ?? []), id])
    onChunk?.()
  }
  const released = collection ? await collection.release(collector, surplus) : 0
  return { moved, released, inconsistent }
}
