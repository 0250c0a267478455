/** One server as the store sees it: its backend with calls gathered into batches. */
import type { Clock } from "@holdfast/core"
import {
  type Backend,
  type BlockAnswer,
  type BlockQuery,
  blockBytes,
  type CallOptions,
  type ChunkId,
  type MarkOptions,
  type MarkOutcome,
  type PutOutcome,
  type ShareQuery,
} from "@holdfast/protocol"
import type { Batch } from "./batch.ts"
import { type CoalesceLimits, coalesce } from "./coalesce.ts"
import { createPace, type Pace } from "./pace.ts"

/** Batched single-item calls on one backend; each throws the signal's reason as soon as that aborts. */
export interface Server {
  readonly backend: Backend
  /** How fast it gives shares, waiting for their turn included. */
  readonly pace: Pace
  put(share: Uint8Array, batch: Batch, signal?: AbortSignal): Promise<PutOutcome>
  get(query: ShareQuery, signal?: AbortSignal): Promise<Uint8Array | undefined>
  blocks(query: BlockQuery, signal?: AbortSignal): Promise<BlockAnswer | undefined>
  /** Indices held of a chunk. */
  has(id: ChunkId, signal?: AbortSignal): Promise<number[]>
  /** Marks what is held of a chunk; tells which shares that are. */
  mark(id: ChunkId, batch: Batch, signal?: AbortSignal): Promise<MarkOutcome>
}

const smallBatch = { lanes: 2, maxItems: 2048, maxBytes: Number.MAX_SAFE_INTEGER }
const dataBatch = { lanes: 4, maxItems: 1024, maxBytes: 4 * 1024 * 1024 }

/** Wraps `backend`. */
export function createServer(backend: Backend, clock: Clock): Server {
  const pace = createPace(clock)
  const get = coalesce<ShareQuery, Uint8Array | undefined>(
    (queries, signal) => backend.getShares(queries, signalOf(signal)),
    () => 1024 * 1024, // not known before the answer: a share of a full chunk is of this order
    dataBatch,
  )
  const blocks = coalesce<BlockQuery, BlockAnswer | undefined>(
    (queries, signal) => backend.getBlocks(queries, signalOf(signal)),
    ({ count }) => count * blockBytes,
    dataBatch,
  )
  return {
    backend,
    pace,
    put: marking(
      (shares, options) => backend.putShares(shares, options),
      (share) => share.length,
      dataBatch,
    ),
    get: (query, signal) => pace.time(() => get(query, signal), signal),
    blocks: (query, signal) => pace.time(() => blocks(query, signal), signal),
    has: coalesce<ChunkId, number[]>(
      (ids, signal) => backend.hasShares(ids, signalOf(signal)),
      () => 40,
      smallBatch,
    ),
    mark: marking(
      (ids, options) => backend.markShares(ids, options),
      () => 40,
      smallBatch,
    ),
  }
}

/** A call for one item, gathered with others; those for one batch of marks go out together. */
function marking<Q, R>(
  send: (items: readonly Q[], options: MarkOptions) => Promise<readonly R[]>,
  sizeOf: (item: Q) => number,
  bounds: CoalesceLimits,
): (item: Q, batch: Batch, signal?: AbortSignal) => Promise<R> {
  const call = coalesce<{ readonly item: Q; readonly batch: Batch }, R>(
    async (queries, signal) => {
      const results: R[] = []
      for (const [{ options }, positions] of groups(queries)) {
        const items = positions.map((position) => queries[position]!.item)
        const answers = await send(items, { ...options, ...signalOf(signal) })
        for (const [i, position] of positions.entries()) results[position] = answers[i]!
      }
      return results
    },
    ({ item }) => sizeOf(item),
    bounds,
  )
  return (item, batch, signal) => call({ item, batch }, signal)
}

function signalOf(signal: AbortSignal | undefined): CallOptions {
  return signal ? { signal } : {}
}

function groups(queries: readonly { readonly batch: Batch }[]): Map<Batch, number[]> {
  const groups = new Map<Batch, number[]>()
  for (const [position, { batch }] of queries.entries()) {
    const group = groups.get(batch)
    if (group) group.push(position)
    else groups.set(batch, [position])
  }
  return groups
}
