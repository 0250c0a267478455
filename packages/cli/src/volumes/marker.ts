/**
 * The mark that says whose a bucket or a directory is: the id of its volume. Two volumes in one place would take each
 * other's shares for garbage.
 */
import { existsSync } from "node:fs"
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { HoldfastError } from "@holdfast/core"
import type { VolumeBackend } from "@holdfast/protocol"

/** Name of the mark in a directory; in a bucket it is described in docs/formats/bucket.md. */
export const markerFile = "holdfast-volume"

/** Marks a place as the volume's; a place that has the same mark stays as it is. Throws ERR_ALREADY_EXISTS. */
export async function claimPlace(place: VolumeBackend, volumeId: string): Promise<void> {
  if (place.kind === "directory") await claimDirectory(place.path, volumeId)
  else if (place.kind === "s3") await claimBucket(place, volumeId)
}

async function claimDirectory(path: string, volumeId: string): Promise<void> {
  const marker = join(path, markerFile)
  if (existsSync(marker)) return refuseOther(path, await readFile(marker, "utf8"), volumeId)
  await mkdir(path, { recursive: true, mode: 0o700 })
  if ((await readdir(path)).some((name) => name !== "lost+found"))
    throw new HoldfastError("ERR_ALREADY_EXISTS", `${path} is not empty. Name a new or an empty directory.`, { path })
  await writeFile(marker, `${volumeId}\n`, { mode: 0o600, flag: "wx" })
}

async function claimBucket(place: Extract<VolumeBackend, { kind: "s3" }>, volumeId: string): Promise<void> {
  const { encodeMarker, markerKey, newMarker, openBucket, readMarker } = await import("@holdfast/backends/s3")
  const bucket = openBucket(place)
  try {
    const present = await readMarker(bucket)
    if (present) return refuseOther(place.id, present.volumeId, volumeId)
    await bucket.put(markerKey, encodeMarker(newMarker(volumeId)), { ifAbsent: place.conditionalWrites })
  } finally {
    bucket.close()
  }
}

function refuseOther(place: string, held: string, volumeId: string): void {
  if (held.trim() === volumeId) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `${place} belongs to another volume, which would lose what it holds. Name another place; in a bucket a prefix is enough: s3://BUCKET/PREFIX?...`,
    { place },
  )
}
