/** When an upload takes a file for the one that is stored. */
import type { Item } from "../file-system.ts"
import { type LocalItem, sameTime } from "./local.ts"
import { sameAsStored, withUnholdable } from "./xattrs.ts"

/** True for what is stored already, as far as can be seen without reading it. */
export function isSame(item: LocalItem, existing: Item | undefined): boolean {
  if (!existing) return false
  const { entry } = existing
  return (
    entry.mode === item.mode &&
    entry.uid === item.uid &&
    entry.gid === item.gid &&
    sameTime(entry.mtimeNs, item.mtimeNs) &&
    sameAsStored(item.xattrs, entry.xattrs) &&
    (item.kind === "file" ? hasSameContent(item, existing) : entry.kind === item.kind) &&
    (entry.kind !== "symlink" || entry.target === item.target)
  )
}

/** A file of the same size and time is taken for the same. */
export function hasSameContent(item: LocalItem, { entry }: Item): boolean {
  return entry.kind === "file" && entry.size === item.sizeBytes && sameTime(entry.mtimeNs, item.mtimeNs)
}

/**
 * The item as it is to be stored over `existing`: attributes that its file system cannot hold are those of before. `isSameContent` says
 * that its content is the one that is stored.
 */
export function keepingUnholdable(item: LocalItem, existing: Item | undefined, isSameContent: boolean): LocalItem {
  const stored = existing?.entry
  if (item.xattrs === undefined) return item // nobody knows: what is stored stays
  if (!stored?.xattrs || stored.kind !== item.kind) return item
  const xattrs = withUnholdable(item.xattrs, stored.xattrs, { path: item.at, isSameContent })
  return xattrs === item.xattrs ? item : { ...item, xattrs }
}

/** What is known of a file that is read again. */
export interface Before {
  readonly existing: Item | undefined
  /** The hash that its content had. */
  readonly before?: Uint8Array
}

/** What is stored of a file beside its content. */
export function attributesOf({ mode, mtimeNs, uid, gid, xattrs }: LocalItem) {
  return { mode, mtimeNs, uid, gid, ...(xattrs !== undefined && { xattrs }) }
}
