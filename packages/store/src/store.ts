/** Composes the store: chunks and registers over the servers of one grid, for one owner. */
import { BufferPool, type Env, equal } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import type { AccountId, Backend } from "@holdfast/protocol"
import { sampleBlock } from "./audit.ts"
import { type Batch, Batches } from "./batch.ts"
import { type CheckOptions, checkChunk } from "./chunk-health.ts"
import type { DamageListener } from "./chunk-reader.ts"
import { type RebalanceChunkOptions, type Rebalanced, rebalanceChunk } from "./chunk-rebalance.ts"
import { createChunkStore } from "./chunk-store.ts"
import { type BeginOptions, beginCollection, type Collection } from "./collect.ts"
import { adoptRegisters } from "./collect-adopt.ts"
import type { Domain } from "./domains.ts"
import type { IdSet } from "./id-set.ts"
import { KnownChunks } from "./known-chunks.ts"
import { markChunks } from "./marking.ts"
import { withPatience } from "./patience.ts"
import { type ChunkPipeline, createLocalPipeline } from "./pipeline.ts"
import type { PlacedServer } from "./placement.ts"
import { Places } from "./places.ts"
import { RangeReader } from "./range-reader.ts"
import { type Rollback, rollbackError } from "./register-rollback.ts"
import type { SeenStore } from "./register-seen.ts"
import { createRegisterStore, type RegisterDeps } from "./register-store.ts"
import { Watches } from "./register-watch.ts"
import { type Shortfall, Shortfalls } from "./shortfall.ts"
import { stoppable, withSignal } from "./stoppable.ts"
import { Line, type Rates, throttled } from "./throttle.ts"
import { type TracedRequest, traced } from "./traced.ts"
import type { BlockSample, ChunkHealth, ChunkId, ChunkStore, OwnedRegisterStore } from "./types.ts"

/** Memory kept for the next chunks where no pipeline is given. */
const maxIdleBytes = 16 * 1024 * 1024

/** What a store stands on. */
export interface StoreDeps extends Pick<RegisterDeps, "device" | "onUnproven" | "ownerOf"> {
  readonly env: Env
  /**
   * The servers of the grid with their weights (capacity, at least 1), and what each keeps; each opened for the same account, for
   * which all that is stored is marked.
   */
  readonly servers: readonly PlacedServer[]
  /** k of n, and `happy`: the least number of distinct servers for a put to succeed. */
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly registerMode: "crash" | "byzantine"
  /** The account that the servers are opened for; it need not be named among those that a tree is held for. */
  readonly account?: AccountId
  readonly seen: SeenStore
  /** All that is stored serves a removal: places with limits take a little more for that. */
  readonly forRemoval?: boolean
  /** Takes older registers than seen before, for reading only: writing and collecting garbage are refused then. */
  readonly onRollback?: (rollback: Rollback) => void
  /** Where chunk work runs; in the calling thread when absent. */
  readonly pipeline?: ChunkPipeline
  /** Most bytes a second of chunks that are put and read, and of shares that checks, repairs and rebalances read and move. */
  readonly rates?: Rates | undefined
  /** Hears of each share that a read found damaged or missing, and went around. */
  readonly onDamage?: DamageListener | undefined
  /** Hears of each request to a place. */
  readonly onRequest?: ((request: TracedRequest) => void) | undefined
  /** Ends all work of the store, as the signals of single calls end theirs; it can only be closed then. */
  readonly signal?: AbortSignal | undefined
  /** After so long at most without an answer a read asks another server too; 400 ms when absent. */
  readonly hedgeMs?: number
}

