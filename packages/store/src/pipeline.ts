/** Where the chunk pipeline runs: in this thread here, in worker threads in ./node/worker-pool.ts. */
import type { BufferPool } from "@holdfast/core"
import type { Coding } from "@holdfast/protocol"
import { checkPayload, openChunk, type PipelineDeps, type SealedChunk, sealChunk, sealedBytes } from "./seal.ts"
import type { ChunkId } from "./types.ts"

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
  seal(plaintext: Uint8Array, coding: Coding, convergenceSecret: Uint8Array): Promise<SealedChunk>
  /** Verifies k encoded shares of chunk `id` and opens them. */
  open(id: ChunkId, key: Uint8Array, shares: readonly Uint8Array[]): Promise<OpenResult>
  close(): Promise<void>
}

/** The pipeline in the calling thread. */
export function createLocalPipeline(deps: PipelineDeps): ChunkPipeline {
  return {
    buffers: deps.buffers,
    async seal(plaintext, coding, secret) {
      const target = deps.buffers.take(sealedBytes(plaintext.length, coding))
      const sealed = await sealChunk(deps, plaintext, coding, secret, target)
      deps.buffers.give(plaintext)
      return sealed
    },
    async open(id, key, shares) {
      const result = await openEncoded(deps, id, key, shares)
      if ("plaintext" in result) for (const share of shares) deps.buffers.give(share)
      return result
    },
    close: async () => undefined,
  }
}

/** Verifies and opens encoded shares; says which are damaged when not all are good. Throws ERR_CORRUPT, ERR_INCONSISTENT. */
export async function openEncoded(
  deps: PipelineDeps,
  id: ChunkId,
  key: Uint8Array,
  encoded: readonly Uint8Array[],
): Promise<OpenResult> {
  const checked = await Promise.all(encoded.map((bytes) => checkPayload(deps.crypto, id, bytes)))
  const damaged = checked.flatMap((share, position) => (share ? [] : [position]))
  if (damaged.length > 0) return { damaged, shares: encoded }
  return {
    plaintext: await openChunk(
      deps,
      checked.map((share) => share!),
      key,
    ),
  }
}
