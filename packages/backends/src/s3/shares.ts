/**
 * Shares as objects of a bucket: one object each, written only where there is none. A share that is condemned is stored again
 * under the next generation, so that no late deletion takes it.
 */
import { equal, HoldfastError, isHoldfastError, limits, mapPool, mapPoolToEnd } from "@holdfast/core"
import {
  type AccountId,
  type BlockQuery,
  type CallOptions,
  type ChunkId,
  type MarkOptions,
  type MarkOutcome,
  type PutOutcome,
  type ShareQuery,
  verifyShare,
} from "@holdfast/protocol"
import { accountsToMark, checkBatch, checkRole } from "../rules.ts"
import type { Batch, Batches } from "./batches.ts"
import { readBlocks } from "./blocks.ts"
import type { Fence } from "./fence.ts"
import { chunkPrefix, parseShareKey, type ShareKey, shareKey } from "./keys.ts"
import type { Place } from "./place.ts"
import type { Voucher } from "./vouch.ts"

const parallel = 32
/** All generations of all shares of a chunk. */
const mostOfChunk = 4 * limits.maxShares
/** Where lists lag, a chunk that is not listed is looked for under these indices: volumes with more shares are rare. */
const usualShares = 16

/** What marks are kept with. */
export interface Marking {
  readonly batches: Batches
  readonly fence: Fence
  readonly voucher: Voucher
}

