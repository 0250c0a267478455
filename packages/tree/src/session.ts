/** The changes of one commit, collected by path and made bottom-up in all touched directories at once. */
import { HoldfastError, limits } from "@holdfast/core"
import { lookupEntry } from "./directory.ts"
import { updateDirectory } from "./directory-update.ts"
import type { Attributes, Entry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { checkName } from "./name.ts"
import type { NodePack } from "./pack.ts"
import type { DirectoryRef } from "./reference.ts"

/** Names from the root down. */
export type Path = readonly string[]

/** Options of mkdir. */
export interface MkdirOptions {
  /** Makes missing parents too, and leaves a directory that is there as it is. */
  readonly parents?: boolean
  /** A directory that is there gets the attributes and keeps its entries. */
  readonly update?: boolean
}

interface Pending {
  /** The new entry; null when removed; undefined when only what is in it changes. */
  entry?: Entry | null
  children?: Map<string, Pending>
}

/** Collects changes. Methods see what earlier ones did. */
export class CommitSession {
  readonly #io: TreeIo
  readonly #base: DirectoryRef
  readonly #pending: Pending = {}
  #part: DirectoryRef | undefined

  constructor(io: TreeIo, base: DirectoryRef) {
    this.#io = io
    this.#base = base
  }

  /** The root that this goes on from when that was a part of the same change. */
  get part(): DirectoryRef | undefined {
    return this.#part
  }

  /** Goes on with a change whose last part made `root`: unless others changed it since, that is kept as no version of its own. */
  goOnFrom(root: DirectoryRef): void {
    this.#part = root
  }

  /** Puts `entry` at `path`, in place of what is there. Its parent must exist when the commit is made. */
  set(path: Path, entry: Entry): void {
    const name = lastName(path)
    checkName(name)
    this.#replace(path, entry.name === name ? entry : { ...entry, name })
  }

  /** Removes what is at `path`, with all in it; nothing happens when it is not there. */
  remove(path: Path): void {
    lastName(path)
    this.#replace(path, null)
  }

  /** Makes a directory. Throws ERR_ALREADY_EXISTS, ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY. */
  async mkdir(
    path: Path,
    attributes: Attributes,
    { parents = false, update = false }: MkdirOptions = {},
  ): Promise<void> {
    const name = lastName(path)
    const { mode, uid, gid, mtimeNs, ctimeNs, xattrs } = attributes
    const own = { name, mode, uid, gid, mtimeNs, ctimeNs, xattrs }
    const existing = await this.lookup(path)
    if (existing) {
      if (existing.kind !== "directory") throw exists(path, parents || update)
      if (update) this.#node(path).entry = { ...existing, ...own }
      else if (!parents) throw exists(path, false)
      return
    }
    if (path.length > 1) {
      const above = path.slice(0, -1)
      if (parents) await this.mkdir(above, attributes, { parents })
      else requireDirectory(await this.lookup(above), above)
    }
    this.set(path, { ...own, kind: "directory", size: 0, reference: null })
  }

  /** Moves an entry with all in it. Throws ERR_NOT_FOUND, ERR_ALREADY_EXISTS, ERR_INVALID_ARGUMENT. */
  async move(from: Path, to: Path): Promise<void> {
    const entry = await this.lookup(from)
    if (!entry) throw notFound(from)
    if (to.length >= from.length && from.every((name, depth) => to[depth] === name))
      throw new HoldfastError("ERR_INVALID_ARGUMENT", `"${show(from)}" cannot be moved into itself.`)
    if (await this.lookup(to)) throw exists(to, false)
    const children = this.#node(from).children
    this.#replace(from, null)
    this.set(to, entry)
    if (children) this.#node(to).children = children
  }

  /** What is at `path` now; of a directory changed in this session, `reference` is still the one of before. */
  async lookup(path: Path): Promise<Entry | undefined> {
    let pending: Pending | undefined = this.#pending
    let directory = this.#base
    for (const [depth, name] of path.entries()) {
      pending = pending?.children?.get(name)
      const entry: Entry | null | undefined =
        pending?.entry === undefined ? await lookupEntry(this.#io, directory, name) : pending.entry
      if (!entry) return undefined
      if (depth === path.length - 1) return entry
      if (entry.kind !== "directory") return undefined
      directory = entry.reference
    }
    return undefined
  }

  /** Makes the changes; new nodes go to `pack`. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY when a parent is missing. */
  async apply(pack: NodePack): Promise<DirectoryRef> {
    return this.#apply(pack, this.#base, this.#pending, [])
  }

  async #apply(pack: NodePack, directory: DirectoryRef, pending: Pending, path: Path): Promise<DirectoryRef> {
    const changes = new Map<string, Entry | null>()
    for (const [name, child] of pending.children ?? []) {
      let entry = child.entry
      if (child.children && child.children.size > 0) {
        const below = [...path, name]
        const present = entry === undefined ? await lookupEntry(this.#io, directory, name) : entry
        if (present?.kind === "directory" || !isOnlyRemoval(child)) {
          const parent = requireDirectory(present, below)
          entry = { ...parent, reference: await this.#apply(pack, parent.reference, child, below) }
        }
      }
      if (entry !== undefined) changes.set(name, entry)
    }
    return changes.size === 0 ? directory : updateDirectory(this.#io, pack, directory, changes)
  }

  #replace(path: Path, entry: Entry | null): void {
    const pending = this.#node(path)
    pending.entry = entry
    delete pending.children
  }

  #node(path: Path): Pending {
    let pending = this.#pending
    for (const name of path) {
      pending.children ??= new Map()
      let child = pending.children.get(name)
      if (!child) {
        child = {}
        pending.children.set(name, child)
      }
      pending = child
    }
    return pending
  }
}

/** `path` for people. */
export function show(path: Path): string {
  return `/${path.join("/")}`
}

/** The entry as a directory. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY. */
export function requireDirectory(entry: Entry | null | undefined, path: Path) {
  if (!entry) throw notFound(path)
  if (entry.kind !== "directory")
    throw new HoldfastError("ERR_NOT_A_DIRECTORY", `"${show(path)}" is not a directory.`, { path: show(path) })
  return entry
}

/** True when nothing is to be put below, so that no parent is needed. */
function isOnlyRemoval({ children }: Pending): boolean {
  return [...(children?.values() ?? [])].every((child) => !child.entry && isOnlyRemoval(child))
}

function lastName(path: Path): string {
  const name = path.at(-1)
  if (name === undefined) throw new HoldfastError("ERR_INVALID_ARGUMENT", "The root of a tree cannot be replaced.")
  if (path.length > limits.pathDepth)
    throw new HoldfastError("ERR_LIMIT", `A path of ${path.length} names is deeper than ${limits.pathDepth}.`)
  return name
}

function notFound(path: Path): HoldfastError {
  return new HoldfastError("ERR_NOT_FOUND", `There is no "${show(path)}".`, { path: show(path) })
}

function exists(path: Path, isOtherKind: boolean): HoldfastError {
  const what = isOtherKind ? "exists and is not a directory" : "exists already"
  return new HoldfastError("ERR_ALREADY_EXISTS", `"${show(path)}" ${what}.`, { path: show(path) })
}
