/** Making directories. */
import type { Location } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { alreadyExists, notDirectory, notFound } from "./refusals.ts"

/** How a directory is made. */
export interface MakeDirectoryOptions {
  /** Makes what is missing above too, and leaves a directory that is there as it is. */
  readonly parents?: boolean
}

/** Makes a directory. Throws ERR_ALREADY_EXISTS, ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY, ERR_WRONG_CAPABILITY. */
export async function mkdir(at: Location, { parents = false }: MakeDirectoryOptions = {}): Promise<void> {
  const { files, path } = at
  await files.edit(async (edit) => {
    const existing = await edit.lookup(path)
    if (existing && !(parents && holdsEntries(existing))) throw alreadyExists(at)
    if (existing) return
    for (let depth = 1; depth <= path.length; depth++) {
      const part = { files, path: path.slice(0, depth) }
      const item = await edit.lookup(part.path)
      if (!item && depth < path.length && !parents) throw notFound(part)
      if (!item) await edit.mkdir(part.path)
      else if (!holdsEntries(item)) throw notDirectory(part)
    }
  })
}
