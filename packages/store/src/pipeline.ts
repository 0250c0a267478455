/** Where the chunk pipeline runs: in this thread here, in worker threads in ./node/worker-pool.ts. */
import { type BufferPool, type CryptoProvider, equal } from "@holdfast/core"
import { type Coding, decodeShare, markSealedHere } from "@holdfast/protocol"
import { rebuildShares, rebuiltBytes } from "./rebuild.ts"
import {
  type ChunkKey,
  checkPayload,
  checkShare,
  openChunk,
  type PipelineDeps,
  type SealedChunk,
  sealChunk,
  sealedBytes,
} from "./seal.ts"
import type { ChunkId, ChunkRef, UploadKey } from "./types.ts"

/** What became of shares that should restore a chunk. */
export type OpenResult =
  | { readonly plaintext: Uint8Array }
  /** Which of the given shares were damaged, so that the caller fetches others, and all of them back. */
  | { readonly damaged: readonly number[]; readonly shares: readonly Uint8Array[] }

/**
 * Runs the expensive part of chunk work somewhere. Arrays handed in may be moved away: they belong to the pipeline from then
 * on, which gives back to `buffers` what came from there.
 */
export interface ChunkPipeline {
  /** Arrays that cost nothing to hand in. */
  readonly buffers: BufferPool
  /** The `memory` of the result may be given to `buffers` once all shares are sent. */
  seal(plaintext: Uint8Array, coding: Coding, key: ChunkKey): Promise<SealedChunk>
  /** Verifies k encoded shares of chunk `id` and opens them. A large plaintext may be given to `buffers` once nobody looks at it. */
  open(id: ChunkId, key: Uint8Array, shares: readonly Uint8Array[]): Promise<OpenResult>
  /** Checks an encoded share, all of it, against chunk `id` and gives it back; see `checkShare`. */
  check(id: ChunkId, share: Uint8Array): Promise<CheckResult>
  /** Proves that encoded shares belong together and makes others from them; see `rebuildShares`. Gives back those that it was given. */
  rebuild(shares: readonly Uint8Array[], wanted: readonly number[]): Promise<RebuildResult>
  close(): Promise<void>
}

/** A share that was checked. */
export interface CheckResult {
  readonly bytes: Uint8Array
  readonly isGood: boolean
}

/** What was made of checked shares of a chunk. */
export interface RebuildResult {
  readonly shares: readonly Uint8Array[]
  /** Undefined when not all shares of the chunk follow from the same data. */
  readonly made: readonly Uint8Array[] | undefined
  /** What these lie in; to be given to `buffers` once they are sent. */
  readonly memory: Uint8Array
}

/** How a chunk is sealed. */
export interface SealOptions {
  readonly coding: Coding
  readonly crypto: Pick<CryptoProvider, "random">
  /** What may hold the same. */
  readonly before?: ChunkRef | undefined
  readonly upload?: UploadKey | undefined
}

/**
 * Seals under a key that is random, or of this upload alone, unless `before` holds the same: which is found out here, by sealing under
 * its key, since asking
 * servers for anything that follows from content would tell them that it is there.
 */
export async function sealOnce(
  pipeline: ChunkPipeline,
  plaintext: Uint8Array,
  { coding, crypto, before, upload }: SealOptions,
): Promise<{ readonly sealed: SealedChunk; readonly isNew: boolean }> {
  if (before) {
    const copy = pipeline.buffers.take(plaintext.length)
    copy.set(plaintext)
    const sealed = await pipeline.seal(copy, coding, before.key)
    if (equal(sealed.id, before.id)) {
      pipeline.buffers.give(plaintext)
      return { sealed, isNew: false }
    }
    pipeline.buffers.give(sealed.memory) // of a key that has sealed something else: nobody ever sees it
  }
  const sealed = await pipeline.seal(plaintext, coding, upload ?? crypto.random(32))
  return { sealed, isNew: !upload?.isAgain }
}

/** The pipeline in the calling thread. */
export function createLocalPipeline(deps: PipelineDeps): ChunkPipeline {
  return {
    buffers: deps.buffers,
    async seal(plaintext, coding, key) {
      const target = deps.buffers.take(sealedBytes(plaintext.length, coding))
      const sealed = await sealChunk(deps, plaintext, coding, key, target)
      markSealedHere(sealed.shares)
      deps.buffers.give(plaintext)
      return sealed
    },
    async open(id, key, shares) {
      const target = targetOf(deps.buffers, shares)
      const result = await openEncoded(deps, { id, key, encoded: shares, target })
      return settleOpened(deps.buffers, result, shares, target)
    },
    check: async (id, bytes) => ({ bytes, isGood: (await checkShare(deps.crypto, id, bytes)) !== undefined }),
    async rebuild(shares, wanted) {
      const memory = deps.buffers.take(rebuiltBytes(decodeShare(shares[0]!), wanted))
      return { shares, made: await rebuildShares(deps, shares.map(decodeShare), wanted, memory), memory }
    },
    close: async () => undefined,
  }
}

/** Encoded shares to be opened. */
export interface OpenRequest {
  readonly id: ChunkId
  readonly key: Uint8Array
  readonly encoded: readonly Uint8Array[]
  /** Where the plaintext goes; see `targetOf`. */
  readonly target?: Uint8Array | undefined
}

/** A smaller plaintext has memory of its own: it may be kept for long, and pooled memory is larger than what lies in it. */
const leastPooledBytes = 1024 * 1024

/** Memory for the plaintext of these shares and for their slices before, where it is worth to be used again. */
export function targetOf(buffers: BufferPool, encoded: readonly Uint8Array[]): Uint8Array | undefined {
  const bytes = encoded.reduce((sum, { length }) => sum + length, 0)
  return bytes < leastPooledBytes ? undefined : buffers.take(bytes)
}

/** Gives back what a plaintext needs no more, and lends the plaintext itself. */
export function settleOpened(
  buffers: BufferPool,
  result: OpenResult,
  shares: readonly Uint8Array[],
  target: Uint8Array | undefined,
): OpenResult {
  if ("damaged" in result) {
    if (target) buffers.give(target)
    return result
  }
  for (const share of shares) buffers.give(share)
  if (target) buffers.adopt(result.plaintext)
  return result
}

/** Verifies and opens encoded shares; says which are damaged when not all are good. Throws ERR_CORRUPT, ERR_INCONSISTENT. */
export async function openEncoded(
  deps: Pick<PipelineDeps, "crypto" | "erasure">,
  { id, key, encoded, target }: OpenRequest,
): Promise<OpenResult> {
  const checked = await Promise.all(encoded.map((bytes) => checkPayload(deps.crypto, id, bytes)))
  const damaged = checked.flatMap((share, position) => (share ? [] : [position]))
  if (damaged.length > 0) return { damaged, shares: encoded }
  return {
    plaintext: await openChunk(
      deps,
      checked.map((share) => share!),
      key,
      target,
    ),
  }
}
