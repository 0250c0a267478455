/** Secret files: whole or absent, readable by their owner only, on the disk before we go on. */
import { randomBytes } from "node:crypto"
import { open, readdir, rename, rm, rmdir } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { HoldfastError } from "../errors.ts"
import { keepOwner, makePrivateFolder } from "./private-files.ts"

/** Replaces one file atomically and durably, mode 0600. */
export async function writeSecretFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  try {
    await writeSynced(temporary, content)
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined) // what failed first is what is told
    throw ioError(`Could not write ${path}`, cause)
  }
}

/**
 * Creates `directory` (0700) with `files` (0600) in one step: it appears complete or not at all.
 * Throws ERR_ALREADY_EXISTS when the directory exists and is not empty.
 */
export async function createSecretDirectory(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  const target = resolve(directory)
  await refuseUnlessFree(target)
  const temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`
  try {
    makePrivateFolder(dirname(target))
    makePrivateFolder(temporary)
    for (const [name, content] of Object.entries(files)) await writeSynced(join(temporary, name), content)
    await syncDirectory(temporary)
    await rename(temporary, target)
    await syncDirectory(dirname(target))
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true })
    throw ioError(`Could not create ${directory}`, cause)
  }
}

/** Throws ERR_ALREADY_EXISTS when `directory` holds anything. */
export async function refuseUnlessFree(directory: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return
    throw ioError(`Could not look into ${directory}`, cause)
  }
  if (names.length > 0)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `${directory} is not empty. Choose another directory, or remove it if it is no longer needed.`,
      { directory },
    )
  await rmdir(directory)
}

/** The system's code of an error (ENOENT, ECONNREFUSED, ...), or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""
}

/** Turns a file system error into one of ours. */
export function ioError(what: string, cause: unknown): HoldfastError {
  if (cause instanceof HoldfastError) return cause
  const code = codeOf(cause)
  if (code === "ENOSPC" || code === "EDQUOT")
    return new HoldfastError(
      "ERR_DISK_FULL",
      `${what}: the disk is full. Free some space and try again.`,
      {},
      { cause },
    )
  return new HoldfastError("ERR_IO", `${what}: ${code || String(cause)}.`, { code }, { cause })
}

async function writeSynced(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600)
  try {
    keepOwner(file.fd, dirname(path))
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r")
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
