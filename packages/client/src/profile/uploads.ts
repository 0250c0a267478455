/**
 * Secrets of uploads under way: a file for each tree in the profile's folder `uploads`, there from before the first large file is
 * sent until the commit. Keys of chunks are made of it, so who has it and an interrupted upload's chunks can confirm a guess of
 * their content, and nothing else.
 */
import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { fromHex, toHex } from "@holdfast/core"
import { codeOf, makePrivateFolder, nodeCrypto, writeSecretFile } from "@holdfast/core/node"

/** The secret of an upload. */
export interface UploadSecret {
  readonly secret: Uint8Array
  /** It was begun by an earlier command, which did not come to its end. */
  readonly isAgain: boolean
}

/** Uploads of a profile. */
export interface ProfileUploads {
  /** The secret of the upload into a tree, by the register's id in hexadecimal; on disk when this resolves. */
  uploadSecret(register: string): Promise<UploadSecret>
  /** The upload is committed. */
  uploadDone(register: string): Promise<void>
}

/** Opens those of the profile in `dir`. */
export function openUploads(dir: string): ProfileUploads {
  const folder = join(dir, "uploads")
  const fileOf = (register: string) => join(folder, register)
  return {
    async uploadSecret(register) {
      const left = await readFile(fileOf(register), "utf8").catch((error: unknown) => {
        if (codeOf(error) !== "ENOENT") throw error
        return ""
      })
      // What is damaged is of no use: the upload begins anew.
      if (/^[0-9a-f]{64}$/.test(left)) return { secret: fromHex(left), isAgain: true }
      const secret = nodeCrypto.random(32)
      await makePrivateFolder(folder)
      await writeSecretFile(fileOf(register), toHex(secret))
      return { secret, isAgain: false }
    },
    uploadDone: (register) => rm(fileOf(register), { force: true }),
  }
}
