/** Linking another tree, a mutable file or something immutable in by its capability. */
import type { Cap } from "@holdfast/protocol"
import type { Location } from "../file-system.ts"
import { alreadyExists } from "./refusals.ts"

/**
 * Gives what `cap` grants a name. Whoever keeps an account has it held from then on: see `holdCap`. Throws ERR_ALREADY_EXISTS,
 * ERR_WRONG_CAPABILITY.
 */
export async function link(cap: Cap, at: Location): Promise<void> {
  const { files, path } = at
  if (path.length === 0) throw alreadyExists(at)
  await files.edit(async (edit) => {
    if (await edit.lookup(path)) throw alreadyExists(at)
    await edit.link(path, cap)
  })
}