/** Chunks, registers and their care. */
export interface Store {
  /** The servers of shares as the store uses them: one that cannot be reached is left alone for a while. */
  readonly backends: readonly Backend[]
  /** The servers of registers. */
  readonly voters: readonly Backend[]
  /** What may be lost at once, by the labels of servers. */
  readonly domains: readonly Domain[]
  readonly chunks: ChunkStore
  readonly registers: OwnedRegisterStore
  /** Asks for a block of a chunk that nobody can foresee, and verifies it. Needs no key. */
  sampleBlock(id: ChunkId): Promise<BlockSample>
  /** Health of one chunk; repairs when asked to, for `accounts` besides the store's own. Needs no key. */
  checkChunk(id: ChunkId, options?: CheckOptions & Held): Promise<ChunkHealth>
  /** Copies a chunk's shares to where they belong now. Needs no key. */
  rebalanceChunk(id: ChunkId, options?: RebalanceChunkOptions & Held): Promise<Rebalanced>
  /**
   * Marks chunks and registers that others stored for the store's account: when this resolves each chunk lies on `happy` servers
   * that keep it for the account. Throws ERR_NOT_ENOUGH_SHARES, ERR_NOT_ENOUGH_SERVERS.
   */
  hold(chunks: IdSet, registers: IdSet): Promise<void>
  /**
   * What places did not take of all that was written since the store was opened; undefined when they took all of it. Waits a
   * moment for places that have not answered.
   */
  shortfall(): Promise<Shortfall | undefined>
  /** Begins a collection: nothing that is marked from now on goes in it. Throws ERR_ROLLBACK. */
  beginCollection(options?: BeginOptions): Promise<Collection>
  /**
   * Uses these servers from now on: what is under way goes on with those that it began with. A backend that is among them again goes on
   * as it is, the others are closed when their last call has ended.
   */
  follow(servers: readonly PlacedServer[]): void
  close(): Promise<void>
}

/** For whom something is held besides the store's own account. */
export interface Held {
  readonly accounts?: readonly AccountId[]
}

/** Marks that are older than this are renewed before a commit: a place may take them away after an hour. */
const renewAfterMs = 20 * 60_000

/** Chunks that are marked together when a tree is taken over. */
const heldAtOnce = 65_536

