/**
 * The mark that says whose a bucket or a directory is: the id of its volume. Two volumes in one place would take each
 * other's shares for garbage.
 */
import * as fs from "node:fs"
import { HoldfastError } from "@holdfast/core"
import { Folder, makePrivateFolder } from "@holdfast/core/node"
import type { VolumeBackend } from "@holdfast/protocol"

/** Name of the mark in a directory; in a bucket it is described in docs/formats/bucket.md. */
export const markerFile = "holdfast-volume"
const mostMarkerBytes = 1024

/** Marks a place as the volume's; a place that has the same mark stays as it is. Throws ERR_ALREADY_EXISTS. */
export async function claimPlace(place: VolumeBackend, volumeId: string): Promise<void> {
  if (place.kind === "directory") claimDirectory(place.path, volumeId)
  else if (place.kind === "s3") await claimBucket(place, volumeId)
}

/** What a mark in a directory says; undefined when there is none. Throws ERR_CORRUPT for what is no mark. */
export function readMarkerIn(path: string): string | undefined {
  if (!fs.existsSync(path)) return undefined
  const folder = Folder.open(path)
  try {
    const bytes = folder.readFile(markerFile, mostMarkerBytes)
    return bytes && Buffer.from(bytes).toString("latin1")
  } catch (cause) {
    const message = `${path}/${markerFile} is no mark of a volume: a link, no file, or too long. Is this the right directory?`
    throw new HoldfastError("ERR_CORRUPT", message, { path }, { cause })
  } finally {
    folder.close()
  }
}

function claimDirectory(path: string, volumeId: string): void {
  const held = readMarkerIn(path)
  if (held !== undefined) {
    refuseOther(path, held, volumeId)
    return
  }
  makePrivateFolder(path)
  const folder = Folder.open(path)
  try {
    if (folder.entries().some(({ name }) => name !== "lost+found"))
      throw new HoldfastError("ERR_ALREADY_EXISTS", `${path} is not empty. Name a new or an empty directory.`, { path })
    folder.writeNew(markerFile, `${volumeId}\n`)
    folder.sync()
  } finally {
    folder.close()
  }
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
