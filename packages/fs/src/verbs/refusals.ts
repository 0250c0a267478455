/** Why a verb is refused: the rules of POSIX, said once for every door. */
import { HoldfastError } from "@holdfast/core"
import type { Edit, FileSystem, Location } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { formatPath, show } from "../path.ts"

/** The error for what is not there; `parent` is a directory on the way that is. */
export function notFound({ files, path }: Location, parent: readonly string[] = path.slice(0, -1)): HoldfastError {
  if (files.isFile) return new HoldfastError("ERR_NOT_A_DIRECTORY", `${files.label} is a file, so nothing is below it.`)
  const details = { path: formatPath(path), advice: "list", parent: show({ files, path: parent }) }
  return new HoldfastError("ERR_NOT_FOUND", `${show({ files, path })} does not exist.`, details)
}

/** The error for a name that is taken. */
export function alreadyExists(at: Location): HoldfastError {
  return new HoldfastError("ERR_ALREADY_EXISTS", `${show(at)} exists already. Remove it first or choose another name.`)
}

/** The error for a root, which is not removed. */
export function rootStays(at: Location): HoldfastError {
  return new HoldfastError("ERR_INVALID_ARGUMENT", `${show(at)} is the root of a tree and cannot be removed.`, {
    advice: "forget",
  })
}

/** The error for a directory with entries that is to be removed without them. */
export function notEmpty(at: Location): HoldfastError {
  return new HoldfastError("ERR_NOT_EMPTY", `${show(at)} is a directory that is not empty.`, { advice: "recursive" })
}

/** The error for what holds no entries and should. */
export function notDirectory(at: Location): HoldfastError {
  return new HoldfastError("ERR_NOT_A_DIRECTORY", `${show(at)} is not a directory, so nothing can be put inside it.`)
}

/**
 * What comes to `path` needs a directory above and a free name: a file gives way to what takes its place, a directory must be
 * removed first. Throws ERR_ALREADY_EXISTS, ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY.
 */
export async function requireFree(edit: Edit, files: FileSystem, path: readonly string[]): Promise<void> {
  if (path.length === 0 && files.isFile) return
  if (path.length === 0) throw alreadyExists({ files, path })
  const existing = await edit.lookup(path)
  if (existing && holdsEntries(existing)) throw alreadyExists({ files, path })
  const above = { files, path: path.slice(0, -1) }
  const parent = await edit.lookup(above.path)
  if (!parent) throw notFound(above)
  if (!holdsEntries(parent)) throw notDirectory(above)
}
