/** One server as the store sees it: its backend with calls gathered into batches. */
import type { Clock } from "@holdfast/core"
import {
  type Backend,
  type BlockAnswer,
  type BlockQuery,
  blockBytes,
  type ChunkId,
  type PutOutcome,
  type ShareQuery,
} from "@holdfast/protocol"
import { coalesce } from "./coalesce.ts"
import { createPace, type Pace } from "./pace.ts"

/** Batched single-item calls on one backend. */
export interface Server {
  readonly backend: Backend
  /** How fast it gives shares, waiting for their turn included. */
  readonly pace: Pace
  put(share: Uint8Array): Promise<PutOutcome>
  get(query: ShareQuery): Promise<Uint8Array | undefined>
  blocks(query: BlockQuery): Promise<BlockAnswer | undefined>
  /** Indices held of a chunk, marked as still in use. */
  has(id: ChunkId): Promise<number[]>
}

const smallBatch = { lanes: 2, maxItems: 2048, maxBytes: Number.MAX_SAFE_INTEGER }
const dataBatch = { lanes: 4, maxItems: 1024, maxBytes: 4 * 1024 * 1024 }

/** Wraps `backend`. */
export function createServer(backend: Backend, clock: Clock): Server {
  const pace = createPace(clock)
  const get = coalesce<ShareQuery, Uint8Array | undefined>(
    (queries) => backend.getShares(queries),
    () => 1024 * 1024, // not known before the answer: a share of a full chunk is of this order
    dataBatch,
  )
  const blocks = coalesce<BlockQuery, BlockAnswer | undefined>(
    (queries) => backend.getBlocks(queries),
    ({ count }) => count * blockBytes,
    dataBatch,
  )
  return {
    backend,
    pace,
    put: coalesce<Uint8Array, PutOutcome>(
      (shares) => backend.putShares(shares),
      (share) => share.length,
      dataBatch,
    ),
    get: (query) => pace.time(() => get(query)),
    blocks: (query) => pace.time(() => blocks(query)),
    has: coalesce<ChunkId, number[]>(
      (ids) => backend.hasShares(ids, { touch: true }),
      () => 40,
      smallBatch,
    ),
  }
}
