/**
 * Extended attributes of local files, which hold POSIX ACLs and capabilities of programs too: what is kept of them, and restored. Of the
 * file system's own (`trusted.`) and of labels that its policy gives (`security.selinux`) nothing is.
 */
import { equal } from "@holdfast/core"
import { type Posix, PosixError, posix, type XattrsOf } from "@holdfast/core/node"
import { type Attributes, maxXattrBytes, sameXattrs } from "@holdfast/tree"
import { accessAcl, aclWithMode } from "./acl.ts"
import type { Problem } from "./problem.ts"

/** By name; null when there are none. */
export type Xattrs = NonNullable<Attributes["xattrs"]> | null

/** What a program may do whoever runs it: as set-user-id bits, restored by who asks for those too. */
const capability = "security.capability"

/** They name users by number, or give rights to who runs a program: they are restored with owners only. */
const ofOwners = new Set([accessAcl, "system.posix_acl_default", capability])

/** What file systems say that know none, or none for this kind of file. */
const unknown = new Set(["ENOTSUP", "EOPNOTSUPP", "ENOSYS"])

/** It is gone, or became another meanwhile. */
const changed = new Set(["ENOENT", "ENOTDIR", "ENODATA", "ERANGE"])

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
  /** What is not kept of them and why, as it follows "without its extended attributes". */
  readonly problem?: string
}

/** Those of a file or folder. What cannot be read is not taken for none. */
export function readXattrs(of: XattrsOf): ReadXattrs {
  const calls = posix()
  if (!calls) return {}
  try {
    const { names, others } = calls.listxattr(of)
    const problem = others > 0 ? { problem: " whose names are not valid UTF-8" } : {}
    if (names.length === 0) return { xattrs: null, ...problem }
    const xattrs = new Map<string, Uint8Array>()
    let bytes = 0
    for (const name of names.filter(isKept).sort()) {
      const value = calls.getxattr(of, name)
      bytes += Buffer.byteLength(name) + value.length
      if (bytes > maxXattrBytes) return { xattrs: null, problem: `: they are longer than ${maxXattrBytes} bytes` }
      xattrs.set(name, value)
    }
    return { xattrs: xattrs.size > 0 ? xattrs : null, ...problem }
  } catch (error) {
    if (!(error instanceof PosixError)) throw error
    if (unknown.has(error.code)) return { xattrs: null }
    return changed.has(error.code) ? {} : { problem: `, as they cannot be read: ${error.message}` }
  }
}

/**
 * What was read of the file at `path`, with those of `stored` that its file system cannot hold for it: that says nothing of these, so they
 * stay. Capabilities are of a program's very content, and stay with that alone, as the system takes them away from a file that is
 * written.
 */
export function withUnholdable(
  read: Xattrs,
  stored: Xattrs,
  { path, isSameContent }: { readonly path: string; readonly isSameContent: boolean },
): Xattrs {
  const calls = posix()
  const missing = [...(stored ?? [])].filter(([name]) => !read?.has(name))
  const kept = missing.filter(
    ([name]) => (isSameContent || name !== capability) && calls && !canHold(calls, path, name),
  )
  return kept.length > 0 ? new Map([...(read ?? []), ...kept]) : read
}

/** False only where the system says that no file like this can have an attribute of this name. */
function canHold({ getxattr }: Posix, path: string, name: string): boolean {
  try {
    getxattr({ followed: path }, name)
    return true
  } catch (error) {
    if (!(error instanceof PosixError)) throw error
    return !unknown.has(error.code)
  }
}

/** True when both are the same, as far as anybody knows. */
export function sameAsStored(local: Xattrs | undefined, stored: Xattrs): boolean {
  return local === undefined || sameXattrs(local, stored)
}

/** True when a local file has these already, and nothing that names users unless they are to be as they were; and where nobody knows. */
export function hasXattrs(path: string, wanted: Xattrs, { owner = false }: Restored): boolean {
  if (!wanted && !owner) return true
  const { xattrs, problem } = readXattrs(path)
  if (xattrs === undefined) return problem === undefined
  if (owner) for (const name of xattrs?.keys() ?? []) if (ofOwners.has(name) && !wanted?.has(name)) return false
  return [...(wanted ?? [])].every(([name, value]) => {
    const there = xattrs?.get(name)
    return there !== undefined && equal(there, value)
  })
}

/** Which are restored beside those of users (`user.`); see place.ts. */
interface Restored {
  /** ACLs. */
  readonly owner?: boolean
  /** Together with owners, capabilities of programs. */
  readonly specialBits?: boolean
}

/** Those of an entry that are restored, fit to its mode, which somebody may have changed who knows nothing of ACLs. */
export function restoredXattrs(
  { xattrs, mode }: { readonly xattrs?: Attributes["xattrs"]; readonly mode: number },
  { owner = false, specialBits = false }: Restored,
): Xattrs {
  const kept = [...(xattrs ?? [])].flatMap(([name, value]): [string, Uint8Array][] => {
    if (name === accessAcl && owner) return [[name, aclWithMode(value, mode)]]
    const isRestored = owner && ofOwners.has(name) && (specialBits || name !== capability)
    return name.startsWith("user.") || isRestored ? [[name, value]] : []
  })
  return kept.length > 0 ? new Map(kept) : null
}

/** What a file system did not take. */
interface NotTaken {
  /** Which and why, as it follows "without its extended attributes"; absent when it took all that it can. */
  readonly refused?: string
  /** It keeps none of users for such a file, and there were some: no fault of this file, and nobody's rights depend on them. */
  readonly keepsNone: boolean
}

/**
 * Gives them to an open file; with `owner` it has no others that name users afterwards, as those that a folder's default ACL gave it.
 * Says which ones the file system did not take.
 */
export function writeXattrs(file: number, xattrs: Xattrs, { owner = false }: Restored): NotTaken {
  const calls = posix()
  if (!calls) return { keepsNone: false } // which is told of all files at once
  const refused: string[] = []
  let keepsNone = false
  const attempt = (name: string, work: () => void) => {
    try {
      work()
    } catch (error) {
      if (!(error instanceof PosixError)) throw error
      if (unknown.has(error.code) && !ofOwners.has(name)) keepsNone = true
      else refused.push(`${name} (${error.code})`)
    }
  }
  if (owner)
    for (const name of readXattrs(file).xattrs?.keys() ?? [])
      if (ofOwners.has(name) && !xattrs?.has(name)) attempt(name, () => calls.fremovexattr(file, name))
  for (const [name, value] of xattrs ?? []) attempt(name, () => calls.fsetxattr(file, name, value))
  return { keepsNone, ...(refused.length > 0 && { refused: `: ${refused.join(", ")}` }) }
}

/** What is told of a file that is kept without them. */
export function withoutXattrs({ local }: { readonly local: string }, why: string): Problem {
  return { path: local, code: "ERR_LIMIT", message: `"${local}" is kept without its extended attributes${why}.` }
}
