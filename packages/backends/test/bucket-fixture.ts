/** Buckets in memory, opened for accounts, one of them with something in its way. */
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue } from "@holdfast/protocol/testing"
import type { Bucket } from "../src/s3/bucket.ts"
import { createObjectBackend, type ObjectOptions } from "../src/s3/objects.ts"
import { MemoryBucket, type MemoryBucketOptions } from "./memory-bucket.ts"

export const hourMs = 3_600_000

/** How a bucket is opened. */
export type OpenOptions = Partial<Omit<ObjectOptions, "id" | "crypto">> & {
  /** As which client it asks. */
  readonly client?: string
  /** Stands before the bucket. */
  readonly through?: (bucket: Bucket) => Bucket
}

/** A bucket, and what opens it: for an account of its own each time, unless one is given. */
export function newBucket(bucketOptions: MemoryBucketOptions = {}) {
  const bucket = new MemoryBucket(bucketOptions)
  const open = async ({ client, through = (plain) => plain, ...options }: OpenOptions = {}) => {
    const access = options.access ?? (await makeAccount(crypto))
    const listing = bucketOptions.listDelayMs ? ({ listing: "delayed" } as const) : {}
    const all = { id: "bucket", crypto, conditionalWrites: true, ...listing, ...options, access }
    return createObjectBackend(through(bucket.connect(client)), all)
  }
  const lay = (key: string, bytes: Uint8Array) => bucket.objects.set(key, { bytes, modifiedMs: bucket.nowMs })
  return { bucket, open, lay }
}

/** A register and its values. */
export async function newRegister() {
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  return { id, value: (sequence: number, text = "root") => makeRegisterValue(crypto, seed, sequence, text) }
}
