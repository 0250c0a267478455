/** The places of a volume from before there were accounts: buckets are brought to version 2; directories and nodes do it at their start. */
import type { Bucket } from "@holdfast/backends/s3"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { VolumeBackend, VolumeDescription } from "@holdfast/protocol"

type BucketPlace = Extract<VolumeBackend, { kind: "s3" }>

/** How a place stands. */
export interface PlaceUpgrade {
  readonly id: string
  /** waiting: commands of an earlier version may still run there, or it is a dry run; failed: `why` says it. */
  readonly state: "done" | "waiting" | "failed"
  readonly waitMs: number
  /** What was marked for nobody in particular, or would be. */
  readonly chunks: number
  readonly registers: number
  readonly why?: string
}

/** How it is done. */
export interface UpgradePlacesOptions {
  readonly dryRun: boolean
  /** Opens a bucket; of the network by default. */
  readonly bucketOf?: (place: BucketPlace) => Promise<Bucket> | Bucket
}

/** Upgrades the buckets of a volume as far as it can be now; each call goes on where the last one ended. */
export async function upgradePlaces(
  { id: volumeId, backends }: VolumeDescription,
  { dryRun, bucketOf = openPlace }: UpgradePlacesOptions,
): Promise<PlaceUpgrade[]> {
  const buckets = backends.filter((place) => place.kind === "s3")
  if (buckets.length === 0) return []
  const { upgradeBucket } = await import("@holdfast/backends/s3")
  return Promise.all(
    buckets.map(async (place): Promise<PlaceUpgrade> => {
      const { id } = place
      try {
        const bucket = await bucketOf(place)
        try {
          return { id, ...(await upgradeBucket(bucket, { crypto, volumeId, dryRun })) }
        } finally {
          bucket.close()
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        return { id, state: "failed", waitMs: 0, chunks: 0, registers: 0, why }
      }
    }),
  )
}

async function openPlace(place: BucketPlace): Promise<Bucket> {
  const { openBucket } = await import("@holdfast/backends/s3")
  return openBucket(place)
}
