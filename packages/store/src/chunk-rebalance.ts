/** Moving the shares of a chunk to where they belong after servers came or went, without its keys. */
import { type Backend, type ChunkId, inconsistentError, type Share } from "@holdfast/protocol"
import {
  codingOf,
  goodShare,
  type HealthDeps,
  type Holding,
  holdingsOf,
  isInconsistent,
  place,
} from "./chunk-holdings.ts"
import type { Ranking } from "./ranking.ts"

/** How a rebalance is done. */
export interface RebalanceChunkOptions {
  /** Nothing is copied, and what is told is what would be. */
  readonly dryRun?: boolean
}

/** What a rebalance did. */
export interface Rebalanced {
  /** Shares copied to where they belong. */
  readonly moved: number
  /** Places that need not hold the chunk any more: the account may take its marks away there. */
  readonly surplus: readonly Backend[]
}

/**
 * Copies shares of `id` to the best-ranked servers, one on each. Copies alone: others may need what lies elsewhere, so only
 * when all of the best servers give a good share, the others are told as surplus. Throws ERR_INCONSISTENT before
 * anything is copied, where enough shares are read to tell.
 */
export async function rebalanceChunk(
  deps: HealthDeps,
  id: ChunkId,
  ranked: Ranking<Backend>,
  { dryRun = false }: RebalanceChunkOptions = {},
): Promise<Rebalanced> {
  const holdings = await holdingsOf(id, ranked.first(ranked.length)) // what servers hold that come late is what is looked for
  const coding = await codingOf(deps, id, holdings)
  if (!coding) return { moved: 0, surplus: [] }
  const best = ranked.first(coding.n)
  const holdingAt = (backend: Backend) => holdings.find((held) => held.backend === backend)
  const isVacant = ({ indices, silence }: Holding) => indices.length === 0 && !(dryRun && silence !== undefined)
  const vacant = best.filter((backend) => isVacant(holdingAt(backend)!))
  const kept = new Map<number, Backend>()
  const extra: { backend: Backend; index: number }[] = []
  for (const backend of best)
    for (const [position, index] of (holdings.find((held) => held.backend === backend)?.indices ?? []).entries())
      if (position === 0 && !kept.has(index)) kept.set(index, backend)
      else extra.push({ backend, index })
  for (const { backend, indices } of holdings)
    if (!best.includes(backend)) for (const index of indices) extra.push({ backend, index })
  if (extra.length === 0) return { moved: 0, surplus: [] }
  const good = new Map<number, Backend>()
  const read = new Map<number, Share>()
  const take = async (backend: Backend, index: number) => {
    const found = await goodShare(deps, id, backend, index)
    if (found) read.set(index, found.share)
    return found?.bytes
  }
  for (const [index, backend] of kept) if (await take(backend, index)) good.set(index, backend)
  if (read.size > 0 && (await isInconsistent(deps, [...read.values()]))) throw inconsistentError(id)
  let moved = 0
  for (const { backend, index } of extra) {
    const bytes = good.has(index) ? undefined : await take(backend, index)
    if (!bytes) continue
    const isHome = best.includes(backend) && ![...good.values()].includes(backend)
    const target = isHome ? undefined : vacant.shift()
    if (isHome) good.set(index, backend)
    else if (target && (dryRun || !(await place(deps, id, target, { bytes, index })))) {
      good.set(index, target)
      moved++
    }
  }
  // While a share is missing, each copy counts: a server that took one just now may be the next to lose it.
  if (good.size < Math.min(coding.n, best.length)) return { moved, surplus: [] }
  return { moved, surplus: [...new Set(extra.map(({ backend }) => backend))].filter((one) => !best.includes(one)) }
}
