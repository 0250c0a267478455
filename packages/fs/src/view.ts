/** One opened tree, or something immutable, as files and directories. */
import { HoldfastError, toHex, untilAborted } from "@holdfast/core"
import { type AccountId, type Cap, verifyKeyOf } from "@holdfast/protocol"
import {
  keysOfCap,
  type RegisterKeys,
  stoppedRegisters,
  type WatchableRegisters,
  type WatchOptions,
} from "@holdfast/store"
import {
  type CommitResult,
  type DirectoryRef,
  diff,
  type Entry,
  FileDraft,
  type FileDraftOptions,
  type FileEntry,
  isDamage,
  type JunctionEntry,
  joinAccounts,
  listDirectory,
  listPages,
  lookupEntry,
  mutableFileName,
  RandomReader,
  type ReadFileOptions,
  readCare,
  readFile,
  sameContent,
  type Tree,
  type TreeIo,
  type TreeVersion,
} from "@holdfast/tree"
import { capOf } from "./capabilities.ts"
import { damageAt } from "./damage.ts"
import { editOf } from "./edit.ts"
import type {
  Edit,
  FileSystem,
  Item,
  ItemDifference,
  Location,
  SnapshotInfo,
  Strength,
  Uploads,
  Writer,
} from "./file-system.ts"
import { CircularLink, linksFile, maxNesting, openLink } from "./junctions.ts"
import { formatPath } from "./path.ts"
import { presentRoot, rootEntry } from "./root-entry.ts"
import { restoreSnapshot, restoreVersion } from "./snapshots.ts"
import { writerOf } from "./writer.ts"

/** What a view is made of. */
export interface ViewParts {
  readonly io: TreeIo
  readonly label: string
  readonly volume: string
  readonly uploads: Uploads | undefined
  readonly warn: (text: string) => void
  /** Absent when the present state cannot be read, which `problem` explains. */
  readonly root?: Entry
  readonly problem?: HoldfastError
  /** A mutable file, or a snapshot of one. */
  readonly isFile?: boolean
  /** Root directory of the tree, or of the time of a snapshot. */
  readonly top?: DirectoryRef
  /** Absent for what is immutable. */
  readonly tree?: Tree
  readonly access?: RegisterKeys
  /** Public keys of the trees above, in which this one is linked. */
  readonly above: readonly string[]
  readonly registers: WatchableRegisters
  readonly open: (cap: Cap, label: string, above: readonly string[]) => Promise<FileSystem>
}

/** One opened tree. Reads see the root of when it was opened, or of its own last change. */
export class View implements FileSystem {
  readonly label: string
  readonly volume: string
  readonly depth: number
  readonly io: TreeIo
  readonly tree: Tree | undefined
  readonly access: RegisterKeys | undefined
  readonly uploads: Uploads | undefined
  readonly warn: (text: string) => void
  readonly #parts: ViewParts
  readonly #linked = new Map<string, Promise<FileSystem>>()
  readonly isFile: boolean
  #root: Entry | undefined
  #top: DirectoryRef

  constructor(parts: ViewParts) {
    this.#parts = parts
    this.#root = parts.root
    this.#top = parts.top ?? null
    this.isFile = parts.isFile ?? false
    this.label = parts.label
    this.volume = parts.volume
    this.depth = parts.above.length
    this.warn = parts.warn
    this.io = parts.io
    this.tree = parts.tree
    this.access = parts.access
    this.uploads = parts.uploads
  }

