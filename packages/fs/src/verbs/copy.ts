/** Copying within a volume: content is shared by reference within a tree, and in chunks of its own in another one. */
import { HoldfastError } from "@holdfast/core"
import type { Item, Location } from "../file-system.ts"
import { requireFree } from "./refusals.ts"

/**
 * Puts what was found at another name too, in place of a file that is there. Throws ERR_ALREADY_EXISTS for a directory,
 * ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY, ERR_WRONG_CAPABILITY, ERR_INVALID_ARGUMENT between volumes.
 */
export async function copy(item: Item, { files, path }: Location): Promise<void> {
  const { owner } = item
  if (!owner.io.isSameStore(files.io))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `${owner.label} is in volume ${owner.volume} and ${files.label} in ${files.volume}: get it from the one, then put it into the other.`,
    )
  await files.edit(async (edit) => {
    await requireFree(edit, files, path)
    await edit.set(path, item)
  })
}
