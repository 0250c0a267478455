/** What a bucket can do, found out by trying. Leaves nothing behind where it may delete. */
import { type CryptoProvider, equal, isHoldfastError, toHex } from "@holdfast/core"
import { type Bucket, type BucketOptions, openBucket } from "./bucket.ts"
import type { S3Location } from "./location.ts"

/** The result of trying a bucket. */
export interface Capabilities {
  /** Two writers cannot both create the same object. */
  readonly conditionalWrites: boolean
  /** Lists show what was written: at once, after a while, or not in order and so not usefully. */
  readonly listing: "strong" | "delayed" | "broken"
  /** These keys may delete objects: whoever has them can collect what anybody stored there. */
  readonly deleting: boolean
  /** Median time of a small request, in milliseconds. */
  readonly latencyMs: number
}

const rounds = 5
/** Lists that are looked at for strength; each after a write of its own. */
const listRounds = 4

/** Tries what a volume needs of a bucket. Throws ERR_REFUSED, ERR_SERVER_UNREACHABLE, ERR_REMOTE, ERR_CREDENTIALS. */
export async function probeBucket(
  location: S3Location,
  { crypto, ...options }: BucketOptions & { readonly crypto: CryptoProvider },
): Promise<Capabilities> {
  const bucket = openBucket(location, options)
  try {
    return await probeOpenBucket(bucket, crypto)
  } finally {
    bucket.close()
  }
}

/**
 * Whether a bucket takes anything, which nothing but trying tells. Always the same small object, so that nothing piles up where it may
 * not be deleted. Throws ERR_SERVER_FULL, ERR_REFUSED, ERR_SERVER_UNREACHABLE, ERR_REMOTE, ERR_CREDENTIALS.
 */
export async function probeWriting(location: S3Location, options: BucketOptions = {}): Promise<void> {
  const bucket = openBucket(location, options)
  try {
    await bucket.put("probe/doctor", new Uint8Array(64))
    await bucket.remove("probe/doctor").catch(() => undefined) // these keys may be such as only store
  } finally {
    bucket.close()
  }
}

/** Tries an open bucket, which stays open. */
export async function probeOpenBucket(bucket: Bucket, crypto: CryptoProvider): Promise<Capabilities> {
  const prefix = `probe/${toHex(crypto.random(8))}/`
  const [first, second] = [crypto.random(64), crypto.random(64)]
  const keys = Array.from({ length: listRounds }, (_, i) => `${prefix}${i}`)
  try {
    await bucket.put(keys[0]!, first)
    const conditionalWrites = await refusesToReplace(bucket, keys[0]!, second)
    const listing = await probeListing(bucket, prefix, { keys, bytes: second })
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      await bucket.get(keys[0]!, 64)
      times.push(performance.now() - start)
    }
    const deleting = await mayDelete(bucket, keys[0]!)
    return { conditionalWrites, listing, deleting, latencyMs: times.sort((a, b) => a - b)[rounds >> 1]! }
  } finally {
    await Promise.allSettled(keys.map((key) => bucket.remove(key)))
  }
}

/** Whether each list shows all that was written before it, in order, from where it is told to begin. */
async function probeListing(
  bucket: Bucket,
  prefix: string,
  { keys, bytes }: { readonly keys: readonly string[]; readonly bytes: Uint8Array },
): Promise<Capabilities["listing"]> {
  let listing: Capabilities["listing"] = "strong"
  for (const [i, key] of keys.entries()) {
    if (i > 0) await bucket.put(key, bytes)
    const { infos } = await bucket.list(prefix, { limit: 10 })
    const listed = infos.map((info) => info.key)
    if (listed.join() !== listed.toSorted().join() || listed.some((one) => !keys.includes(one))) return "broken"
    if (listed.join() !== keys.slice(0, i + 1).join()) listing = "delayed"
  }
  const after = (await bucket.list(prefix, { limit: 10, after: keys[1]! })).infos.map((info) => info.key)
  if (after.some((key) => key <= keys[1]!)) return "broken"
  return after.join() === keys.slice(2).join() ? listing : "delayed"
}

async function mayDelete(bucket: Bucket, key: string): Promise<boolean> {
  try {
    await bucket.remove(key)
  } catch (error) {
    if (isHoldfastError(error, "ERR_REFUSED")) return false
    throw error
  }
  return (await bucket.get(key, 64)) === undefined
}

async function refusesToReplace(bucket: Bucket, key: string, bytes: Uint8Array): Promise<boolean> {
  try {
    if ((await bucket.put(key, bytes, { ifAbsent: true })).stored) return false
  } catch (error) {
    if (isHoldfastError(error) && (error.details as { status?: number }).status === 501) return false
    throw error
  }
  const held = await bucket.get(key, 64)
  return held !== undefined && !equal(held.bytes, bytes)
}
