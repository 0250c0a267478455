/** What a simulated bucket is asked. */
import type { Listing } from "@holdfast/backends/s3/objects"

/** The requests that a bucket serves. */
export interface BucketRequests {
  put(key: string, bytes: Uint8Array, ifAbsent: boolean): Promise<{ readonly stored: boolean; readonly atMs: number }>
  get(key: string): Promise<{ readonly bytes: Uint8Array; readonly atMs: number } | undefined>
  list(prefix: string, after: string | undefined, limit: number): Promise<Listing>
  remove(key: string): Promise<void>
}
