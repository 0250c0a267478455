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

/**
 * Marks places as the volume's; one that has the same mark stays as it is. When one of them cannot be had, the marks that were
 * made here go again. Throws ERR_ALREADY_EXISTS.
 */
export async function claimPlaces(places: readonly VolumeBackend[], volumeId: string): Promise<void> {
  const made: VolumeBackend[] = []
  try {
    for (const place of places) if (await claimPlace(place, volumeId)) made.push(place)
  } catch (error) {
    // What happened comes first; a mark that stays is told by whoever meets it.
    await Promise.allSettled(made.map((place) => releasePlace(place, volumeId)))
    throw error
  }
}

/** True when the mark was made now. */
async function claimPlace(place: VolumeBackend, volumeId: string): Promise<boolean> {
  if (place.kind === "directory") return claimDirectory(place.path, volumeId)
  return place.kind === "s3" && claimBucket(place, volumeId)
}

/** Takes the mark away if it is still the one that was made. */
async function releasePlace(place: VolumeBackend, volumeId: string): Promise<void> {
  if (place.kind === "directory") {
    if (readMarkerIn(place.path)?.trim() !== volumeId) return
    const folder = Folder.open(place.path)
    try {
      fs.unlinkSync(folder.at(markerFile))
    } finally {
      folder.close()
    }
  } else if (place.kind === "s3") {
    const { markerKey, openBucket, readMarker } = await import("@holdfast/backends/s3")
    const bucket = openBucket(place)
    try {
      if ((await readMarker(bucket))?.volumeId === volumeId) await bucket.remove(markerKey)
    } finally {
      bucket.close()
    }
  }
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

function claimDirectory(path: string, volumeId: string): boolean {
  const held = readMarkerIn(path)
  if (held !== undefined) {
    if (held.trim() !== volumeId) throw otherVolume(path, isMarkAlone(path))
    return false
  }
  makePrivateFolder(path)
  const folder = Folder.open(path)
  try {
    if (folder.entries().some(({ name }) => name !== "lost+found"))
      throw new HoldfastError("ERR_ALREADY_EXISTS", `${path} is not empty. Name a new or an empty directory.`, { path })
    folder.writeNew(markerFile, `${volumeId}\n`)
    folder.sync()
    return true
  } finally {
    folder.close()
  }
}

/** True when a directory holds a mark and nothing that was stored. */
function isMarkAlone(path: string): boolean {
  const folder = Folder.open(path)
  try {
    return folder.entries().every(({ name }) => name === markerFile || name === "lost+found")
  } finally {
    folder.close()
  }
}

async function claimBucket(place: Extract<VolumeBackend, { kind: "s3" }>, volumeId: string): Promise<boolean> {
  const { encodeMarker, markerKey, newMarker, openBucket, readMarker } = await import("@holdfast/backends/s3")
  const bucket = openBucket(place)
  try {
    const present = await readMarker(bucket)
    if (present && present.volumeId !== volumeId) throw otherVolume(place.id, false)
    if (present) return false
    await bucket.put(markerKey, encodeMarker(newMarker(volumeId)), { ifAbsent: place.conditionalWrites })
    return true
  } finally {
    bucket.close()
  }
}

function otherVolume(place: string, isEmpty: boolean): HoldfastError {
  return new HoldfastError(
    "ERR_ALREADY_EXISTS",
    isEmpty
      ? `${place} is marked for another volume, and holds nothing else. If no volume of yours or of others is to lie there, free it: rm ${place}/${markerFile}`
      : `${place} belongs to another volume, which would lose what it holds. Name another place; in a bucket a prefix is enough: s3://BUCKET/PREFIX?...`,
    { place },
  )
}
