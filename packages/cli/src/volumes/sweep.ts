/** Buckets forget in two runs, a day apart: what nobody holds any more is condemned by one `gc` and deleted by a later one. */
import type { BucketBackend, SweepOutcome } from "@holdfast/backends/s3"
import type { Backend } from "@holdfast/protocol"

/** Sweeps the buckets among `backends`; one that fails is told by `warn` and left for the next time. */
export async function sweepBuckets(
  backends: readonly Backend[],
  warn: (text: string) => void,
): Promise<ReadonlyMap<string, SweepOutcome>> {
  const swept = new Map<string, SweepOutcome>()
  await Promise.all(
    backends.filter(isBucket).map(async (bucket) => {
      try {
        swept.set(bucket.id, await bucket.sweep())
      } catch (error) {
        warn(`${bucket.id} was not swept: ${error instanceof Error ? error.message : String(error)}`)
      }
    }),
  )
  return swept
}

function isBucket(backend: Backend): backend is BucketBackend {
  return "sweep" in backend
}
