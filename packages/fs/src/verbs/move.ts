/** Moving and renaming within a tree. */
import { HoldfastError } from "@holdfast/core"
import type { Location } from "../file-system.ts"
import { show } from "../path.ts"
import { notFound, requireFree } from "./refusals.ts"

/**
 * Moves what is at `from` to `to`, in place of a file that is there. Throws ERR_NOT_FOUND, ERR_ALREADY_EXISTS for a directory,
 * ERR_NOT_A_DIRECTORY, ERR_WRONG_CAPABILITY, ERR_INVALID_ARGUMENT between trees and into itself.
 */
export async function move(from: Location, to: Location): Promise<void> {
  const { files } = to
  if (from.files !== files)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `${show(from)} and ${show(to)} are in two trees; moving is within one.`,
      {
        advice: "copy",
      },
    )
  if (isBelow(to.path, from.path))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${show(from)} cannot be moved into itself.`)
  await files.edit(async (edit) => {
    if (!(await edit.lookup(from.path))) throw notFound(from)
    await requireFree(edit, files, to.path)
    if (to.path.length > 0) await edit.remove(to.path) // the file that gives way
    await edit.move(from.path, to.path)
  })
}

function isBelow(path: readonly string[], above: readonly string[]): boolean {
  return path.length >= above.length && above.every((name, i) => path[i] === name)
}
