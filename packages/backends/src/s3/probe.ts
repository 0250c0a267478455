/** What a bucket can do, found out by trying. Leaves nothing behind. */
import { type CryptoProvider, equal, isHoldfastError, toHex } from "@holdfast/core"
import { type BucketOptions, openBucket } from "./bucket.ts"
import type { S3Location } from "./location.ts"

/** The result of trying a bucket. */
export interface Capabilities {
  /** Two writers cannot both create the same object. */
  readonly conditionalWrites: boolean
  /** A list shows at once what was written, and in order. */
  readonly listing: boolean
  /** The time of an object can be set anew, which keeps it from the collection of garbage. */
  readonly touching: boolean
  /** Median time of a small request, in milliseconds. */
  readonly latencyMs: number
}

const rounds = 5

/** Tries what a volume needs of a bucket. Throws ERR_REFUSED, ERR_SERVER_UNREACHABLE, ERR_REMOTE, ERR_CREDENTIALS. */
export async function probeBucket(
  location: S3Location,
  { crypto, ...options }: BucketOptions & { readonly crypto: CryptoProvider },
): Promise<Capabilities> {
  const bucket = openBucket(location, options)
  const prefix = `probe/${toHex(crypto.random(8))}/`
  const [first, second] = [crypto.random(64), crypto.random(64)]
  const [key, other] = [`${prefix}a`, `${prefix}b`]
  try {
    await bucket.put(key, first)
    const conditionalWrites = await refusesToReplace(bucket, key, second)
    await bucket.put(other, second)
    const listed = await bucket.list(prefix, { limit: 10 })
    const after = await bucket.list(prefix, { limit: 10, after: key })
    const listing = listed.map((info) => info.key).join() === `${key},${other}` && after.length === 1
    const touching = await bucket.touch(other).catch(() => false)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      await bucket.get(other, 64)
      times.push(performance.now() - start)
    }
    return { conditionalWrites, listing, touching, latencyMs: times.sort((a, b) => a - b)[rounds >> 1]! }
  } finally {
    await Promise.allSettled([bucket.remove(key), bucket.remove(other)])
    bucket.close()
  }
}

async function refusesToReplace(bucket: ReturnType<typeof openBucket>, key: string, bytes: Uint8Array) {
  try {
    if ((await bucket.put(key, bytes, { ifAbsent: true })) === "stored") return false
  } catch (error) {
    if (isHoldfastError(error) && (error.details as { status?: number }).status === 501) return false
    throw error
  }
  const held = await bucket.get(key, 64)
  return held !== undefined && !equal(held, bytes)
}
