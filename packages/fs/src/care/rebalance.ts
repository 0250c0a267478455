/** Moving shares to where they belong after servers came or went. */
import { type CryptoProvider, isHoldfastError, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { type Collector, type Rebalanced, RecentIds, type Store } from "@holdfast/store"
import type { Footing } from "./footing.ts"

/** How shares are moved. */
export interface RebalanceOptions {
  /** Signs for what is freed where shares lay before; without one it stays until somebody who may collects. */
  readonly collector?: Collector | undefined
  /** Nothing is moved nor freed: what is told is what would be, of what is freed at most. */
  readonly dryRun?: boolean
  /** Chunks that are no longer needed at places wait for an order until there are so many. */
  readonly mostWaiting?: number
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

/** In some 10 MB. */
const usuallyWaiting = 65_536
/** So many chunks are looked at once for sure; of more, some twice, which moves nothing. */
const mostRemembered = 1_000_000

/** Moves the shares of a footing's chunks, each once. Others hold where shares lay before what they need there. */
export async function rebalance(
  {
    crypto,
    store,
  }: {
    readonly crypto: Pick<CryptoProvider, "random">
    readonly store: Pick<Store, "beginCollection" | "rebalanceChunk">
  },
  { chunks }: Pick<Footing, "chunks">,
  { collector, dryRun = false, mostWaiting = usuallyWaiting, onChunk }: RebalanceOptions = {},
): Promise<RebalanceReport> {
  const collection = collector && !dryRun ? await store.beginCollection() : undefined
  const release = (ids: Waiting) => (collection && collector ? collection.release(collector, ids) : 0)
  const surplus = new Surplus(release, mostWaiting)
  const inconsistent: string[] = []
  const seen = new RecentIds(crypto, mostRemembered)
  let moved = 0
  for await (const { id, holders } of chunks) {
    if (!seen.add(id)) continue
    const accounts = holders ? await holders() : []
    const done = await store.rebalanceChunk(id, { accounts, dryRun }).catch((error): Rebalanced => {
      if (!isHoldfastError(error, "ERR_INCONSISTENT")) throw error
      inconsistent.push(toHex(id))
      return { moved: 0, surplus: [] }
    })
    moved += done.moved
    await surplus.add(
      id,
      done.surplus.map(({ id: place }) => place),
    )
    onChunk?.()
  }
  const wouldRelease = collector && dryRun ? surplus.noted : 0
  await surplus.flush()
  return { moved, released: surplus.released + wouldRelease, inconsistent }
}

/** Ids of chunks by place. */
type Waiting = ReadonlyMap<string, readonly ChunkId[]>
type Release = (waiting: Waiting) => Promise<number> | number

/** What places need not hold any more. Each is told of many chunks at once, and memory is bounded. */
class Surplus {
  /** How many were added, and how many shares went. */
  noted = 0
  released = 0
  readonly #release: Release
  readonly #most: number
  #waiting = new Map<string, ChunkId[]>()
  #waitingCount = 0

  constructor(release: Release, most: number) {
    this.#release = release
    this.#most = most
  }

  async add(id: ChunkId, places: readonly string[]): Promise<void> {
    for (const place of places) {
      const ids = this.#waiting.get(place)
      if (ids) ids.push(id)
      else this.#waiting.set(place, [id])
    }
    this.noted += places.length
    this.#waitingCount += places.length
    if (this.#waitingCount >= this.#most) await this.flush()
  }

  async flush(): Promise<void> {
    const chunks = this.#waiting
    this.#waiting = new Map()
    this.#waitingCount = 0
    if (chunks.size > 0) this.released += await this.#release(chunks)
  }
}
