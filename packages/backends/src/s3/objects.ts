/** A backend over the objects of a bucket, however these are reached. Specification of what lies in it: docs/formats/bucket.md. */
import type { Clock, CryptoProvider } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import type { Bucket } from "./bucket.ts"
import { registerCalls } from "./registers.ts"
import { shareCalls } from "./shares.ts"

export type { Bucket, ObjectInfo } from "./bucket.ts"
export { chunkPrefix, parseShareKey, registerPrefix } from "./keys.ts"

/** What lies in a bucket and how it is kept. */
export interface ObjectOptions {
  /** Stable name of the backend: placement depends on it. */
  readonly id: string
  readonly crypto: CryptoProvider
  readonly clock: Clock
  /** The service refuses to replace an object when asked to (`probeBucket` finds out). Without, one writer is safe, not two. */
  readonly conditionalWrites: boolean
  /** A share confirmed within so long is not marked again; an hour by default. Garbage must be kept for longer. */
  readonly touchAfterMs?: number
}

const hourMs = 3_600_000

/** `bucket` as a backend, which closes it. */
export function createObjectBackend(bucket: Bucket, options: ObjectOptions): Backend {
  const { id, crypto, clock, conditionalWrites: conditional, touchAfterMs = hourMs } = options
  const nowMs = () => clock.nowMs()
  return {
    id,
    ...shareCalls(bucket, { crypto, nowMs, conditional, touchAfterMs }),
    ...registerCalls(bucket, { crypto, conditional }),
    close: async () => bucket.close(),
  }
}
