/** Reads the newest version of a tree, and its root beside that when it is the one that was seen here last. */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import type { RegisterContent, RegisterKeys, RegisterStore } from "@holdfast/store"
import type { TreeIo } from "./io.ts"
import { type Current, currentOf } from "./races.ts"
import { type DirectoryRef, sameReference } from "./reference.ts"
import { decodeRoot } from "./root.ts"

/** The newest version. Throws ERR_NOT_FOUND when no server knows the register, and what reading and decoding it throw. */
export async function readNewest(io: TreeIo, registers: RegisterStore, keys: RegisterKeys): Promise<Current> {
  const { promise: newest, resolve } = Promise.withResolvers<DirectoryRef>()
  const onRemembered = ({ content }: RegisterContent) => {
    const root = rootOf(content)
    if (root)
      io.readAhead(
        root,
        newest.then((now) => sameReference(now, root)),
      ) // before servers have said which is the newest
  }
  try {
    const value = await registers.read(keys, { onRemembered })
    if (!value)
      throw new HoldfastError(
        "ERR_NOT_FOUND",
        "No server knows this directory. Check that the capability is meant for this grid.",
      )
    const current = currentOf(value)
    resolve(current.content.root)
    return current
  } finally {
    resolve(null)
  }
}

/** The root of what was seen last; null too when that cannot be read, of which whoever reads the newest hears. */
function rootOf(content: Uint8Array): DirectoryRef {
  try {
    return decodeRoot(content).root
  } catch (error) {
    if (isHoldfastError(error)) return null
    throw error
  }
}
