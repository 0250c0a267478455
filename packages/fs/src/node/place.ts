/**
 * Writes what comes out of a tree into a local folder. The tree may be hostile, and so may another user of the folder: every
 * name is checked, each folder is held open while something is placed in it, so that nothing lands outside whatever becomes of
 * its path, and no symlink is followed below it. A file appears whole, under its name, or not at all, and takes the place of
 * files and symlinks only.
 */
import * as fs from "node:fs"
import * as paths from "node:path"
import { HoldfastError } from "@holdfast/core"
import {
  createFlags,
  type DirectFile,
  Folder,
  hasProc,
  localError,
  openDirect,
  posix,
  writeWhole,
} from "@holdfast/core/node"
import { checkName, isHole } from "@holdfast/tree"
import { accessAcl, modeWithoutAcl } from "./acl.ts"
import { utimesValue } from "./local.ts"
import { newPartName } from "./parts.ts"
import { restoredXattrs, writeXattrs } from "./xattrs.ts"

/** What a file, folder or symlink is given besides its content. */
export interface Attributes {
  readonly mode: number
  readonly mtimeNs: bigint
  readonly uid: number
  readonly gid: number
  readonly xattrs?: ReadonlyMap<string, Uint8Array> | null
}

/**
 * Which of them are restored beside time and permissions. The tree may be another person's: without these a file is whose process it is.
 */
export interface Restored {
  /** User and group, by number; which is root's to do. */
  readonly owner?: boolean
  /**
   * The bits set-user-id, set-group-id and sticky; root restores the first two together with owners only. With owners, capabilities of
   * programs too.
   */
  readonly specialBits?: boolean
  /** Hears which extended attributes a file or folder did not get, and why. */
  readonly onLacking?: (what: string) => void
  /** Hears of each file or folder that is kept without those of users, as nothing here can set any, or its file system keeps none. */
  readonly onWithoutXattrs?: () => void
}

/** Where something is placed: a name in an open folder. */
export interface Target {
  readonly folder: Folder
  readonly name: string
  /** The folder was made for this and is its owner's alone, so what is in it was placed by this process. */
  readonly isInNew?: boolean
}

/**
 * The mode that a file gets. Bits that let everybody act as its owner mean the owner that it had: what root fetches without owners is
 * root's, and gets none. Without its ACL, which names users, a group gets no rights that the ACL gave to others.
 */
export function restoredMode(
  { mode: wanted, xattrs }: Pick<Attributes, "mode" | "xattrs">,
  { specialBits = false, owner = false }: Restored,
): number {
  const mode = owner ? wanted : modeWithoutAcl(wanted, xattrs?.get(accessAcl))
  if (!specialBits) return mode & 0o777
  return mode & (owner || process.getuid?.() !== 0 ? 0o7777 : 0o1777)
}

/** A name in a folder; throws ERR_INVALID_NAME for one that could lead elsewhere. */
export function targetIn(folder: Folder, name: string, { isInNew = false } = {}): Target {
  checkName(name)
  if (paths.sep !== "/" && name.includes(paths.sep))
    throw new HoldfastError("ERR_INVALID_NAME", `The name "${name}" cannot be used on this system.`)
  return { folder, name, isInNew }
}

/** Where a target is, for people. */
export function pathOf({ folder, name }: Target): string {
  return folder.path.endsWith("/") ? `${folder.path}${name}` : `${folder.path}/${name}`
}

/**
 * Opens where a file or symlink goes that was named by the user: a link to a file is followed for a file, and what is no file is
 * not replaced. The folder is the caller's to close. Throws ERR_NOT_FOUND, ERR_ALREADY_EXISTS.
 */
export function openTarget(local: string, kind: "file" | "symlink"): Target {
  return guarded(local, () => {
    const isLink = kind === "file" && fs.lstatSync(local, { throwIfNoEntry: false })?.isSymbolicLink()
    if (isLink && !fs.statSync(local, { throwIfNoEntry: false })?.isFile()) throw notReplaced(local)
    const place = isLink ? fs.realpathSync(local) : paths.resolve(local)
    return { folder: Folder.open(paths.dirname(place)), name: paths.basename(place) }
  })
}

