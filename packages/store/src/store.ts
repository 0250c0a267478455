/** Composes the store: chunks and registers over the servers of one grid, for one owner. */
import { BufferPool, type Env } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import type { Backend } from "@holdfast/protocol"
import { sampleBlock } from "./audit.ts"
import { type CheckOptions, checkChunk, rebalanceChunk } from "./chunk-health.ts"
import { readChunk } from "./chunk-reader.ts"
import { writeChunk } from "./chunk-writer.ts"
import { Confirmations } from "./confirm.ts"
import { type GarbageOptions, type GarbageResult, sweepServer } from "./garbage.ts"
import { KnownChunks } from "./known-chunks.ts"
import { withPatience } from "./patience.ts"
import { type ChunkPipeline, createLocalPipeline } from "./pipeline.ts"
import { type PlacedServer, rankServers } from "./placement.ts"
import { RangeReader, tooShort } from "./range-reader.ts"
import { type Rollback, rollbackError, type SeenStore } from "./register-seen.ts"
import { createRegisterStore } from "./register-store.ts"
import { createServer, type Server } from "./server.ts"
import type { BlockSample, ChunkHealth, ChunkId, ChunkStore, RegisterStore } from "./types.ts"

/** Memory kept for the next chunks where no pipeline is given. */
const maxIdleBytes = 16 * 1024 * 1024

/** What a store stands on. */
export interface StoreDeps {
  readonly env: Env
  /** The servers of the grid with their weights (capacity, at least 1). */
  readonly servers: readonly PlacedServer[]
  /** k of n, and `happy`: the least number of distinct servers for a put to succeed. */
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly registerMode: "crash" | "byzantine"
  /** The owner's secret, 32 bytes: equal content is stored once, and nobody else can confirm a guess. */
  readonly convergenceSecret: Uint8Array
  readonly seen: SeenStore
  /** Takes older registers than seen before, for reading only: writing and collecting garbage are refused then. */
  readonly onRollback?: (rollback: Rollback) => void
  /** Where chunk work runs; in the calling thread when absent. */
  readonly pipeline?: ChunkPipeline
  /** After so long at most without an answer a read asks another server too; 400 ms when absent. */
  readonly hedgeMs?: number
}

/** Chunks, registers and their care. */
export interface Store {
  /** The servers as the store uses them: one that cannot be reached is left alone for a while. */
  readonly backends: readonly Backend[]
  readonly chunks: ChunkStore
  readonly registers: RegisterStore
  /** Asks for a block of a chunk that nobody can foresee, and verifies it. Needs no key. */
  sampleBlock(id: ChunkId): Promise<BlockSample>
  /** Health of one chunk; repairs when asked to. Needs no key. */
  checkChunk(id: ChunkId, options?: CheckOptions): Promise<ChunkHealth>
  /** Moves a chunk's shares to where they belong now; gives the number moved. Needs no key. */
  rebalanceChunk(id: ChunkId): Promise<number>
  /** Sweeps every server that answers; results by server id, or the error. */
  collectGarbage(options: GarbageOptions): Promise<ReadonlyMap<string, GarbageResult | Error>>
  close(): Promise<void>
}

/** Opens a store. The backends belong to it from now on. */
export async function createStore(deps: StoreDeps): Promise<Store> {
  const erasure = await createErasure()
  const pipeline =
    deps.pipeline ??
    createLocalPipeline({ crypto: deps.env.crypto, erasure, buffers: new BufferPool({ maxIdleBytes }) })
  const placed = deps.servers.map(({ backend, weight }) => ({
    backend: withPatience(backend, deps.env.clock),
    weight,
  }))
  const servers = new Map<Backend, Server>(
    placed.map(({ backend }) => [backend, createServer(backend, deps.env.clock)]),
  )
  const ranked = (id: ChunkId) => rankServers(placed, id)
  const rankedServers = (id: ChunkId) => ranked(id).map((backend) => servers.get(backend)!)
  const health = { crypto: deps.env.crypto, clock: deps.env.clock, erasure }
  const { k, happy, n } = deps.coding
  const { onRollback } = deps
  const confirmations = new Confirmations({
    clock: deps.env.clock,
    happy,
    rankedServers,
    repair: (id) => checkChunk(health, id, ranked(id), { repair: true }),
  })
  let rolledBack: Rollback | undefined
  const readOptions = { pipeline, clock: deps.env.clock, usual: { k, n }, hedgeMs: deps.hedgeMs ?? 400 }
  const known = new KnownChunks(deps.env.crypto)
  const ranges = new RangeReader({ crypto: deps.env.crypto, erasure, ...readOptions }, known)
  return {
    backends: placed.map(({ backend }) => backend),
    chunks: {
      buffers: pipeline.buffers,
      async putChunk(plaintext, options) {
        options?.signal?.throwIfAborted()
        const sealed = await pipeline.seal(plaintext, { k, n }, deps.convergenceSecret)
        const { sentBytes, settled } = await writeChunk(sealed, rankedServers(sealed.id), happy, deps.env.clock)
        void settled.then(() => pipeline.buffers.give(sealed.memory))
        confirmations.note(sealed.id)
        return { id: sealed.id, key: sealed.key, sentBytes }
      },
      async getChunk(ref, options) {
        options?.signal?.throwIfAborted()
        return readChunk(ref, rankedServers(ref.id), readOptions)
      },
      async readRange(ref, range, options) {
        options?.signal?.throwIfAborted()
        const { offset, length } = range
        const found = await ranges.read(ref, range, rankedServers(ref.id))
        if (found) return found
        const whole = await readChunk(ref, rankedServers(ref.id), readOptions)
        if (offset + length > whole.length) throw tooShort(ref.id)
        return whole.subarray(offset, offset + length)
      },
      confirmChunks: (ids) => confirmations.confirm(ids),
    },
    registers: createRegisterStore({
      env: deps.env,
      backends: placed.map(({ backend }) => backend),
      mode: deps.registerMode,
      seen: deps.seen,
      ...(onRollback && {
        onRollback: (rollback: Rollback) => {
          rolledBack = rollback
          onRollback(rollback)
        },
      }),
    }),
    sampleBlock: (id) => sampleBlock({ crypto: deps.env.crypto, known }, id, rankedServers(id)),
    checkChunk: (id, options) => checkChunk(health, id, ranked(id), options),
    rebalanceChunk: (id) => rebalanceChunk(health, id, ranked(id)),
    async collectGarbage(options) {
      // An older root does not name what newer ones need.
      if (rolledBack) throw rollbackError(rolledBack)
      const swept = placed.map(async ({ backend }): Promise<[string, GarbageResult | Error]> => {
        try {
          return [backend.id, await sweepServer(backend, options)]
        } catch (error) {
          return [backend.id, error instanceof Error ? error : new Error(String(error))]
        }
      })
      return new Map(await Promise.all(swept))
    },
    async close() {
      await pipeline.close()
      await Promise.all(placed.map(({ backend }) => backend.close()))
    },
  }
}
