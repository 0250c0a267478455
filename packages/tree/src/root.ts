/**
 * What a tree's register holds: CBOR [1, kind, root, commitTimeMs, history, snapshots]. The last roots stay reachable,
 * so that a bad commit is undone by going back. Specification: docs/formats/tree.md.
 */
import { type CborValue, decodeCbor, encodeCbor, FieldReader, HoldfastError } from "@holdfast/core"
import { type DirectoryEntry, plainAttributes } from "./entry.ts"
import { type DirectoryRef, decodeReference, encodeReference, sameReference } from "./reference.ts"

/** A root of the past. */
export interface PastRoot {
  readonly sequence: number
  readonly timeMs: number
  readonly root: DirectoryRef
}

/** The content of a tree's register. */
export interface RootContent {
  readonly root: DirectoryRef
  readonly commitTimeMs: number
  /** Newest first, at most `maxHistory`. */
  readonly history: readonly PastRoot[]
  /** A directory that maps a snapshot's name to a directory entry with the root of that time. */
  readonly snapshots: DirectoryRef
}

/** The parts of a root that commits change. */
export interface TreeState {
  readonly root: DirectoryRef
  readonly snapshots: DirectoryRef
}

/** Most past roots that are kept. */
export const maxHistory = 16
const directoryKind = 1

/** Encodes a root, and reads it back: nobody could go back from one that cannot be read. References must be of stored packs. */
export function encodeRoot({ root, commitTimeMs, history, snapshots }: RootContent): Uint8Array {
  const past = history.map(({ sequence, timeMs, root: at }): CborValue => [sequence, timeMs, encodeNullable(at)])
  const bytes = encodeCbor([1, directoryKind, encodeNullable(root), commitTimeMs, past, encodeNullable(snapshots)])
  decodeRoot(bytes)
  return bytes
}

/** Decodes the content of a register. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function decodeRoot(bytes: Uint8Array): RootContent {
  const fields = new FieldReader(decodeCbor(bytes, "tree root"), "tree root")
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A tree root of version ${version} needs a newer Holdfast.`, {
      version,
    })
  if (fields.integer() !== directoryKind)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", "This register holds something else than a directory.")
  const content = {
    root: decodeNullable(fields.any()),
    commitTimeMs: fields.integer(),
    history: fields.array(maxHistory).map(decodePast),
    snapshots: decodeNullable(fields.any()),
  }
  fields.end()
  return content
}

/** A state with what it goes on from. */
export interface NextState extends TreeState {
  /** A root that was a part of the same change: it is no version that anybody would go back to. */
  readonly part?: DirectoryRef | undefined
}

/** The root that follows `before`, which had `sequence`. */
export function nextRoot(
  before: RootContent,
  sequence: number,
  { root, snapshots, part }: NextState,
  nowMs: number,
): RootContent {
  const past = { sequence, timeMs: before.commitTimeMs, root: before.root }
  const isPart = part !== undefined && sameReference(before.root, part)
  const history = isPart || sameReference(before.root, root) ? before.history : [past, ...before.history]
  return { root, snapshots, commitTimeMs: Math.max(0, Math.trunc(nowMs)), history: history.slice(0, maxHistory) }
}

function decodePast(value: CborValue): PastRoot {
  const fields = new FieldReader(value, "tree root")
  const past = { sequence: fields.integer(), timeMs: fields.integer(), root: decodeNullable(fields.any()) }
  fields.end()
  return past
}

function encodeNullable(reference: DirectoryRef): CborValue {
  return reference && encodeReference(reference)
}

function decodeNullable(value: CborValue): DirectoryRef {
  return value === null ? null : decodeReference(value, undefined)
}

/** The root as an entry: roots have no attributes of their own. */
export function rootEntry(reference: DirectoryRef): DirectoryEntry {
  return { ...plainAttributes(0o755, 0), name: "", kind: "directory", size: 0, reference }
}

/** True when both refer to the same. */
export function isSameState(a: TreeState, b: TreeState): boolean {
  return sameReference(a.root, b.root) && sameReference(a.snapshots, b.snapshots)
}