/** Opens a store. The backends belong to it from now on. */
export async function createStore(deps: StoreDeps): Promise<Store> {
  const erasure = await createErasure()
  const pipeline =
    deps.pipeline ??
    createLocalPipeline({ crypto: deps.env.crypto, erasure, buffers: new BufferPool({ maxIdleBytes }) })
  const shortfalls = new Shortfalls()
  const { signal, onRequest } = deps
  const places = new Places(deps.servers, {
    clock: deps.env.clock,
    wrap(backend) {
      const own = onRequest ? traced(backend, deps.env.clock, onRequest) : backend
      const patient = withPatience(own, deps.env.clock)
      return shortfalls.watched(signal ? withSignal(patient, signal) : patient)
    },
  })
  const ranked = (id: ChunkId) => places.ranked(id)
  const backendsOf = (id: ChunkId) => ranked(id).map(({ backend }) => backend)
  const batches = new Batches(deps.env.crypto, () => deps.env.clock.nowMs(), { forRemoval: deps.forRemoval ?? false })
  const isOther = (id: AccountId) => !deps.account || !equal(id, deps.account)
  const presentBatch = (accounts: readonly AccountId[] = []) => batches.present(accounts.filter(isOther), renewAfterMs)
  const { crypto, clock } = deps.env
  const line = new Line(deps.rates ?? {}, clock, signal)
  const known = new KnownChunks(crypto)
  const { k, happy, n } = deps.coding
  const health = (batch: Batch) => ({
    ...{ crypto, clock, erasure, batch, line, known, pipeline, usualShares: n, buffers: pipeline.buffers },
    domainsOf: (backend: Backend) => places.domainsOf(backend),
  })
  const marking = {
    clock: deps.env.clock,
    coding: deps.coding,
    ranked,
    repair: (id: ChunkId, batch: Batch, doubted: ReadonlySet<Backend>) =>
      checkChunk({ ...health(batch), doubted }, id, backendsOf(id), { repair: true }),
  }
  let rolledBack: Rollback | undefined
  const { hedgeMs = 400, onDamage } = deps
  const readOptions = { pipeline, clock, usual: { k, n }, hedgeMs, onDamage }
  const ranges = new RangeReader({ crypto: deps.env.crypto, erasure, ...readOptions }, known)
  const watches = new Watches(deps.env, places.voters)
  const chunks = createChunkStore({
    ...{ places, pipeline, shortfalls, ranges, readOptions, signal, happy, crypto: deps.env.crypto },
    batch: () => presentBatch(),
    onUse: () => watches.activity.touch(),
  })
  const registers = registersOver(deps, {
    ...{ places, watches, chunks },
    marks: {
      happy,
      batch: presentBatch,
      mark: (ids, batch, doubted, signal) => markChunks(marking, ids, batch, { doubted, signal }),
      leave: (batch) => batches.leave(batch),
    },
    onRollback(rollback) {
      rolledBack = rollback
    },
  })
  const care: Pick<Store, "sampleBlock" | "checkChunk" | "rebalanceChunk" | "hold" | "beginCollection"> = {
    sampleBlock: (id) => sampleBlock({ crypto: deps.env.crypto, known, line }, id, ranked(id)),
    checkChunk: (id, options) => checkChunk(health(presentBatch(options?.accounts)), id, backendsOf(id), options),
    rebalanceChunk: (id, options) =>
      rebalanceChunk(health(presentBatch(options?.accounts)), id, backendsOf(id), options),
    async hold(ids, registers) {
      if (rolledBack) throw rollbackError(rolledBack)
      const batch = presentBatch()
      const page: ChunkId[] = []
      const flush = () => markChunks(marking, page.splice(0), batch)
      for (const [, id] of ids.entries()) if (page.push(id.slice()) >= heldAtOnce) await flush()
      await flush()
      const tally = { ownRegisters: new Set<string>() }
      // A place that fails keeps what it keeps; the next collection adopts there.
      await Promise.allSettled(
        places.voters.map((backend) => adoptRegisters(backend, { tally, registers, batch: batch.token })),
      )
      batches.leave(batch) // no commit follows that these marks would belong to
    },
    async beginCollection(options?: BeginOptions) {
      const refuseRollback = (): void => {
        // An older root does not name what newer ones need.
        if (rolledBack) throw rollbackError(rolledBack)
      }
      refuseRollback()
      const { env, coding } = deps
      const everybody = { backends: places.all, holders: new Set(places.backends) }
      const collection = await beginCollection({ ...everybody, env, coding }, options)
      return stoppable<Collection>(
        {
          ...collection,
          // The roots were read since.
          async release(...given) {
            refuseRollback()
            return collection.release(...given)
          },
          async run(given) {
            refuseRollback()
            return collection.run(given)
          },
        },
        signal,
      )
    },
  }
  return {
    get backends() {
      return places.backends
    },
    get voters() {
      return places.voters
    },
    follow(servers) {
      places.follow(servers)
      watches.follow(places.voters)
    },
    get domains() {
      return places.domainsFor(deps.registerMode)
    },
    chunks: stoppable(deps.rates ? throttled(chunks, line, { spread: n / k }) : chunks, signal),
    registers: stoppable(registers, signal),
    ...stoppable(care, signal),
    async shortfall() {
      await shortfalls.settle(deps.env.clock)
      return shortfalls.now()
    },
    async close() {
      watches.close()
      await pipeline.close()
      await places.close()
    },
  }
}

/** The registers of a store, whose places come and go. */
function registersOver(
  { env, registerMode: mode, seen, device, onUnproven, ownerOf, onRollback }: StoreDeps,
  {
    places,
    onRollback: note,
    ...parts
  }: Pick<RegisterDeps, "marks" | "chunks" | "watches"> & {
    readonly places: Places
    readonly onRollback: (rollback: Rollback) => void
  },
): OwnedRegisterStore {
  return createRegisterStore({
    ...{ ...parts, env, mode, seen },
    ...(device && { device }),
    ...(onUnproven && { onUnproven }),
    ...(ownerOf && { ownerOf }),
    ...(onRollback && {
      onRollback(rollback: Rollback) {
        note(rollback)
        onRollback(rollback)
      },
    }),
    get backends() {
      return places.voters
    },
    get keepers() {
      return places.keepers
    },
  })
}