  stoppedBy(signal: AbortSignal): FileSystem {
    const { root, problem, registers, open, ...parts } = this.#parts
    const [now, why] = [this.#root ?? root, problem]
    return new View({
      ...parts,
      ...(now && { root: now }),
      ...(why && { problem: why }),
      top: this.#top,
      io: this.io.stoppedBy(signal),
      ...(this.tree && { tree: this.tree.stoppedBy(signal) }),
      registers: stoppedRegisters(registers, signal),
      open: async (...args) => (await untilAborted(open(...args), signal)).stoppedBy(signal),
    })
  }

  get root(): Entry {
    if (this.#root) return this.#root
    throw damageAt(this.#parts.problem, this.label, [])
  }

  async adopt({ root, conflicts, writers = [] }: CommitResult): Promise<void> {
    this.#root = await rootEntry(this.io, root, this.isFile)
    this.#top = root
    for (const path of conflicts)
      this.warn(
        `another writer${writers.length > 0 ? ` (${writers.join(", ")})` : ""} changed the same at the same time; your version is kept as ${`${this.label}${formatPath(path)}`}`,
      )
  }

  /** An alias names its mutable file, and what is immutable has a name in it. */
  get rootName(): string | undefined {
    if (this.isFile) return /^([^:()]+):/.exec(this.label)?.[1] ?? mutableFileName
    return this.#root?.name || undefined
  }

  async locate(path: readonly string[], { follow = false } = {}): Promise<Location> {
    let entry: Entry | undefined = this.#root
    for (const [depth, name] of path.entries()) {
      if (entry?.kind === "junction") {
        const inner = await this.enter(entry, path.slice(0, depth))
        return inner.locate(path.slice(depth), { follow })
      }
      if (entry?.kind !== "directory") break
      try {
        entry = await lookupEntry(this.io, entry.reference, name)
      } catch (error) {
        if (!isDamage(error)) throw error
        return { files: this, path } // whoever looks it up is told
      }
    }
    if (follow && entry?.kind === "junction") return { files: await this.enter(entry, path), path: [] }
    return { files: this, path }
  }

  async lookup(path: readonly string[]): Promise<Item | undefined> {
    const { files, path: rest } = await this.locate(path)
    if (files !== this) return files.lookup(rest)
    if (this.isFile && path.length === 1 && path[0] !== mutableFileName) {
      const copy = await lookupEntry(this.io, this.#top, path[0]!)
      return copy && this.item(copy, path)
    }
    let entry: Entry | undefined = this.root
    for (const [depth, name] of path.entries()) {
      if (entry?.kind !== "directory") return undefined
      try {
        entry = await lookupEntry(this.io, entry.reference, name)
      } catch (error) {
        throw damageAt(error, this.label, path.slice(0, depth))
      }
    }
    return entry && this.#resolved(entry, path)
  }

  /** An entry as an item; a linked mutable file as the file that it is. */
  async #resolved(entry: Entry, path: readonly string[]): Promise<Item> {
    if (entry.kind !== "junction" || !linksFile(entry)) return this.item(entry, path)
    const inner = await this.enter(entry, path)
    return inner.item(inner.root, [])
  }

  async *list(item: Item): AsyncGenerator<readonly [string, Item], void, void> {
    for await (const page of this.listPages(item)) for (const named of page) yield named
  }

  async *listPages(item: Item): AsyncGenerator<readonly (readonly [string, Item])[], void, void> {
    const { entry, owner, path } = item
    if (owner !== this) yield* owner.listPages(item)
    else if (entry.kind === "junction") {
      const inner = await this.enter(entry, [entry.name])
      yield* inner.listPages(inner.item(inner.root, []))
    } else if (entry.kind === "directory")
      try {
        for await (const page of listPages(this.io, entry.reference)) {
          const named: (readonly [string, Item])[] = []
          for (const child of page)
            named.push([
              child.name,
              child.kind === "junction" ? await this.#linkedOrNot(child, path) : this.#below(child, path),
            ])
          yield named
        }
      } catch (error) {
        throw damageAt(error, this.label, path)
      }
  }

  #below(child: Entry, path: readonly string[] | undefined): Item {
    return this.item(child, path && [...path, child.name])
  }

  /** A linked file that cannot be opened is still listed, as what it is here. */
  #linkedOrNot(child: Entry, path: readonly string[] | undefined): Promise<Item> {
    const item = this.#below(child, path)
    return this.#resolved(child, item.path ?? [child.name]).catch(() => item)
  }

  async *copies(): AsyncGenerator<readonly [string, Item], void, void> {
    if (!this.isFile) return
    for await (const entry of listDirectory(this.io, this.#top))
      if (entry.name !== mutableFileName) yield [entry.name, this.item(entry)]
  }

  async *read(item: Item, range: ReadFileOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    const file = fileOf(item)
    try {
      yield* readFile(item.owner.io, file, range)
    } catch (error) {
      throw damageAt(error, item.owner.label, item.path)
    }
  }

  reader(item: Item): RandomReader {
    return new RandomReader(item.owner.io, fileOf(item))
  }

  draft(item: Item, options?: FileDraftOptions): FileDraft {
    return new FileDraft(this.io, fileOf(item), options)
  }

  async *watch(options?: WatchOptions): AsyncGenerator<FileSystem, void, void> {
    const { root: _, problem: __, ...parts } = this.#parts
    const { access, tree } = this
    const watch = parts.registers.watch
    if (!access || !tree || !watch)
      throw new HoldfastError("ERR_WRONG_CAPABILITY", `${this.label} is immutable: nothing changes there.`)
    for await (const _ of watch(access, options))
      yield new View({ ...parts, ...(await presentRoot(tree, this.isFile)) })
  }

  writer(): Writer {
    return writerOf(this)
  }

  edit(work: (edit: Edit) => Promise<void>): Promise<void> {
    return editOf(this, work)
  }

  async snapshot(name: string): Promise<FileSystem | undefined> {
    const found = await this.tree?.snapshots.lookup(name)
    if (!found) return undefined
    const { io, volume, registers, uploads, above, open, warn } = this.#parts
    const access = this.access && { publicKey: this.access.publicKey, readKey: this.access.readKey }
    const root = this.isFile ? await rootEntry(io, found.reference, true) : found
    const shown = { label: `${this.label}@${name}`, isFile: this.isFile, top: found.reference, root }
    return new View({ io, volume, registers, uploads, above, open, warn, ...shown, ...(access && { access }) })
  }

  async listSnapshots(): Promise<SnapshotInfo[]> {
    const all: SnapshotInfo[] = []
    for await (const { name, mtimeNs } of this.#mutable().snapshots.list()) all.push({ name, createdNs: mtimeNs })
    return all
  }

  async createSnapshot(name: string): Promise<void> {
    await this.writable().snapshots.create(name)
  }

  async removeSnapshot(name: string): Promise<void> {
    await this.writable().snapshots.remove(name)
  }

  restoreSnapshot(name: string): Promise<void> {
    return restoreSnapshot(this, name)
  }

  listVersions(): Promise<TreeVersion[]> {
    return this.#mutable().versions()
  }

  restoreVersion(version: number): Promise<number> {
    return restoreVersion(this, version)
  }

  async *diff(before: Item, after: Item): AsyncGenerator<ItemDifference, void, void> {
    const [a, b] = [await entered(before), await entered(after)]
    if (a.entry.kind === "directory" && b.entry.kind === "directory")
      for await (const { path, kind, before: from, after: to } of diff(this.io, a.entry.reference, b.entry.reference))
        yield { path, kind, ...(from && { before: a.owner.item(from) }), ...(to && { after: b.owner.item(to) }) }
    else if (!sameContent(a.entry, b.entry)) yield { path: [], kind: "changed", before, after }
  }

  capOf(path: readonly string[], strength: Strength): Promise<string> {
    return capOf(this, path, strength)
  }

  capOfLink(junction: JunctionEntry): Promise<Cap> {
    return openLink(this.io.env.crypto, this.access, junction)
  }

  item(entry: Entry, path?: readonly string[]): Item {
    return { entry, owner: this, ...(path && { path }) }
  }

  async enter(junction: JunctionEntry, path: readonly string[]): Promise<FileSystem> {
    const key = toHex(junction.readCap)
    let linked = this.#linked.get(key)
    if (!linked) {
      linked = this.#open(junction, `${this.label}${formatPath(path)}`)
      this.#linked.set(key, linked)
    }
    return linked
  }

  async accounts(): Promise<readonly AccountId[]> {
    if (!this.access) return []
    const { publicKey, readKey } = this.access
    return joinAccounts(await readCare(this.#parts.registers, { publicKey, verifyKey: verifyKeyOf(readKey) }))
  }

  writable(): Tree {
    if (this.tree && this.access?.seed) return this.tree
    throw new HoldfastError(
      "ERR_WRONG_CAPABILITY",
      `${this.label} can only be read: it is a snapshot or was opened with a read capability. Changing it needs a write capability.`,
    )
  }

  /** The tree behind it, to read its history. */
  #mutable(): Tree {
    if (this.tree) return this.tree
    throw new HoldfastError("ERR_WRONG_CAPABILITY", `${this.label} is immutable and has no snapshots.`)
  }

  async #open(junction: JunctionEntry, label: string): Promise<FileSystem> {
    const own = this.access ? [...this.#parts.above, toHex(this.access.publicKey)] : this.#parts.above
    const cap = await this.capOfLink(junction)
    const { publicKey } = await keysOfCap(this.io.env.crypto, cap)
    if (own.includes(toHex(publicKey)) || own.length >= maxNesting) throw new CircularLink(label)
    return this.#parts.open(cap, label, own)
  }
}

/** The entry of a file. Throws ERR_IS_A_DIRECTORY for what is none. */
function fileOf({ entry }: Item): FileEntry {
  if (entry.kind === "file") return entry
  throw new HoldfastError("ERR_IS_A_DIRECTORY", `"${entry.name}" is a ${entry.kind} and has no content to read.`)
}

/** An item; of a tree that is linked in, its root. */
async function entered(item: Item): Promise<Item> {
  const { entry, owner } = item
  if (entry.kind !== "junction") return item
  const inner = await owner.enter(entry, [entry.name])
  return inner.item(inner.root)
}
