/** What local files were like when this machine stored them: a cache for each profile and tree, in the user's folder for caches. */
import { join } from "node:path"
import { pathsOf } from "@holdfast/client/profile"
import { toHex } from "@holdfast/core"
import type { FileSystem } from "@holdfast/fs"
import { StoredFiles } from "@holdfast/fs/node"
import { registerIdOf } from "@holdfast/protocol"
import type { Context } from "../../context.ts"

/** Those of the trees that a command stores into. */
export interface StoredFilesOfTrees {
  /** Undefined for what cannot be written anyway. */
  of(files: FileSystem): StoredFiles | undefined
  save(): Promise<void>
}

/** Opens them as they are asked for. */
export function storedFilesOfTrees({ env, profile }: Pick<Context, "env" | "profile">): StoredFilesOfTrees {
  const opened = new Map<string, StoredFiles>()
  return {
    of({ access }) {
      if (!access) return undefined
      const file = join(pathsOf(env).cache, "stored", profile, toHex(registerIdOf(access.publicKey)))
      const known = opened.get(file) ?? StoredFiles.open(file)
      opened.set(file, known)
      return known
    },
    async save() {
      for (const one of opened.values()) await one.save()
    },
  }
}
