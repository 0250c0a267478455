/** A bucket of any S3-compatible service as a backend. Specification of what lies in it: docs/formats/bucket.md. */
import type { Clock, CryptoProvider } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import { type BucketOptions, openBucket } from "./bucket.ts"
import type { S3Location } from "./location.ts"
import { registerCalls } from "./registers.ts"
import { shareCalls } from "./shares.ts"

export { type Bucket, openBucket } from "./bucket.ts"
export { checkS3Location, nameOfBucket, parseS3Location, type S3Location } from "./location.ts"
export { type Capabilities, probeBucket } from "./probe.ts"

/** How a bucket serves as a backend. */
export interface S3Options extends BucketOptions {
  /** Stable name of the backend: placement depends on it. */
  readonly id: string
  readonly location: S3Location
  readonly crypto: CryptoProvider
  readonly clock: Clock
  /** The service refuses to replace an object when asked to (`probeBucket` finds out). Without, one writer is safe, not two. */
  readonly conditionalWrites: boolean
  /** A share confirmed within so long is not marked again; an hour by default. Garbage must be kept for longer. */
  readonly touchAfterMs?: number
}

const hourMs = 3_600_000

/** Opens a bucket as a backend; the first call tells whether it can be reached. */
export function createS3Backend(options: S3Options): Backend {
  const { id, location, crypto, clock, conditionalWrites: conditional, touchAfterMs = hourMs } = options
  const bucket = openBucket(location, options)
  const nowMs = () => clock.nowMs()
  return {
    id,
    ...shareCalls(bucket, { crypto, nowMs, conditional, touchAfterMs }),
    ...registerCalls(bucket, { crypto, conditional }),
    close: async () => bucket.close(),
  }
}
