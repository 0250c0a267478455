/**
 * Entries: what a directory says about one name. CBOR
 * [name, kind, mode, uid, gid, mtimeNs, ctimeNs, size, xattrs, content]. Specification: docs/formats/tree.md.
 */
import { type CborValue, decodeCbor, encodeCbor, equal, FieldReader, HoldfastError, limits, utf8 } from "@holdfast/core"
import { checkName, nameBytes, nameProblem } from "./name.ts"
import {
  type DirectoryRef,
  decodeReference,
  encodeReference,
  type OpenPack,
  type Reference,
  sameReference,
} from "./reference.ts"

/** What every entry carries beside name and content. */
export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Nanoseconds since the Unix epoch, as are all times here. */
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly xattrs: ReadonlyMap<string, Uint8Array> | null
}

/** Where the bytes of a file are. */
export type FileContent = { readonly size: number } & (
  | { readonly form: "inline"; readonly bytes: Uint8Array }
  | { readonly form: "single"; readonly reference: Reference }
  | { readonly form: "manifest"; readonly reference: Reference }
)

interface EntryBase extends Attributes {
  readonly name: string
  /** Bytes of a file's content or of a symlink's target; 0 for others. */
  readonly size: number
}
/** A regular file; `size` equals `content.size`. */
export interface FileEntry extends EntryBase {
  readonly kind: "file"
  readonly content: FileContent
}
/** A directory within this tree. */
export interface DirectoryEntry extends EntryBase {
  readonly kind: "directory"
  readonly reference: DirectoryRef
}
/** A symbolic link. */
export interface SymlinkEntry extends EntryBase {
  readonly kind: "symlink"
  readonly target: string
}
/** The root of another tree: its read capability, and its write capability sealed for writers of this tree. */
export interface JunctionEntry extends EntryBase {
  readonly kind: "junction"
  readonly readCap: Uint8Array
  readonly sealedWriteCap: Uint8Array | null
}
/** One name of a directory. */
export type Entry = FileEntry | DirectoryEntry | SymlinkEntry | JunctionEntry

/** Most bytes of all extended attributes of an entry. */
export const maxXattrBytes = 64 * 1024
/** Most bytes of a symlink's target. */
const maxTargetBytes = 4096
/** Most bytes of a capability in a junction. */
const maxCapBytes = 2048
const maxId = 0xffffffff
const minTimeNs = -(2n ** 63n)
const maxTimeNs = 2n ** 63n - 1n
const kinds = ["file", "directory", "symlink", "junction"] as const

/** Attributes of an entry nobody gave any: `mode`, no owner, both times now. */
export function plainAttributes(mode: number, nowMs: number): Attributes {
  const nowNs = BigInt(Math.trunc(nowMs)) * 1_000_000n
  return { mode, uid: 0, gid: 0, mtimeNs: nowNs, ctimeNs: nowNs, xattrs: null }
}

/** The fields of an entry; references into `holder` become self references. Throws on values no entry may have. */
export function encodeEntryFields(entry: Entry, holder?: OpenPack): CborValue {
  return [
    entry.name,
    kinds.indexOf(entry.kind),
    entry.mode,
    entry.uid,
    entry.gid,
    entry.mtimeNs,
    entry.ctimeNs,
    entry.size,
    entry.xattrs && entry.xattrs.size > 0 ? Object.fromEntries(entry.xattrs) : null,
    encodeContent(entry, holder),
  ]
}

/** Encodes one entry with absolute references only. */
export function encodeEntry(entry: Entry): Uint8Array {
  return encodeCbor(encodeEntryFields(entry))
}

/** Decodes one entry; `holder` is where the node lies that has it, for self references. Throws ERR_BAD_FORMAT. */
export function decodeEntry(bytes: Uint8Array, holder?: Reference): Entry {
  return decodeEntryFields(decodeCbor(bytes, "entry"), holder)
}

/** Checks an entry before it is written. Throws ERR_INVALID_NAME, ERR_INVALID_ARGUMENT. */
export function checkEntry(entry: Entry): void {
  checkName(entry.name)
  const problem = entryProblem(entry)
  if (problem)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `"${entry.name}" cannot be stored: ${problem}.`, {
      name: entry.name,
    })
}

