/** From what was typed to a place in an opened tree, with clear errors for what is not there. */
import { HoldfastError } from "@holdfast/core"
import { type FileSystem, holdsEntries, type Item, type Location, noSnapshot, notFound, show } from "@holdfast/fs"
import { isDamage } from "@holdfast/tree"
import { parseRemote, type RemoteBase, snapshotReadings } from "../../places.ts"

/** Opens the tree that a place starts at. */
export type Opener = (base: RemoteBase) => Promise<FileSystem>

/** A place that may or may not exist. */
export interface Place extends Location {
  /** Written with a slash at its end, or the root: things go inside it. */
  readonly inside: boolean
}

/** A place that exists. */
export interface Found extends Place {
  readonly item: Item
}

/** The place that `text` names, as it stands: never in a snapshot. With `follow` what is linked in there is entered. */
export async function openPlace(
  open: Opener,
  text: string,
  options: { readonly follow?: boolean } = {},
): Promise<Place> {
  const { base, path, inside } = parseRemote(text)
  const place = await (await open(base)).locate(path, options)
  return { ...place, inside: inside && !(place.files.isFile && place.path.length === 0) }
}

/** The whole tree that `text` names. Throws ERR_INVALID_ARGUMENT for a place inside one. */
export async function openTop(open: Opener, text: string): Promise<FileSystem> {
  const { files, path } = await openPlace(open, text, { follow: true })
  if (path.length === 0) return files
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `${show({ files, path })} is a place inside a tree, and this is about whole trees: write ${files.label}`,
  )
}

/**
 * What `text` names, in the tree or in a snapshot; undefined when there is nothing. Snapshots are found although the present
 * state cannot be read.
 */
export async function lookUp(open: Opener, text: string): Promise<Found | undefined> {
  const place = await openPlace(open, text)
  let damage: unknown
  try {
    const item = await place.files.lookup(place.path)
    if (item) return { ...place, item }
  } catch (error) {
    if (!isDamage(error)) throw error
    damage = error
  }
  for (const reading of snapshotReadings(place.path)) {
    const files = await place.files.snapshot(reading.snapshot)
    if (!files) continue
    const found = await files.lookup(reading.path)
    if (found) return { files, path: reading.path, inside: place.inside, item: found }
  }
  if (damage) throw damage
  return undefined
}

/** What `text` names. Throws ERR_NOT_FOUND. */
export async function find(open: Opener, text: string): Promise<Found> {
  const found = await lookUp(open, text)
  if (found) return found
  const { files, path } = await openPlace(open, text)
  throw files.isFile ? notFound({ files, path }) : await notThere(files, path)
}

/** The error for a place that is not there: the snapshots that are, or the directory that is. */
async function notThere(files: FileSystem, path: readonly string[]): Promise<HoldfastError> {
  const [reading] = snapshotReadings(path)
  if (reading) {
    const snapshot = await files.snapshot(reading.snapshot)
    if (snapshot) return notFound({ files: snapshot, path: reading.path }, await nearest(snapshot, reading.path))
    // Names such as @types stand for themselves more often than for a snapshot.
    if (await files.lookup(reading.path)) return noSnapshot(files, reading.snapshot)
  }
  return notFound({ files, path }, await nearest(files, path))
}

/** The last directory on a path that is there. */
async function nearest(files: FileSystem, path: readonly string[]): Promise<readonly string[]> {
  for (let depth = path.length - 1; depth > 0; depth--) {
    const item = await files.lookup(path.slice(0, depth))
    if (item && holdsEntries(item)) return path.slice(0, depth)
  }
  return []
}

/** A directory that `text` names. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY. */
export async function findDirectory(open: Opener, text: string): Promise<Found> {
  const found = await find(open, text)
  if (!holdsEntries(found.item))
    throw new HoldfastError("ERR_NOT_A_DIRECTORY", `${show(found)} is a ${found.item.entry.kind}, not a directory.`)
  return found
}

/** What the item at a place is called; undefined for the root of a directory. */
export function nameAt({ files, path }: Location): string | undefined {
  return path.at(-1) ?? files.rootName
}

/** Where a source called `name` ends up at `place`: inside an existing directory, or under the place's own name. */
export async function target(place: Place, name: string, { merge }: { readonly merge: boolean }): Promise<Place> {
  const inner = { ...place, path: [...place.path, name], inside: false }
  if (place.inside) return inner
  if (merge) return place
  const item = await place.files.lookup(place.path)
  return item && holdsEntries(item) ? inner : place
}
