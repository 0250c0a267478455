/** From what was typed to a place in an opened tree, with clear errors for what is not there. */
import { HoldfastError } from "@holdfast/core"
import { isDamage } from "@holdfast/tree"
import { formatPath, parseRemote, type RemoteBase, snapshotReadings } from "../../transfer/path-spec.ts"
import { noSnapshot } from "./no-snapshot.ts"
import type { Item, Volume } from "./volume.ts"

/** Opens the tree that a place starts at. */
export type VolumeOpener = (base: RemoteBase) => Promise<Volume>

/** A place that may or may not exist. */
export interface Place {
  readonly volume: Volume
  readonly path: readonly string[]
  /** Written with a slash at its end, or the root: things go inside it. */
  readonly inside: boolean
}

/** A place that exists. */
export interface Found extends Place {
  readonly item: Item
}

/** The place that `text` names, as it stands: never in a snapshot. With `follow` what is linked in there is entered. */
export async function openPlace(
  open: VolumeOpener,
  text: string,
  options: { readonly follow?: boolean } = {},
): Promise<Place> {
  const { base, path, inside } = parseRemote(text)
  const place = await (await open(base)).locate(path, options)
  return { ...place, inside: inside && !(place.volume.isFile && place.path.length === 0) }
}

/** The whole tree that `text` names. Throws ERR_INVALID_ARGUMENT for a place inside one. */
export async function openTop(open: VolumeOpener, text: string): Promise<Volume> {
  const { volume, path } = await openPlace(open, text, { follow: true })
  if (path.length === 0) return volume
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `${show({ volume, path })} is a place inside a tree, and this is about whole trees: write ${volume.label}`,
  )
}

/**
 * What `text` names, in the tree or in a snapshot; undefined when there is nothing. Snapshots are found although the present
 * state cannot be read.
 */
export async function lookUp(open: VolumeOpener, text: string): Promise<Found | undefined> {
  const place = await openPlace(open, text)
  let damage: unknown
  try {
    const item = await place.volume.lookup(place.path)
    if (item) return { ...place, item }
  } catch (error) {
    if (!isDamage(error)) throw error
    damage = error
  }
  for (const reading of snapshotReadings(place.path)) {
    const volume = await place.volume.snapshot(reading.snapshot)
    if (!volume) continue
    const found = await volume.lookup(reading.path)
    if (found) return { volume, path: reading.path, inside: place.inside, item: found }
  }
  if (damage) throw damage
  return undefined
}

/** What `text` names. Throws ERR_NOT_FOUND. */
export async function find(open: VolumeOpener, text: string): Promise<Found> {
  const found = await lookUp(open, text)
  if (found) return found
  const { volume, path } = await openPlace(open, text)
  throw volume.isFile ? notFound(volume, path) : await notThere(volume, path)
}

/** The error for a place that is not there: the snapshots that are, or the directory that is. */
async function notThere(volume: Volume, path: readonly string[]): Promise<HoldfastError> {
  const [reading] = snapshotReadings(path)
  if (reading) {
    const snapshot = await volume.snapshot(reading.snapshot)
    if (snapshot) return notFound(snapshot, reading.path, await nearest(snapshot, reading.path))
    // Names such as @types stand for themselves more often than for a snapshot.
    if (await volume.lookup(reading.path)) return noSnapshot(volume, reading.snapshot)
  }
  return notFound(volume, path, await nearest(volume, path))
}

/** The last directory on a path that is there. */
async function nearest(volume: Volume, path: readonly string[]): Promise<readonly string[]> {
  for (let depth = path.length - 1; depth > 0; depth--) {
    const item = await volume.lookup(path.slice(0, depth))
    if (item && holdsEntries(item)) return path.slice(0, depth)
  }
  return []
}

/** A directory that `text` names. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY. */
export async function findDirectory(open: VolumeOpener, text: string): Promise<Found> {
  const found = await find(open, text)
  if (!holdsEntries(found.item))
    throw new HoldfastError("ERR_NOT_A_DIRECTORY", `${show(found)} is a ${found.item.kind}, not a directory.`)
  return found
}

/** True for a directory and for a tree linked in. */
export function holdsEntries(item: Item): boolean {
  return item.kind === "directory" || item.kind === "junction"
}

/** What the item at a place is called; undefined for the root of a directory. */
export function nameAt({ volume, path }: Pick<Place, "volume" | "path">): string | undefined {
  return path.at(-1) ?? volume.rootName
}

/** A place for messages: `home:/docs/a`, without control characters. */
export function show({ volume, path }: Pick<Place, "volume" | "path">): string {
  return volume.isFile && path.length === 0 ? volume.label : `${volume.label}${formatPath(path)}`
}

/** Where a source called `name` ends up at `place`: inside an existing directory, or under the place's own name. */
export async function target(place: Place, name: string, { merge }: { readonly merge: boolean }): Promise<Place> {
  const inner = { ...place, path: [...place.path, name], inside: false }
  if (place.inside) return inner
  if (merge) return place
  const item = await place.volume.lookup(place.path)
  return item && holdsEntries(item) ? inner : place
}

/** The error for a place that is not there; `parent` is a directory on the way that is. */
export function notFound(
  volume: Volume,
  path: readonly string[],
  parent: readonly string[] = path.slice(0, -1),
): HoldfastError {
  if (volume.isFile)
    return new HoldfastError("ERR_NOT_A_DIRECTORY", `${volume.label} is a file, so nothing is below it.`)
  return new HoldfastError(
    "ERR_NOT_FOUND",
    `${show({ volume, path })} does not exist. "holdfast ls ${show({ volume, path: parent })}" shows what does.`,
    { path: formatPath(path) },
  )
}