/** Opens the folder that the user named, made when it is not there; its links are followed. The caller closes it. */
export function openDirectory(local: string): Folder {
  return guarded(local, () => {
    const stat = fs.statSync(local, { throwIfNoEntry: false })
    if (stat && !stat.isDirectory()) throw notADirectory(local)
    if (!stat) fs.mkdirSync(local, { recursive: true, mode: 0o700 })
    return Folder.open(local)
  })
}

/** Opens a folder below another: made when it is not there, in the place of a symlink too, which `isNew` tells. The caller closes it. */
export function placeDirectory(target: Target): { readonly folder: Folder; readonly isNew: boolean } {
  const local = pathOf(target)
  return guarded(local, () => {
    const { folder, name } = target
    const stat = folder.stat(name)
    if (stat?.isSymbolicLink()) fs.unlinkSync(folder.at(name))
    else if (stat && !stat.isDirectory()) throw notADirectory(local)
    const isNew = folder.makeFolder(name)
    return { folder: folder.folder(name), isNew }
  })
}

/** Gives a folder its mode and time, after everything inside it was written. */
export function finishDirectory(folder: Folder, attributes: Attributes, restored: Restored = {}): void {
  guarded(folder.path, () => finish(folder.fd, attributes, restored))
}

/** Writes a small file in one go. */
export function placeSmallFile(
  target: Target,
  content: Uint8Array,
  attributes: Attributes,
  restored: Restored = {},
): void {
  guarded(pathOf(target), () => {
    const temporary = temporaryBeside(target)
    const file = fs.openSync(temporary, createFlags, 0o600)
    try {
      try {
        let offset = 0
        while (offset < content.length) offset += fs.writeSync(file, content, offset)
        finish(file, attributes, restored)
      } finally {
        fs.closeSync(file)
      }
    } catch (error) {
      removePart(temporary)
      throw error
    }
    renameOver(temporary, target)
  })
}

/** What comes from here on in a file goes past the page cache: who fetches so much does not read all of it at once. */
const directFromBytes = 16 * 1024 * 1024

/** Writes a file from a stream, long runs of zeros as holes; `onBytes` hears of each piece written. */
export async function placeFile(
  target: Target,
  source: AsyncIterable<Uint8Array>,
  attributes: Attributes,
  { onBytes, ...restored }: Restored & { readonly onBytes?: ((count: number) => void) | undefined } = {},
): Promise<void> {
  const local = pathOf(target)
  const temporary = temporaryBeside(target)
  let file: number | undefined
  let direct: DirectFile | undefined
  try {
    file = guarded(local, () => fs.openSync(temporary, createFlags, 0o600))
    const opened = file
    let end = 0
    for await (const piece of source) {
      if (end >= directFromBytes) direct ??= openDirect(file)
      for (const [from, to] of isHole(piece) ? [] : filledParts(piece)) {
        const done = (await told(local, direct?.write(piece.subarray(from, to), end + from))) ?? 0
        await told(local, writeWhole(file, piece.subarray(from + done, to), end + from + done))
      }
      end += piece.length
      onBytes?.(piece.length)
    }
    guarded(local, () => {
      if (fs.fstatSync(opened).size < end) fs.ftruncateSync(opened, end) // it ends in a hole
      finish(opened, attributes, restored)
    })
    file = undefined
    guarded(local, () => fs.closeSync(opened))
  } catch (error) {
    if (file !== undefined) fs.closeSync(file)
    removePart(temporary)
    throw error
  } finally {
    direct?.close()
  }
  guarded(local, () => renameOver(temporary, target))
}

