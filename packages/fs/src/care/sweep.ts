/** Buckets forget in two runs, a day apart: what nobody holds any more is condemned by one `gc` and deleted by a later one. */
import type { Backend, SweepOutcome } from "@holdfast/protocol"

/** Sweeps the buckets among `backends`; one that fails is told by `warn` and left for the next time. */
export async function sweepBuckets(
  backends: readonly Backend[],
  warn: (text: string) => void,
): Promise<ReadonlyMap<string, SweepOutcome>> {
  const swept = new Map<string, SweepOutcome>()
  await Promise.all(
    backends.map(async (bucket) => {
      try {
        const outcome = await bucket.sweep?.()
        if (outcome) swept.set(bucket.id, outcome)
      } catch (error) {
        warn(`${bucket.id} was not swept: ${error instanceof Error ? error.message : String(error)}`)
      }
    }),
  )
  return swept
}
