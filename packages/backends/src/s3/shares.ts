/** Shares as objects of a bucket: one object each, written only where there is none. */
import { type CryptoProvider, equal, HoldfastError, isHoldfastError, limits, mapPool } from "@holdfast/core"
import {
  type BlockQuery,
  type CallOptions,
  type ChunkId,
  checkListing,
  type ListOptions,
  type PutOutcome,
  type ShareInfo,
  type ShareQuery,
  type ShareRemoval,
  verifyShare,
} from "@holdfast/protocol"
import { checkListLimit } from "../rules.ts"
import { readBlocks } from "./blocks.ts"
import type { Bucket, ObjectInfo } from "./bucket.ts"
import { chunkPrefix, parseShareKey, shareKey, sharesPrefix } from "./keys.ts"

/** How shares are kept. */
export interface ShareOptions {
  readonly crypto: CryptoProvider
  readonly nowMs: () => number
  /** The bucket refuses to replace an object when asked to. */
  readonly conditional: boolean
  /** A share confirmed within so long is not marked again: marking is a request of its own. */
  readonly touchAfterMs: number
}

const parallel = 32
/** Objects among the shares that are none of ours; nobody puts so many there by mistake. */
const mostForeign = 20_000

/** The share calls of a backend over `bucket`. */
export function shareCalls(bucket: Bucket, options: ShareOptions) {
  /** Puts of one share wait for each other, so that each is told the truth about what existed. */
  const writing = new Map<string, Promise<PutOutcome>>()

  const put = async (bytes: Uint8Array, signal: AbortSignal | undefined): Promise<PutOutcome> => {
    const share = await verifyShare(options.crypto, bytes).catch(formRefusal)
    if ("ok" in share) return share
    const key = shareKey(share.id, share.index)
    const before = writing.get(key)
    const work = (async () => {
      await before
      return store(bucket, options, key, bytes, signal)
    })()
    writing.set(key, work)
    try {
      return await work
    } finally {
      if (writing.get(key) === work) writing.delete(key)
    }
  }

  const get = async ({ id, index, likely }: ShareQuery, signal: AbortSignal | undefined) => {
    const read = (which: number) => readShare(bucket, shareKey(id, which), signal)
    if (index !== undefined) return read(index)
    const guess = likely === undefined ? undefined : await read(likely)
    if (guess) return guess
    const [first] = await held(bucket, id, signal)
    return first && read(first.index)
  }

  return {
    putShares: (shares: readonly Uint8Array[], { signal }: CallOptions = {}) =>
      mapPool(shares, parallel, (bytes) => put(bytes, signal)),
    getShares: (queries: readonly ShareQuery[], { signal }: CallOptions = {}) =>
      mapPool(queries, parallel, (query) => get(query, signal)),
    getBlocks: (queries: readonly BlockQuery[], { signal }: CallOptions = {}) =>
      mapPool(queries, parallel, (query) => readBlocks(bucket, query, signal)),
    hasShares: (ids: readonly ChunkId[], { signal, touch = false }: CallOptions & { touch?: boolean } = {}) =>
      mapPool(ids, parallel, async (id) => {
        const shares = await held(bucket, id, signal)
        if (touch) await Promise.all(shares.map(({ info }) => confirm(bucket, options, info, signal)))
        return shares.map(({ index }) => index)
      }),
    async listShares({ after, limit, signal }: ListOptions): Promise<ShareInfo[]> {
      checkListLimit(limit)
      const shares: ShareInfo[] = []
      let foreign = 0
      let last = after && shareKey(after.id, after.index)
      while (shares.length < limit) {
        const page = await bucket.list(sharesPrefix, {
          ...(last && { after: last }),
          limit: limit - shares.length,
          signal,
        })
        const found = page.flatMap(asShare)
        shares.push(...found)
        foreign += page.length - found.length
        if (foreign > mostForeign) throw foreignError(bucket.name, foreign)
        last = page.at(-1)?.key
        if (!last) break
      }
      return shares
    },
    async removeShares(removals: readonly ShareRemoval[], { signal }: CallOptions = {}): Promise<void> {
      await mapPool(removals, parallel, async ({ id, index, touchedBeforeMs }) => {
        if (index !== undefined && touchedBeforeMs === undefined) return bucket.remove(shareKey(id, index), { signal })
        // S3 cannot look and remove at once: what is confirmed in the moment between is lost.
        for (const { info, ...share } of await held(bucket, id, signal))
          if (share.index === (index ?? share.index) && info.modifiedMs < (touchedBeforeMs ?? Number.POSITIVE_INFINITY))
            await bucket.remove(info.key, { signal })
      })
    },
    /** Counts by listing, since S3 has no other way: a request for each 1000 shares. */
    async usage({ signal }: CallOptions = {}) {
      let [usedBytes, shareCount, foreign] = [0, 0, 0]
      let last: string | undefined
      for (;;) {
        const page = await bucket.list(sharesPrefix, { ...(last && { after: last }), limit: 1000, signal })
        const found = page.flatMap(asShare)
        for (const { sizeBytes } of found) usedBytes += sizeBytes
        shareCount += found.length
        foreign += page.length - found.length
        if (foreign > mostForeign) throw foreignError(bucket.name, foreign)
        last = page.at(-1)?.key
        if (!last) return { usedBytes, shareCount }
        if (found.length > 0) checkListing(bucket.name, shareCount, found.at(-1)!.id)
      }
    },
  }
}

