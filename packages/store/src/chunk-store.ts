/** Chunks over the places of a store: sealed, dispersed and sent; gathered, opened and proven. */
import type { CryptoProvider } from "@holdfast/core"
import type { Batch } from "./batch.ts"
import { type DamageListener, type ReadOptions, readChunk, type ShareDamage } from "./chunk-reader.ts"
import { writeChunk } from "./chunk-writer.ts"
import { type ChunkPipeline, sealOnce } from "./pipeline.ts"
import type { Places } from "./places.ts"
import { type RangeReader, tooShort } from "./range-reader.ts"
import type { Shortfalls } from "./shortfall.ts"
import type { ChunkStore } from "./types.ts"

/** What the chunks of a store stand on. */
export interface ChunkStoreParts {
  readonly places: Places
  readonly pipeline: ChunkPipeline
  readonly shortfalls: Shortfalls
  readonly ranges: RangeReader
  readonly readOptions: ReadOptions
  readonly crypto: CryptoProvider
  /** So many places must take a chunk. */
  readonly happy: number
  /** The batch of marks that new chunks are marked with. */
  readonly batch: () => Batch
  /** Called with each use. */
  readonly onUse: () => void
  /** Ends all work. */
  readonly signal: AbortSignal | undefined
}

/** The chunks of a store. */
export function createChunkStore(parts: ChunkStoreParts): ChunkStore {
  const { places, pipeline, shortfalls, ranges, readOptions, crypto, happy, batch, onUse, signal } = parts
  return {
    buffers: pipeline.buffers,
    async putChunk(plaintext, options) {
      options?.signal?.throwIfAborted()
      onUse()
      const { sealed, isNew } = await sealOnce(pipeline, plaintext, {
        ...{ coding: readOptions.usual, crypto },
        ...{ before: options?.before, upload: options?.upload },
      })
      options?.onSealed?.({ id: sealed.id, key: sealed.key })
      const { sentBytes, settled } = await writeChunk(sealed, places.ranked(sealed.id), {
        ...{ happy, isNew, clock: readOptions.clock, batch: batch(), signal: options?.signal },
        domainsOf: (backend) => places.domainsOf(backend),
      })
      const end = shortfalls.begin()
      void settled.then((isWhole) => {
        end(isWhole)
        // A request that nobody waits for any more may still be sending it.
        if (!options?.signal?.aborted && !signal?.aborted) pipeline.buffers.give(sealed.memory)
      })
      return { id: sealed.id, key: sealed.key, sentBytes }
    },
    async getChunk(ref, options) {
      options?.signal?.throwIfAborted()
      onUse()
      const onDamage = toldIf(options?.isNeeded, readOptions.onDamage)
      return readChunk(ref, places.ranked(ref.id), { ...readOptions, onDamage, signal: options?.signal })
    },
    async readRange(ref, range, options) {
      options?.signal?.throwIfAborted()
      onUse()
      const { offset, length } = range
      const found = await ranges.read(ref, range, { ranked: places.ranked(ref.id), signal: options?.signal })
      if (found) return found
      const whole = await readChunk(ref, places.ranked(ref.id), { ...readOptions, signal: options?.signal })
      options?.onWhole?.(whole, { isInBlocks: ranges.isInBlocks(ref.id) })
      if (offset + length > whole.length) throw tooShort(ref.id)
      return whole.subarray(offset, offset + length)
    },
  }
}

/** The same listener, which hears of nothing before `isNeeded` has resolved to true. */
function toldIf(isNeeded: Promise<boolean> | undefined, onDamage: DamageListener | undefined) {
  if (!isNeeded || !onDamage) return onDamage
  return (damage: ShareDamage) => void isNeeded.then((is) => is && onDamage(damage))
}
