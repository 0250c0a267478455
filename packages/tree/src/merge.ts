/**
 * Three-way merge of trees, entry by entry against the common ancestor. What truly conflicts is kept twice: theirs
 * under its name, mine beside it as "name (conflict <short id>)". A change wins over a removal.
 */
import { equal, hashSmall, isHoldfastError, limits, toHex } from "@holdfast/core"
import { diffEntries, type EntryDifference } from "./diff.ts"
import { lookupEntry } from "./directory.ts"
import { updateDirectory } from "./directory-update.ts"
import { type Attributes, type Entry, encodeEntry, sameAttributes, sameContent, sameEntry } from "./entry.ts"
import { readFile } from "./file-reader.ts"
import type { TreeIo } from "./io.ts"
import { nameBytes } from "./name.ts"
import type { NodePack } from "./pack.ts"
import { tooDeep } from "./reach.ts"
import { type DirectoryRef, referenceKey, sameReference, settle } from "./reference.ts"

/** What a merge made. */
export interface MergeResult {
  readonly root: DirectoryRef
  /** Paths of the copies kept beside what conflicts; of a directory that is at several paths, below the first of them. */
  readonly conflicts: readonly (readonly string[])[]
}

const conflictDomain = "holdfast/conflict-name/1"
/**
 * Bytes that one merge reads to find out whether two files are the same: every look at a tree whose writers raced merges, and files
 * of a few bytes may say that they have any length. What is beyond it is kept twice.
 */
const mostComparedBytes = 256 * 1024 * 1024

/** Merges `mine` and `theirs`, which both came from `base`. New nodes are stored when this resolves. */
export async function merge(
  io: TreeIo,
  base: DirectoryRef,
  mine: DirectoryRef,
  theirs: DirectoryRef,
): Promise<MergeResult> {
  const merger = new Merger(io, io.newPack())
  const root = await merger.directories(base, mine, theirs, [])
  await merger.pack.seal()
  return { root: settle(root), conflicts: merger.conflicts }
}

class Merger {
  readonly pack: NodePack
  readonly conflicts: (readonly string[])[] = []
  readonly #io: TreeIo
  #leftBytes = mostComparedBytes
  /** What was merged: copies share directories, and the same three are merged once however many paths lead to them. */
  readonly #merged = new Map<string, Promise<DirectoryRef>>()

  constructor(io: TreeIo, pack: NodePack) {
    this.#io = io
    this.pack = pack
  }

  async directories(
    base: DirectoryRef,
    mine: DirectoryRef,
    theirs: DirectoryRef,
    path: readonly string[],
  ): Promise<DirectoryRef> {
    if (sameReference(base, mine) || sameReference(mine, theirs)) return theirs
    if (sameReference(base, theirs)) return mine
    if (path.length > limits.pathDepth) throw tooDeep()
    const key = [base, mine, theirs].map((one) => one && referenceKey(one)).join(" ")
    const known = this.#merged.get(key)
    if (known) return known
    const merging = this.#changed(base, mine, theirs, path)
    this.#merged.set(key, merging)
    return merging
  }