/** True when both say the same, references compared by the bytes they refer to. */
export function sameEntry(a: Entry, b: Entry): boolean {
  return a === b || (a.name === b.name && sameAttributes(a, b) && sameContent(a, b))
}

/** True when all attributes but the name are equal. */
export function sameAttributes(a: Attributes, b: Attributes): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    sameXattrs(a.xattrs, b.xattrs)
  )
}

/** True when kind and content are equal. */
export function sameContent(a: Entry, b: Entry): boolean {
  if (a.kind === "file" && b.kind === "file") {
    if (a.content.form !== b.content.form || a.size !== b.size) return false
    if (a.content.form === "inline") return equal(a.content.bytes, (b.content as { readonly bytes: Uint8Array }).bytes)
    return sameReference(a.content.reference, (b.content as { readonly reference: Reference }).reference)
  }
  if (a.kind === "directory" && b.kind === "directory") return sameReference(a.reference, b.reference)
  if (a.kind === "symlink" && b.kind === "symlink") return a.target === b.target
  if (a.kind === "junction" && b.kind === "junction")
    return equal(a.readCap, b.readCap) && sameBytes(a.sealedWriteCap, b.sealedWriteCap)
  return false
}

/** Weight of an entry where directories are cut into nodes: about its encoded bytes, however it refers to chunks. */
export function entryWeight(entry: Entry): number {
  let weight = 48 + nameBytes(entry.name)
  if (entry.xattrs) for (const [name, value] of entry.xattrs) weight += nameBytes(name) + value.length
  if (entry.kind === "file") return weight + (entry.content.form === "inline" ? entry.content.bytes.length : 80)
  if (entry.kind === "directory") return weight + 80
  if (entry.kind === "symlink") return weight + entry.size
  return weight + entry.readCap.length + (entry.sealedWriteCap?.length ?? 0)
}

/** The entry that `value` holds. Throws ERR_BAD_FORMAT. */
export function decodeEntryFields(value: CborValue, holder: Reference | undefined): Entry {
  const fields = new FieldReader(value, "entry")
  const name = fields.text(limits.nameBytes)
  const kind = kinds[fields.integer(0, 3)]!
  const base = {
    name,
    mode: fields.integer(0, 0o7777),
    uid: fields.integer(0, maxId),
    gid: fields.integer(0, maxId),
    mtimeNs: timeOf(fields.any()),
    ctimeNs: timeOf(fields.any()),
    size: fields.integer(),
    xattrs: xattrsOf(fields.any()),
  }
  const entry = contentOf(base, kind, fields.any(), holder)
  fields.end()
  const problem = nameProblem(name) ?? entryProblem(entry)
  if (problem) throw badEntry(problem)
  return entry
}

function encodeContent(entry: Entry, holder: OpenPack | undefined): CborValue {
  switch (entry.kind) {
    case "file":
      if (entry.content.form === "inline") return entry.content.bytes
      return [entry.content.form === "single" ? 1 : 2, encodeReference(entry.content.reference, holder)]
    case "directory":
      return entry.reference && encodeReference(entry.reference, holder)
    case "symlink":
      return entry.target
    case "junction":
      return [entry.readCap, entry.sealedWriteCap]
  }
}

function contentOf(base: EntryBase, kind: Entry["kind"], value: CborValue, holder: Reference | undefined): Entry {
  if (kind === "file") return { ...base, kind, content: fileContentOf(value, base.size, holder) }
  if (kind === "directory") return { ...base, kind, reference: value === null ? null : decodeReference(value, holder) }
  if (kind === "symlink") {
    if (typeof value !== "string") throw badEntry("the target of a symlink is not text")
    return { ...base, kind, target: value }
  }
  const fields = new FieldReader(value, "junction")
  const readCap = fields.bytes(undefined, maxCapBytes)
  const sealed = fields.any()
  fields.end()
  if (sealed !== null && !(sealed instanceof Uint8Array)) throw badEntry("a sealed capability is not bytes")
  return { ...base, kind, readCap, sealedWriteCap: sealed }
}

function fileContentOf(value: CborValue, size: number, holder: Reference | undefined): FileContent {
  if (value instanceof Uint8Array) return { form: "inline", size, bytes: value }
  const fields = new FieldReader(value, "file content")
  const form = fields.integer(1, 2) === 1 ? "single" : "manifest"
  const reference = decodeReference(fields.any(), holder)
  fields.end()
  return { form, size, reference }
}

