/** Whether a file was fetched already, and giving it what it lacks but its content. */
import * as fs from "node:fs"
import { readFlags } from "@holdfast/core/node"
import type { Entry, FileEntry } from "@holdfast/tree"
import { sameTime } from "./local.ts"
import { giveXattrs, type Restored, restoredMode, type Target } from "./place.ts"
import { hasXattrs, restoredXattrs } from "./xattrs.ts"

/**
 * "same" when the file or symlink `local` has size, time and attributes of the entry, those that are restored; "lacks xattrs" when it is
 * not the same in its extended attributes alone. What cannot be looked at (a name that is too long here) is not there; placing it tells
 * why.
 */
export function compareWith(entry: Entry, local: string, restored: Restored): "same" | "lacks xattrs" | "other" {
  try {
    if (!isSame(entry, local, restored)) return "other"
    const isLacking = entry.kind === "file" && !hasXattrs(local, restoredXattrs(entry, restored), restored)
    return isLacking ? "lacks xattrs" : "same"
  } catch {
    return "other"
  }
}

/**
 * Gives a file that was fetched already what it lacks of extended attributes; tells whether it took all. False where the whole file is
 * to be placed: it has other names, to which they would go too, or is another one by now, or cannot be opened.
 */
export function placeXattrs({ folder, name }: Target, entry: FileEntry, restored: Restored): "all" | "some" | false {
  let file: number | undefined
  try {
    file = fs.openSync(folder.at(name), readFlags)
    const stat = fs.fstatSync(file, { bigint: true })
    if (stat.nlink !== 1n || !isFileOf(entry, stat, restored)) return false
    return giveXattrs(file, entry, restored) ? "all" : "some"
  } catch {
    return false // placing it tells why
  } finally {
    if (file !== undefined) fs.closeSync(file)
  }
}

function isSame(entry: Entry, local: string, restored: Restored): boolean {
  const stat = fs.lstatSync(local, { bigint: true, throwIfNoEntry: false })
  if (!stat) return false
  if (entry.kind !== "symlink") return entry.kind === "file" && isFileOf(entry, stat, restored)
  return stat.isSymbolicLink() && hasTimeAndOwner(entry, stat, restored) && fs.readlinkSync(local) === entry.target
}

function isFileOf(entry: FileEntry, stat: fs.BigIntStats, restored: Restored): boolean {
  const mode = Number(stat.mode) & 0o7777
  const isOfSize = stat.isFile() && Number(stat.size) === entry.size
  return isOfSize && hasTimeAndOwner(entry, stat, restored) && mode === restoredMode(entry, restored)
}

function hasTimeAndOwner({ mtimeNs, uid, gid }: Entry, stat: fs.BigIntStats, { owner }: Restored): boolean {
  if (owner && (Number(stat.uid) !== uid || Number(stat.gid) !== gid)) return false
  return sameTime(stat.mtimeNs, mtimeNs)
}
