/** Files that hold secrets: made so that only their owner may read them, and refused when somebody else may. */
import * as fs from "node:fs"
import { lstat, open, rm, stat } from "node:fs/promises"
import { dirname } from "node:path"
import { HoldfastError } from "../errors.ts"
import { createFlags } from "./folder.ts"
import { localError } from "./local-error.ts"
import { keepOwner } from "./private-files.ts"
import { readStart } from "./read-start.ts"

const maxSecretBytes = 64 * 1024
/** More than most secrets have. */
const roomBytes = 8192

/** Those of `paths` that others than their owner may read, write or replace; those that are not there are none. */
export async function exposed(paths: readonly string[]): Promise<string[]> {
  const states = await Promise.all(
    paths.map(async (path) => {
      try {
        const [link, target] = await Promise.all([lstat(path), stat(path)])
        return isForeign(link.uid) || isOpen(target)
      } catch {
        return false
      }
    }),
  )
  return paths.filter((_, i) => states[i])
}

/** Throws ERR_EXPOSED when others than their owner may look into one of `paths`. */
export async function refuseExposed(paths: readonly string[]): Promise<void> {
  const open = await exposed(paths)
  if (open.length > 0) throw exposedError(open)
}

/**
 * What a file with a secret holds; `-` is standard input. Throws ERR_EXPOSED when others may read it or put another in its
 * place, ERR_LIMIT, and what the system answers.
 */
export function readSecretFile(path: string, maxBytes: number = maxSecretBytes): Uint8Array {
  if (path === "-") {
    const state = fs.fstatSync(0)
    if (state.isFile() && isOpen(state)) throw exposedInput()
    return readAll(0, "standard input", maxBytes)
  }
  const file = fs.openSync(path, fs.constants.O_RDONLY)
  try {
    // The one that was opened, whatever stands there by now.
    if (isForeign(fs.lstatSync(path).uid) || isOpen(fs.fstatSync(file))) throw exposedError([path])
    return readAll(file, `"${path}"`, maxBytes)
  } finally {
    fs.closeSync(file)
  }
}

/** A new file for a secret, there before the secret is made. */
export interface NewSecretFile {
  /** Writes it, to the disk. */
  write(text: string): Promise<void>
  /** Takes the file away again unless it was written. */
  close(): Promise<void>
}

/** Makes it, mode 0600, with room for what it will hold: a full disk is told before. Throws ERR_ALREADY_EXISTS, ERR_DISK_FULL, ERR_IO. */
export async function createSecretFile(path: string): Promise<NewSecretFile> {
  const file = await open(path, createFlags, 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw localError(error, path)
    throw new HoldfastError("ERR_ALREADY_EXISTS", `"${path}" is there already. Name a new file.`, { path })
  })
  try {
    keepOwner(file.fd, dirname(path))
    await file.write(new Uint8Array(roomBytes), 0, roomBytes, 0)
    await file.sync()
  } catch (error) {
    await file.close()
    await rm(path, { force: true })
    throw localError(error, path)
  }
  let isWritten = false
  return {
    async write(text) {
      try {
        const bytes = Buffer.from(text)
        for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten
        await file.truncate(bytes.length)
        await file.sync()
      } catch (error) {
        throw localError(error, path)
      }
      isWritten = true
    },
    async close() {
      await file.close()
      if (!isWritten) await rm(path, { force: true })
    },
  }
}

/** All of a file, a pipe or a terminal. */
function readAll(file: number, name: string, maxBytes: number): Uint8Array {
  const bytes = readStart(file, maxBytes + 1)
  if (bytes.length > maxBytes) throw new HoldfastError("ERR_LIMIT", `${name} is too large for a secret.`)
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Terminals have permissions of their own kind. */
function isOpen(state: fs.Stats): boolean {
  if (process.platform === "win32" || state.isCharacterDevice()) return false
  return (state.mode & 0o077) !== 0 || isForeign(state.uid)
}

/**
 * True when another user may change a file that this user's commands follow. A group with its user's own number has no other
 * members: where each user has one, files are made writable for it.
 */
export function othersMayChange({ mode, uid, gid }: Pick<fs.Stats, "mode" | "uid" | "gid">): boolean {
  if (process.platform === "win32") return false
  return isForeign(uid) || (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== uid)
}

/** Of another user than this one and root. Root itself serves users, and reads what is theirs. */
function isForeign(uid: number): boolean {
  const own = process.geteuid?.()
  return own !== undefined && own !== 0 && uid !== own && uid !== 0
}

function exposedError(paths: readonly string[]): HoldfastError {
  return new HoldfastError(
    "ERR_EXPOSED",
    `Other users of this machine may read or replace your secrets: ${paths.join(", ")}. Close that with: chmod go= ${paths.map(quoted).join(" ")}; what another user owns, copy into a file of your own.`,
    { paths: [...paths] },
  )
}

function exposedInput(): HoldfastError {
  return new HoldfastError(
    "ERR_EXPOSED",
    "Other users of this machine may read or replace your secrets: standard input is a file that is not yours alone. Close it with: chmod go= FILE",
  )
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./+@%,:=-]+$/.test(path) && !path.startsWith("-") ? path : `'${path.replaceAll("'", `'\\''`)}'`
}
