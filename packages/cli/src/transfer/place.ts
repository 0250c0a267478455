/**
 * Writes what comes out of a tree into a local folder. The tree may be hostile: every name is checked, no symlink is
 * ever followed below the folder, and nothing lands outside it. A file appears whole, under its name, or not at all.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { HoldfastError } from "@holdfast/core"
import { localError, utimesValue } from "./local.ts"
import { checkName, printable } from "./path-spec.ts"

/** What a file, folder or symlink is given besides its content. */
export interface Attributes {
  readonly mode: number
  readonly mtimeNs: bigint
}

/** Mode bits that are restored; set-user-id and its kin only on request, since the tree may be another person's. */
export const plainModeBits = 0o777

/** The local path of `name` in folder `parent`; throws ERR_INVALID_NAME for a name that could lead elsewhere. */
export function childPath(parent: string, name: string): string {
  checkName(name)
  if (paths.sep !== "/" && name.includes(paths.sep))
    throw new HoldfastError("ERR_INVALID_NAME", `The name "${printable(name)}" cannot be used on this system.`)
  return parent.endsWith("/") ? `${parent}${name}` : `${parent}/${name}`
}

/** Makes sure that `local` is a real folder: a symlink in its place is replaced, another file is an error. */
export function placeDirectory(local: string, { isRoot = false } = {}): void {
  guarded(local, () => {
    const stat = isRoot ? fs.statSync(local, { throwIfNoEntry: false }) : fs.lstatSync(local, { throwIfNoEntry: false })
    if (stat?.isDirectory()) return
    if (stat?.isSymbolicLink()) fs.unlinkSync(local)
    else if (stat)
      throw new HoldfastError(
        "ERR_NOT_A_DIRECTORY",
        `"${printable(local)}" is a file here and a directory in the tree. Move it away first.`,
      )
    fs.mkdirSync(local, { recursive: isRoot, mode: 0o700 })
  })
}

/** Gives a folder its mode and time, after everything inside it was written. */
export function finishDirectory(local: string, { mode, mtimeNs }: Attributes): void {
  guarded(local, () => {
    fs.chmodSync(local, mode & plainModeBits)
    fs.lutimesSync(local, utimesValue(mtimeNs), utimesValue(mtimeNs))
  })
}

/** Writes a small file in one go. */
export function placeSmallFile(local: string, content: Uint8Array, attributes: Attributes): void {
  const temporary = temporaryBeside(local)
  guarded(local, () => {
    const file = fs.openSync(temporary, "wx", 0o600)
    try {
      try {
        let offset = 0
        while (offset < content.length) offset += fs.writeSync(file, content, offset)
        finishFile(file, attributes)
      } finally {
        fs.closeSync(file)
      }
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw error
    }
    renameOver(temporary, local)
  })
}

/** Writes a file from a stream; `onBytes` hears of each piece written. */
export async function placeFile(
  local: string,
  source: AsyncIterable<Uint8Array>,
  attributes: Attributes,
  onBytes: (count: number) => void = () => undefined,
): Promise<void> {
  const temporary = temporaryBeside(local)
  let file: number | undefined
  try {
    file = guarded(local, () => fs.openSync(temporary, "wx", 0o600))
    for await (const piece of source) {
      await writeAll(file, piece, local)
      onBytes(piece.length)
    }
    const opened = file
    guarded(local, () => finishFile(opened, attributes))
    file = undefined
    guarded(local, () => fs.closeSync(opened))
  } catch (error) {
    if (file !== undefined) fs.closeSync(file)
    fs.rmSync(temporary, { force: true })
    throw error
  }
  guarded(local, () => renameOver(temporary, local))
}

/** Makes a symlink, replacing a file or symlink of that name. Nothing is ever written through it. */
export function placeSymlink(local: string, target: string, { mtimeNs }: Attributes): void {
  if (target === "" || target.includes("\0"))
    throw new HoldfastError("ERR_INVALID_NAME", `The symlink "${printable(local)}" has a target that cannot be used.`)
  guarded(local, () => {
    const temporary = temporaryBeside(local)
    fs.symlinkSync(target, temporary)
    fs.lutimesSync(temporary, utimesValue(mtimeNs), utimesValue(mtimeNs))
    renameOver(temporary, local)
  })
}

function finishFile(file: number, { mode, mtimeNs }: Attributes): void {
  fs.fchmodSync(file, mode & plainModeBits)
  fs.futimesSync(file, utimesValue(mtimeNs), utimesValue(mtimeNs))
}

function renameOver(temporary: string, local: string): void {
  try {
    fs.renameSync(temporary, local)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw error
  }
}

function writeAll(file: number, piece: Uint8Array, local: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (offset: number) => {
      if (offset >= piece.length) return resolve()
      fs.write(file, piece, offset, piece.length - offset, null, (error, written) =>
        error ? reject(localError(error, local)) : step(offset + written),
      )
    }
    step(0)
  })
}

let temporaryCount = 0
const temporaryTag = randomBytes(6).toString("hex")

/** A name in the same folder, so that the rename is atomic. */
function temporaryBeside(local: string): string {
  return `${paths.dirname(local)}/.holdfast-${temporaryTag}-${(temporaryCount++).toString(36)}.part`
}

function guarded<T>(local: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw localError(error, local)
  }
}
