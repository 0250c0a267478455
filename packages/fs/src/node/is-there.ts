/** Whether a file was fetched already. */
import * as fs from "node:fs"
import type { Entry } from "@holdfast/tree"
import { sameTime } from "./local.ts"
import { type Restored, restoredMode } from "./place.ts"
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

function isSame(entry: Entry, local: string, restored: Restored): boolean {
  const stat = fs.lstatSync(local, { bigint: true, throwIfNoEntry: false })
  if (!stat || !sameTime(stat.mtimeNs, entry.mtimeNs)) return false
  if (restored.owner && (Number(stat.uid) !== entry.uid || Number(stat.gid) !== entry.gid)) return false
  if (entry.kind === "symlink") return stat.isSymbolicLink() && fs.readlinkSync(local) === entry.target
  const mode = Number(stat.mode) & 0o7777
  return stat.isFile() && Number(stat.size) === entry.size && mode === restoredMode(entry, restored)
}