function entryProblem(entry: Entry): string | undefined {
  if (!isWithin(entry.mode, 0o7777)) return "its mode is not permission bits from 0 to 0o7777"
  if (!isWithin(entry.uid, maxId) || !isWithin(entry.gid, maxId)) return "its owner is not a 32-bit number"
  if (!isTime(entry.mtimeNs) || !isTime(entry.ctimeNs)) return "its time is not a 64-bit number of nanoseconds"
  if (!isWithin(entry.size, Number.MAX_SAFE_INTEGER)) return "its size is not a whole number"
  return xattrProblem(entry.xattrs) ?? contentProblem(entry)
}

function contentProblem(entry: Entry): string | undefined {
  switch (entry.kind) {
    case "file":
      return fileProblem(entry)
    case "directory":
      return entry.size === 0 ? undefined : "a directory's size is not 0"
    case "symlink": {
      if (!entry.target.isWellFormed() || entry.target.includes("\0")) return "a symlink's target is not valid text"
      const bytes = utf8(entry.target).length
      if (bytes < 1 || bytes > maxTargetBytes) return `a symlink's target has ${bytes} bytes`
      return entry.size === bytes ? undefined : "a symlink's size is not that of its target"
    }
    case "junction":
      if (entry.readCap.length < 1 || entry.readCap.length > maxCapBytes) return "a capability has a wrong length"
      if (entry.sealedWriteCap && entry.sealedWriteCap.length > maxCapBytes + 48) return "a capability is too long"
      return entry.size === 0 ? undefined : "a junction's size is not 0"
  }
}

function fileProblem({ content, size }: FileEntry): string | undefined {
  if (content.size !== size) return "a file's size differs from its content's"
  if (content.form === "inline") {
    if (content.bytes.length > limits.inlineBytes) return `more than ${limits.inlineBytes} bytes of content are inline`
    return content.bytes.length === size ? undefined : "a file's size differs from its content's"
  }
  if (content.form === "single" && content.reference.length !== size) return "a file's size differs from its content's"
  return undefined
}

function xattrProblem(xattrs: Attributes["xattrs"]): string | undefined {
  if (!xattrs) return undefined
  let bytes = 0
  for (const [name, value] of xattrs) {
    if (name.length === 0 || !name.isWellFormed() || name.includes("\0")) return "an extended attribute's name is wrong"
    bytes += nameBytes(name) + value.length
  }
  return bytes > maxXattrBytes ? `its extended attributes have more than ${maxXattrBytes} bytes` : undefined
}

function xattrsOf(value: CborValue): Attributes["xattrs"] {
  if (value === null) return null
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array)
    throw badEntry("extended attributes are not a map")
  const xattrs = new Map<string, Uint8Array>()
  for (const [name, bytes] of Object.entries(value)) {
    if (!(bytes instanceof Uint8Array)) throw badEntry("an extended attribute is not bytes")
    xattrs.set(name, bytes)
  }
  if (xattrs.size === 0) throw badEntry("its extended attributes are an empty map instead of null")
  return xattrs
}

function timeOf(value: CborValue): bigint {
  if (typeof value === "bigint") return value
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw badEntry("a time is not an integer")
  return BigInt(value)
}

/** True when both have the same extended attributes. */
export function sameXattrs(a: Attributes["xattrs"], b: Attributes["xattrs"]): boolean {
  if ((a?.size ?? 0) !== (b?.size ?? 0)) return false
  if (a) for (const [name, value] of a) if (!sameBytes(value, b?.get(name) ?? null)) return false
  return true
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === b || (a !== null && b !== null && equal(a, b))
}

function isWithin(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max
}

/** The time that an entry can have next to `ns`, in nanoseconds since the epoch: between the years 1677 and 2262. */
export function storableTime(ns: bigint): bigint {
  return ns < minTimeNs ? minTimeNs : ns > maxTimeNs ? maxTimeNs : ns
}

function isTime(value: bigint): boolean {
  return typeof value === "bigint" && value >= minTimeNs && value <= maxTimeNs
}

function badEntry(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `An entry of a directory is damaged: ${why}.`)
}
