/** Removing. Snapshots and the history keep what they hold. */
import type { Location } from "../file-system.ts"
import { notEmpty, notFound, rootStays } from "./refusals.ts"

/** What may be removed. */
export interface RemoveOptions {
  /** A directory with all in it too. */
  readonly recursive?: boolean
  /** Does nothing when it is not there. */
  readonly force?: boolean
}

/** Removes what is at a name. Throws ERR_NOT_FOUND, ERR_NOT_EMPTY, ERR_WRONG_CAPABILITY, ERR_INVALID_ARGUMENT for a root. */
export async function remove(at: Location, { recursive = false, force = false }: RemoveOptions = {}): Promise<void> {
  const { files, path } = at
  if (path.length === 0) throw rootStays(at)
  await files.edit(async (edit) => {
    const item = await edit.lookup(path)
    if (!item && force) return
    if (!item) throw notFound(at)
    if (item.entry.kind === "directory" && !recursive && !(await edit.isEmpty(path))) throw notEmpty(at)
    await edit.remove(path)
  })
}