  async #changed(
    base: DirectoryRef,
    mine: DirectoryRef,
    theirs: DirectoryRef,
    path: readonly string[],
  ): Promise<DirectoryRef> {
    const theirChanges = new Map<string, EntryDifference>()
    for await (const change of diffEntries(this.#io, base, theirs)) theirChanges.set(change.name, change)
    const changes = new Map<string, Entry | null>()
    for await (const { name, before, after } of diffEntries(this.#io, base, mine)) {
      const theirChange = theirChanges.get(name)
      if (!theirChange) changes.set(name, after ?? null)
      else if (!after || !theirChange.after) {
        const kept = await this.#removed(before, after, theirChange.after, [...path, name])
        if (kept !== undefined) changes.set(name, kept)
      } else {
        const merged = await this.#entries(before, after, theirChange.after, [...path, name])
        if (merged) changes.set(name, merged)
        else await this.#keepBoth(after, theirs, changes, path)
      }
    }
    return updateDirectory(this.#io, this.pack, theirs, changes)
  }

  /** What stays of an entry that at least one removed: a changed file, or of a directory what was changed in it. */
  async #removed(
    before: Entry | undefined,
    mine: Entry | undefined,
    theirs: Entry | undefined,
    path: readonly string[],
  ): Promise<Entry | null | undefined> {
    const changed = mine ?? theirs
    if (!changed || before?.kind !== "directory" || changed.kind !== "directory") return changed
    const at = (entry: Entry | undefined) => (entry?.kind === "directory" ? entry.reference : null)
    const reference = await this.directories(before.reference, at(mine), at(theirs), path)
    return reference && { ...changed, reference }
  }

  /** The one entry that both become; undefined when they conflict. */
  async #entries(
    before: Entry | undefined,
    mine: Entry,
    theirs: Entry,
    path: readonly string[],
  ): Promise<Entry | undefined> {
    if (sameEntry(mine, theirs)) return theirs
    const attributes = mergeAttributes(before, mine, theirs)
    if (mine.kind === "directory" && theirs.kind === "directory") {
      const base = before?.kind === "directory" ? before.reference : null
      const reference = await this.directories(base, mine.reference, theirs.reference, path)
      return { ...theirs, ...attributes, reference }
    }
    if (sameContent(mine, theirs)) return { ...theirs, ...attributes }
    if (before && sameContent(before, mine)) return { ...theirs, ...attributes }
    if (before && sameContent(before, theirs)) return { ...mine, ...attributes }
    if (!this.#mayCompare(mine, theirs)) return undefined
    return (await hasSameBytes(this.#io, mine, theirs)) ? { ...theirs, ...attributes } : undefined
  }

  #mayCompare(mine: Entry, theirs: Entry): boolean {
    if (mine.kind !== "file" || theirs.kind !== "file" || mine.size !== theirs.size) return false
    if (mine.size > this.#leftBytes) return false
    this.#leftBytes -= mine.size
    return true
  }

  async #keepBoth(
    mine: Entry,
    theirs: DirectoryRef,
    changes: Map<string, Entry | null>,
    path: readonly string[],
  ): Promise<void> {
    const id = toHex(hashSmall(conflictDomain, encodeEntry(mine)))
    for (let digits = 8; digits <= id.length; digits *= 2) {
      const copy = { ...mine, name: conflictName(mine.name, id.slice(0, digits)) }
      const present = changes.get(copy.name) ?? (await lookupEntry(this.#io, theirs, copy.name))
      if (present && !sameEntry(present, copy)) continue
      changes.set(copy.name, copy)
      this.conflicts.push([...path, copy.name])
      return
    }
  }
}

/** True when two files hold the same, though each writer stored it for itself; what cannot be read is not the same. */
async function hasSameBytes(io: TreeIo, mine: Entry, theirs: Entry): Promise<boolean> {
  if (mine.kind !== "file" || theirs.kind !== "file" || mine.size !== theirs.size) return false
  const [a, b] = [mine, theirs].map((file) => readFile(io, file, { end: file.size })) as [Pieces, Pieces]
  try {
    return await sameStream(a, b)
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return false
  } finally {
    await Promise.all([a.return(), b.return()])
  }
}

type Pieces = AsyncGenerator<Uint8Array, void, void>

/** True when both give the same bytes, in whatever pieces. */
async function sameStream(a: Pieces, b: Pieces): Promise<boolean> {
  let left: Uint8Array = new Uint8Array()
  let right = left
  for (;;) {
    if (left.length === 0) left = (await a.next()).value ?? left
    if (right.length === 0) right = (await b.next()).value ?? right
    const length = Math.min(left.length, right.length)
    if (length === 0) return left.length === right.length
    if (!equal(left.subarray(0, length), right.subarray(0, length))) return false
    left = left.subarray(length)
    right = right.subarray(length)
  }
}

/** Each attribute as mine when they left it alone, otherwise as theirs. */
function mergeAttributes(before: Attributes | undefined, mine: Attributes, theirs: Attributes): Attributes {
  const pick = <K extends keyof Attributes>(key: K): Attributes[K] =>
    before && theirs[key] === before[key] ? mine[key] : theirs[key]
  const hasTheirXattrs = !before || !sameAttributes({ ...before, xattrs: theirs.xattrs }, before)
  return {
    mode: pick("mode"),
    uid: pick("uid"),
    gid: pick("gid"),
    mtimeNs: pick("mtimeNs"),
    ctimeNs: pick("ctimeNs"),
    xattrs: hasTheirXattrs ? theirs.xattrs : mine.xattrs,
  }
}

/** `name` with the mark of a conflict; cut where it would be too long. */
function conflictName(name: string, shortId: string): string {
  const suffix = ` (conflict ${shortId})`
  const characters = [...name]
  while (nameBytes(characters.join("")) + suffix.length > limits.nameBytes) characters.pop()
  return characters.join("") + suffix
}