/** The share calls of a backend over a bucket. */
export function shareCalls(place: Place, { batches, fence, voucher }: Marking) {
  const { bucket, crypto, conditional } = place
  /** Puts of one share wait for each other, so that each is told the truth about what existed. */
  const writing = new Map<string, Promise<unknown>>()

  const put = async (batch: Batch, accounts: readonly AccountId[], bytes: Uint8Array, signal: Signal) => {
    const share = await verifyShare(crypto, bytes).catch(formRefusal)
    if ("ok" in share) return share
    const { id, index } = share
    const name = shareKey(id, index)
    const before = writing.get(name)
    const work = (async (): Promise<PutOutcome> => {
      await before
      const key: ShareKey = { id, index, generation: fence.generationAbove(id, index) }
      const { found, seenMs } = await store(key, bytes, signal)
      // Whether others stored it is nobody's business.
      const existed = found && batches.hasShare(id, index)
      if (found) batch.hasFound = true
      batch.addShare(accounts, key, seenMs)
      return { ok: true, existed }
    })().catch(fullOutcome)
    writing.set(name, work)
    try {
      return await work
    } finally {
      if (writing.get(name) === work) writing.delete(name)
    }
  }

  /** Writes an object where there is none; one with other bytes, which can only be rot, is replaced. */
  const store = async (share: ShareKey, bytes: Uint8Array, signal: Signal) => {
    const key = shareKey(share.id, share.index, share.generation)
    if (conditional) {
      const created = await bucket.put(key, bytes, { ifAbsent: true, signal })
      if (created.stored) return { found: false, seenMs: created.atMs }
    }
    const present = await readShare(key, signal)
    if (present && equal(present.bytes, bytes)) return { found: true, seenMs: present.atMs }
    return { found: false, seenMs: (await bucket.put(key, bytes, { signal })).atMs }
  }

  /** Whatever lies there; undefined when there is nothing or when it is far too large to be a share. */
  const readShare = async (key: string, signal: Signal) => {
    try {
      return await bucket.get(key, limits.shareBytes, { signal })
    } catch (error) {
      if (isHoldfastError(error, "ERR_LIMIT")) return undefined
      throw error
    }
  }

  /** What is held of a chunk, in order of indices and generations. */
  const held = async (id: ChunkId, signal: Signal) => {
    const { infos, atMs } = await bucket.list(chunkPrefix(id), { limit: mostOfChunk, signal })
    const shares = infos.flatMap(({ key }) => parseShareKey(key) ?? [])
    return { shares: shares.length === 0 && place.listDelayMs > 0 ? await unlisted(id, signal) : shares, atMs }
  }

  /** What was stored a moment ago, which a list that lags does not show. */
  const unlisted = async (id: ChunkId, signal: Signal): Promise<ShareKey[]> => {
    const indices = Array.from({ length: usualShares }, (_, index) => index)
    const found = await mapPool(indices, parallel, (index) => bucket.getPart(shareKey(id, index), 0, 1, { signal }))
    return indices.filter((index) => found[index]).map((index) => ({ id, index, generation: 0 }))
  }

  const get = async ({ id, index, likely }: ShareQuery, signal: Signal) => {
    const guess = index ?? likely
    const guessed = guess === undefined ? undefined : await readShare(shareKey(id, guess), signal)
    if (guessed) return guessed.bytes
    // Only what was condemned once lies elsewhere than under its plain key.
    for (const share of (await held(id, signal)).shares)
      if (index === undefined || (share.index === index && share.generation > 0)) {
        const found = await readShare(shareKey(share.id, share.index, share.generation), signal)
        if (found) return found.bytes
      }
    return undefined
  }

  const blocksOf = async (query: BlockQuery, signal: Signal) => {
    const { id, index } = query
    const plain = await readBlocks(bucket, shareKey(id, index), query, signal)
    if (plain) return plain
    // As for whole shares: only what was condemned once lies elsewhere than under its plain key.
    for (const share of (await held(id, signal)).shares)
      if (share.index === index && share.generation > 0) {
        const found = await readBlocks(bucket, shareKey(id, index, share.generation), query, signal)
        if (found) return found
      }
    return undefined
  }

  /** Shares that may be relied on: the highest generation of each index, unless it is condemned. */
  const reliable = (shares: readonly ShareKey[]): ShareKey[] => {
    const highest = new Map(shares.map((share) => [share.index, share]))
    return [...highest.values()].filter(({ id, index, generation }) => !fence.condemns(id, index, generation))
  }

  /** What was marked long ago and is not written down is written down, lest it be taken for garbage. */
  const writeOld = async (batch: Batch, signal: Signal) => {
    const oldestMs = batch.oldestPendingMs()
    if (oldestMs !== undefined && place.newestMs - oldestMs > place.trustMs / 2) await voucher.write(batch, signal)
  }

  const begin = (options: MarkOptions) => {
    const accounts = accountsToMark(place.access, options)
    checkBatch(options.batch)
    return { accounts, batch: batches.open(options.batch) }
  }

  return {
    async putShares(shares: readonly Uint8Array[], options: MarkOptions): Promise<PutOutcome[]> {
      const { batch, accounts } = begin(options)
      const outcomes = await mapPoolToEnd(shares, parallel, (bytes) => put(batch, accounts, bytes, options.signal))
      await writeOld(batch, options.signal)
      return outcomes
    },
    async markShares(ids: readonly ChunkId[], options: MarkOptions): Promise<MarkOutcome[]> {
      const { batch, accounts } = begin(options)
      if (ids.length === 0) return []
      const { signal } = options
      await fence.look(signal)
      const outcomes = await mapPool(ids, parallel, async (id): Promise<MarkOutcome> => {
        const { shares, atMs } = await held(id, signal)
        const found = reliable(shares)
        for (const share of found) batch.addShare(accounts, share, atMs)
        if (found.length > 0) batch.hasFound = true
        return { ok: true, held: found.map(({ index }) => index) }
      })
      await writeOld(batch, signal)
      return outcomes
    },
    async getShares(queries: readonly ShareQuery[], { signal }: CallOptions = {}) {
      checkRole(place.access, "read")
      return mapPool(queries, parallel, (query) => get(query, signal))
    },
    async getBlocks(queries: readonly BlockQuery[], { signal }: CallOptions = {}) {
      checkRole(place.access, "read")
      return mapPool(queries, parallel, (query) => blocksOf(query, signal))
    },
    async hasShares(ids: readonly ChunkId[], { signal }: CallOptions = {}): Promise<number[][]> {
      checkRole(place.access, "read")
      return mapPool(ids, parallel, async (id) => reliable((await held(id, signal)).shares).map(({ index }) => index))
    },
  }
}

type Signal = AbortSignal | undefined

function formRefusal(error: unknown): Extract<PutOutcome, { ok: false }> {
  if (error instanceof HoldfastError) return { ok: false, code: "bad-share", message: error.message }
  throw error
}

function fullOutcome(error: unknown): PutOutcome {
  if (isHoldfastError(error, "ERR_SERVER_FULL")) return { ok: false, code: "full", message: error.message }
  if (isHoldfastError(error, "ERR_QUOTA_EXCEEDED")) return { ok: false, code: "quota", message: error.message }
  throw error
}