/** Writes an object where there is none; one with other bytes, which can only be rot, is replaced. */
async function store(
  bucket: Bucket,
  options: ShareOptions,
  key: string,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<PutOutcome> {
  try {
    if (options.conditional && (await bucket.put(key, bytes, { ifAbsent: true, signal })) === "stored")
      return { ok: true, existed: false }
    const present = await readShare(bucket, key, signal)
    if (present && equal(present, bytes)) {
      const [info] = await bucket.list(key, { limit: 1, signal })
      if (info) await confirm(bucket, options, info, signal)
      return { ok: true, existed: true }
    }
    await bucket.put(key, bytes, { signal })
    return { ok: true, existed: false }
  } catch (error) {
    if (isHoldfastError(error, "ERR_SERVER_FULL")) return { ok: false, code: "full", message: error.message }
    throw error
  }
}

/** Whatever lies there; undefined when there is nothing or when it is far too large to be a share. */
async function readShare(bucket: Bucket, key: string, signal: AbortSignal | undefined) {
  try {
    return await bucket.get(key, limits.shareBytes, { signal })
  } catch (error) {
    if (isHoldfastError(error, "ERR_LIMIT")) return undefined
    throw error
  }
}

async function held(bucket: Bucket, id: ChunkId, signal: AbortSignal | undefined) {
  const infos = await bucket.list(chunkPrefix(id), { limit: limits.maxShares, signal })
  return infos.flatMap((info) => {
    const share = parseShareKey(info.key)
    return share ? [{ index: share.index, info }] : []
  })
}

async function confirm(bucket: Bucket, options: ShareOptions, info: ObjectInfo, signal: AbortSignal | undefined) {
  if (options.nowMs() - info.modifiedMs >= options.touchAfterMs) await bucket.touch(info.key, { signal })
}

function asShare({ key, sizeBytes, modifiedMs }: ObjectInfo): ShareInfo[] {
  const share = parseShareKey(key)
  return share ? [{ ...share, sizeBytes, touchedMs: modifiedMs }] : []
}

function foreignError(name: string, foreign: number): HoldfastError {
  return new HoldfastError(
    "ERR_BAD_FORMAT",
    `Bucket ${name} lists ${foreign} objects and more under ${sharesPrefix} that are not Holdfast's. ` +
      "Remove them with your provider's tools; if there are none, do not trust it.",
    { server: name, foreign },
  )
}

function formRefusal(error: unknown): Extract<PutOutcome, { ok: false }> {
  if (error instanceof HoldfastError) return { ok: false, code: "bad-share", message: error.message }
  throw error
}
