/**
 * Extended attributes of local files, which hold POSIX ACLs and capabilities of programs too: what is kept of them, and restored. Of the
 * file system's own (`trusted.`) and of labels that its policy gives (`security.selinux`) nothing is.
 */
import { equal } from "@holdfast/core"
import { PosixError, posix } from "@holdfast/core/node"
import { type Attributes, maxXattrBytes, sameXattrs } from "@holdfast/tree"
import type { Problem } from "./problem.ts"

/** By name; null when there are none. */
export type Xattrs = NonNullable<Attributes["xattrs"]> | null

/** They name users by number, or make a program its owner's: they are restored with owners only. */
const ofOwners = new Set(["system.posix_acl_access", "system.posix_acl_default", "security.capability"])

/** What file systems say that know none, or keep none for this kind of file. */
const unknown = new Set(["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EPERM", "ENODATA"])

/** True where extended attributes of local files can be read and set. */
export function knowsXattrs(): boolean {
  return posix() !== undefined
}

function isKept(name: string): boolean {
  return name.startsWith("user.") || ofOwners.has(name)
}

/** What was read of a file. */
export interface ReadXattrs {
  /** Undefined where nobody knows: what is stored stays. */
  readonly xattrs?: Xattrs
  /** Why they are not kept, in half a sentence; they are taken for none then. */
  readonly problem?: string
}

/** Those of what is at `path`, which is not followed. */
export function readXattrs(path: string): ReadXattrs {
  const calls = posix()
  if (!calls) return {}
  try {
    const names = calls.llistxattr(path)
    if (names.length === 0) return { xattrs: null }
    const xattrs = new Map<string, Uint8Array>()
    let bytes = 0
    for (const name of names.filter(isKept).sort()) {
      const value = calls.lgetxattr(path, name)
      bytes += Buffer.byteLength(name) + value.length
      if (bytes > maxXattrBytes) return { xattrs: null, problem: `they are longer than ${maxXattrBytes} bytes` }
      xattrs.set(name, value)
    }
    return { xattrs: xattrs.size > 0 ? xattrs : null }
  } catch (error) {
    if (!(error instanceof PosixError)) throw error
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return {} // it is gone, which is told when it is read
    return unknown.has(error.code) ? { xattrs: null } : { xattrs: null, problem: error.message }
  }
}

/** True when both are the same, as far as anybody knows. */
export function sameAsStored(local: Xattrs | undefined, stored: Xattrs): boolean {
  return local === undefined || sameXattrs(local, stored)
}

/** True when a local file has these already, others or none beside them; and where nobody knows. */
export function hasXattrs(path: string, wanted: Xattrs): boolean {
  if (!wanted) return true
  const { xattrs } = readXattrs(path)
  if (xattrs === undefined) return true
  return [...wanted].every(([name, value]) => {
    const there = xattrs?.get(name)
    return there !== undefined && equal(there, value)
  })
}

/** Those of an entry that are restored; with `owner` those too that name users. */
export function restoredXattrs(xattrs: Xattrs, { owner = false }: { readonly owner?: boolean }): Xattrs {
  const kept = [...(xattrs ?? [])].filter(([name]) => name.startsWith("user.") || (owner && ofOwners.has(name)))
  return kept.length > 0 ? new Map(kept) : null
}

/** Gives them to an open file. Says which ones the file system did not take, and why; undefined when it took all. */
export function writeXattrs(file: number, xattrs: Xattrs): string | undefined {
  if (!xattrs) return undefined
  const calls = posix()
  if (!calls) return `${[...xattrs.keys()].join(", ")} (nothing here can set them)`
  const refused: string[] = []
  for (const [name, value] of xattrs)
    try {
      calls.fsetxattr(file, name, value)
    } catch (error) {
      if (!(error instanceof PosixError)) throw error
      refused.push(`${name} (${error.code})`)
    }
  return refused.length > 0 ? refused.join(", ") : undefined
}

/** What is told of a file that is kept without them. */
export function withoutXattrs({ local }: { readonly local: string }, why: string): Problem {
  return { path: local, code: "ERR_LIMIT", message: `"${local}" is kept without its extended attributes: ${why}.` }
}