/** Makes a symlink, replacing a file or symlink of that name. Nothing is ever written through it. */
export function placeSymlink(to: Target, target: string, attributes: Attributes, { owner }: Restored = {}): void {
  const { mtimeNs, uid, gid } = attributes
  const local = pathOf(to)
  if (target === "" || target.includes("\0"))
    throw new HoldfastError("ERR_INVALID_NAME", `The symlink "${local}" has a target that cannot be used.`)
  guarded(local, () => {
    const part = newPartName()
    const temporary = to.folder.at(part)
    fs.symlinkSync(target, temporary)
    try {
      to.folder.withLink(part, (at) => {
        // Through what is open no link is followed that was not opened itself; elsewhere these two follow none.
        if (owner) (hasProc ? fs.chownSync : fs.lchownSync)(at, uid, gid)
        ;(hasProc ? fs.utimesSync : fs.lutimesSync)(at, utimesValue(mtimeNs), utimesValue(mtimeNs))
      })
    } catch (error) {
      removePart(temporary)
      throw error
    }
    renameOver(temporary, to)
  })
}

function finish(file: number, attributes: Attributes, restored: Restored): void {
  const { mtimeNs, uid, gid } = attributes
  if (restored.owner) fs.fchownSync(file, uid, gid) // first, as it takes set-user-id away
  fs.fchmodSync(file, restoredMode(attributes, restored))
  giveXattrs(file, attributes, restored) // after the mode, which is a part of an ACL
  const calls = posix()
  if (calls) calls.futimens(file, mtimeNs, mtimeNs)
  else fs.futimesSync(file, utimesValue(mtimeNs), utimesValue(mtimeNs))
}

/** Gives an open file its extended attributes, and tells which it did not get; true when it got all. */
export function giveXattrs(file: number, attributes: Pick<Attributes, "mode" | "xattrs">, restored: Restored): boolean {
  const { refused, keepsNone } = writeXattrs(file, restoredXattrs(attributes, restored), restored)
  if (refused !== undefined) restored.onLacking?.(refused)
  if (keepsNone) restored.onWithoutXattrs?.()
  return refused === undefined && !keepsNone
}

function renameOver(temporary: string, target: Target): void {
  try {
    const stat = target.isInNew ? undefined : target.folder.stat(target.name)
    // A folder makes the rename fail, which says so.
    if (stat && !stat.isFile() && !stat.isSymbolicLink() && !stat.isDirectory()) throw notReplaced(pathOf(target))
    fs.renameSync(temporary, target.folder.at(target.name))
  } catch (error) {
    removePart(temporary)
    throw error
  }
}

/** What fails is told, and not what became of its part. */
function removePart(temporary: string): void {
  try {
    fs.unlinkSync(temporary)
  } catch {
    // It is gone, or somebody put a folder there.
  }
}

function notReplaced(local: string): HoldfastError {
  return new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `"${local}" is a device, a pipe, a socket or a link to none, and is not replaced. Name another place.`,
  )
}

function notADirectory(local: string): HoldfastError {
  return new HoldfastError(
    "ERR_NOT_A_DIRECTORY",
    `"${local}" is a file here and a directory in the tree. Move it away first.`,
  )
}

/** What file systems keep no blocks for when nothing is written there. */
const holeBytes = 64 * 1024
const zeros = new Uint8Array(holeBytes)

/** The parts of `piece` that are not whole blocks of zeros, from and to which byte. */
function* filledParts(piece: Uint8Array): Generator<[from: number, to: number]> {
  let start = 0
  for (let at = 0; at + holeBytes <= piece.length; at += holeBytes) {
    // The first byte decides nearly always, and what is compared is memory.
    if (piece[at] !== 0 || Buffer.compare(piece.subarray(at, at + holeBytes), zeros) !== 0) continue
    if (at > start) yield [start, at]
    start = at + holeBytes
  }
  if (piece.length > start) yield [start, piece.length]
}

/** What `work` gives; its errors tell of the file. */
async function told<T>(local: string, work: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    throw localError(error, local)
  }
}

/** A name in the same folder, so that the rename is atomic. */
function temporaryBeside({ folder }: Target): string {
  return folder.at(newPartName())
}

function guarded<T>(local: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw localError(error, local)
  }
}
