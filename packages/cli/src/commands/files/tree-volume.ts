/** A tree, or something immutable, behind the interface of the file commands. */
import { keysOfCap } from "@holdfast/client/account"
import type { ProfileUploads } from "@holdfast/client/profile"
import { HoldfastError, isHoldfastError, toHex, utf8 } from "@holdfast/core"
import { type Cap, encodeCap, verifyKeyOf } from "@holdfast/protocol"
import type { RegisterKeys } from "@holdfast/store"
import {
  type CommitResult,
  type DirectoryRef,
  diff,
  type Entry,
  isDamage,
  type JunctionEntry,
  listDirectory,
  lookupEntry,
  mutableFileName,
  openJunction,
  type Reached,
  type ReadFileOptions,
  reachEntry,
  readFile,
  sameContent,
  type Tree,
  type TreeIo,
  type TreeVersion,
} from "@holdfast/tree"
import { formatPath } from "../../transfer/path-spec.ts"
import type { UploadPort } from "../../transfer/ports.ts"
import { CircularLink, enterOnce } from "./circular-link.ts"
import { entryVerifyCap, ownReadCap } from "./entry-caps.ts"
import { damageAt, lostPlace, placeIn } from "./lost.ts"
import { contentOf, type EntryContent, identityOf, type OpenedTree } from "./opened-tree.ts"
import { restoreSnapshot, restoreVersion } from "./restore.ts"
import { rootEntry } from "./root-entry.ts"
import { editOf, uploadPortOf } from "./tree-edit.ts"
import type { ChunksOptions, Difference, Edit, Item, SnapshotInfo, StoredChunk, Volume } from "./volume.ts"

/** What a TreeVolume is made of. */
export interface TreeVolumeParts {
  readonly io: TreeIo
  readonly label: string
  readonly home: string
  readonly uploads: ProfileUploads
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
  readonly open: (cap: Cap, label: string, above: readonly string[]) => Promise<TreeVolume>
}

/** Most trees linked in one another on a path. */
const maxNesting = 16
const fileCapStart = utf8("hf:fr:")

/** One opened tree. Reads see the root of when it was opened, or of its own last change. */
export class TreeVolume implements OpenedTree {
  readonly label: string
  readonly home: string
  readonly io: TreeIo
  readonly tree: Tree | undefined
  readonly access: RegisterKeys | undefined
  readonly uploads: ProfileUploads
  readonly #parts: TreeVolumeParts
  readonly #linked = new Map<string, Promise<TreeVolume>>()
  readonly isFile: boolean
  #root: Entry | undefined
  #top: DirectoryRef

  constructor(parts: TreeVolumeParts) {
    this.#parts = parts
    this.#root = parts.root
    this.#top = parts.top ?? null
    this.isFile = parts.isFile ?? false
    this.label = parts.label
    this.home = parts.home
    this.io = parts.io
    this.tree = parts.tree
    this.access = parts.access
    this.uploads = parts.uploads
  }

  get root(): Entry {
    if (this.#root) return this.#root
    throw damageAt(this.#parts.problem, this.label, [])
  }

  async adopt({ root, conflicts, writers = [] }: CommitResult): Promise<void> {
    this.#root = await rootEntry(this.io, root, this.isFile)
    this.#top = root
    for (const path of conflicts)
      this.#parts.warn(
        `another writer${writers.length > 0 ? ` (${writers.join(", ")})` : ""} changed the same at the same time; your version is kept as ${`${this.label}${formatPath(path)}`}`,
      )
  }

  /** An alias names its mutable file, and what is immutable has a name in it. */
  get rootName(): string | undefined {
    if (this.isFile) return /^([^:()]+):/.exec(this.label)?.[1] ?? mutableFileName
    return this.#root?.name || undefined
  }

  async locate(
    path: readonly string[],
    { follow = false } = {},
  ): Promise<{ volume: TreeVolume; path: readonly string[] }> {
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
        return { volume: this, path } // whoever looks it up is told
      }
    }
    if (follow && entry?.kind === "junction") return { volume: await this.enter(entry, path), path: [] }
    return { volume: this, path }
  }

  async lookup(path: readonly string[]): Promise<Item | undefined> {
    const { volume, path: rest } = await this.locate(path)
    if (volume !== this) return volume.lookup(rest)
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
    const { entry, owner, path } = contentOf<TreeVolume>(item)
    if (entry.kind === "junction") {
      const inner = await owner.enter(entry, [entry.name])
      yield* inner.list(inner.item(inner.root, []))
    } else if (entry.kind === "directory")
      try {
        for await (const child of listDirectory(owner.io, entry.reference)) {
          const place = path && [...path, child.name]
          // A linked file that cannot be opened is still listed, as what it is here.
          const linked = () => owner.#resolved(child, place ?? [child.name]).catch(() => owner.item(child, place))
          yield [child.name, child.kind === "junction" ? await linked() : owner.item(child, place)]
        }
      } catch (error) {
        throw damageAt(error, owner.label, path)
      }
  }

  async *copies(): AsyncGenerator<readonly [string, Item], void, void> {
    if (!this.isFile) return
    for await (const entry of listDirectory(this.io, this.#top))
      if (entry.name !== mutableFileName) yield [entry.name, this.item(entry)]
  }

  async *read(item: Item, options: ReadFileOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    const { entry, owner, path } = contentOf<TreeVolume>(item)
    if (entry.kind !== "file")
      throw new HoldfastError("ERR_IS_A_DIRECTORY", `"${entry.name}" is a ${entry.kind} and has no content to read.`)
    try {
      yield* readFile(owner.io, entry, options)
    } catch (error) {
      throw damageAt(error, owner.label, path)
    }
  }

  upload(): UploadPort<unknown> {
    return uploadPortOf(this)
  }

  edit(work: (edit: Edit) => Promise<void>): Promise<void> {
    return editOf(this, work)
  }

  async snapshot(name: string): Promise<Volume | undefined> {
    const found = await this.tree?.snapshots.lookup(name)
    if (!found) return undefined
    const { io, home, uploads, above, open, warn } = this.#parts
    const access = this.access && { publicKey: this.access.publicKey, readKey: this.access.readKey }
    const root = this.isFile ? await rootEntry(io, found.reference, true) : found
    const shown = { label: `${this.label}@${name}`, isFile: this.isFile, top: found.reference, root }
    return new TreeVolume({ io, home, uploads, above, open, warn, ...shown, ...(access && { access }) })
  }

  restoreSnapshot(name: string): Promise<void> {
    return restoreSnapshot(this, name)
  }

  restoreVersion(version: number): Promise<number> {
    return restoreVersion(this, version)
  }

  async listSnapshots(): Promise<SnapshotInfo[]> {
    const all: SnapshotInfo[] = []
    for await (const { name, mtimeNs } of this.writableOrReadable().snapshots.list())
      all.push({ name, createdNs: mtimeNs })
    return all
  }

  listVersions(): Promise<TreeVersion[]> {
    return this.writableOrReadable().versions()
  }

  async createSnapshot(name: string): Promise<void> {
    await this.writable().snapshots.create(name)
  }

  async removeSnapshot(name: string): Promise<void> {
    await this.writable().snapshots.remove(name)
  }

  async *diff(before: Item, after: Item): AsyncGenerator<Difference, void, void> {
    const [a, b] = [await this.#entered(before), await this.#entered(after)]
    if (a.entry.kind === "directory" && b.entry.kind === "directory")
      for await (const { path, kind, before: from, after: to } of diff(this.io, a.entry.reference, b.entry.reference))
        yield { path, kind, ...(from && { before: a.owner.item(from) }), ...(to && { after: b.owner.item(to) }) }
    else if (!sameContent(a.entry, b.entry)) yield { path: [], kind: "changed", before, after }
  }

  async capOf(path: readonly string[], strength: "write" | "read" | "verify"): Promise<string> {
    const { volume, path: rest } = await this.locate(path)
    if (volume !== this) return volume.capOf(rest, strength)
    const item = await this.lookup(path)
    if (!item) throw new HoldfastError("ERR_NOT_FOUND", `${this.label}/${path.join("/")} does not exist.`)
    const { entry, owner } = contentOf<TreeVolume>(item)
    if (owner !== this) return owner.capOf([], strength) // a file that is linked in
    if (entry.kind === "junction") return (await this.enter(entry, path)).capOf([], strength)
    if (path.length === 0 && this.tree) return this.#rootCap(strength)
    if (strength === "write" && this.tree)
      throw new HoldfastError(
        "ERR_WRONG_CAPABILITY",
        "Only a whole tree has a write capability. --read gives one to what this holds now, --verify one to check it.",
      )
    const named = entry.name === "" ? { ...entry, name: this.rootName ?? "root" } : entry
    return strength === "verify"
      ? entryVerifyCap(this.io, named)
      : ownReadCap(this, named, { path, warn: this.#parts.warn })
  }

  async *chunksOf(item: Item, given: ChunksOptions): AsyncGenerator<StoredChunk, void, void> {
    const options = { entered: new Map<string, number>(), ...given }
    const { entry, owner, path = [] } = contentOf<TreeVolume>(item)
    if (entry.kind === "junction") {
      const inner = await owner.enter(entry, [entry.name])
      yield* inner.chunksOf(inner.item(inner.root, []), options)
      return
    }
    const isWhole = owner.tree !== undefined && entry === owner.root
    if (isWhole) options.onRegister?.(owner.access!.publicKey)
    const { deep } = options
    const met =
      isWhole && deep ? owner.tree!.reach() : reachEntry(owner.io, entry, { path, version: "newest" }, { deep })
    yield* owner.#stored(met, options)
    // What is below a lost node is named here alone. What cannot be read of the list is told as lost by its own id.
    if (isWhole && deep) for await (const id of owner.tree!.caredFor(() => undefined)) yield { id }
  }

  async *#stored(
    met: AsyncIterable<Reached>,
    options: ChunksOptions & { readonly entered: Map<string, number> },
  ): AsyncGenerator<StoredChunk, void, void> {
    for await (const one of met)
      if (one.kind === "chunk") yield { id: one.chunk.id, place: () => placeIn(this.label, one.where) }
      else if (one.kind === "lost") {
        if (!options.onLost) throw damageAt(one.lost.error, this.label, one.lost.path)
        options.onLost(lostPlace(this.label, one.lost))
      } else if (enterOnce(options.entered, one.junction, this.#parts.above.length))
        yield* this.#below(one.junction, one.where.path, options, (inner) =>
          inner.chunksOf(inner.item(inner.root, []), options),
        )
  }

  identity(item: Item): string {
    return identityOf(item)
  }

  /** The strongest capability that a link in this tree gives. */
  async capOfLink(junction: JunctionEntry): Promise<Cap> {
    const { crypto } = this.io.env
    return openJunction(crypto, this.access?.seed, junction).catch((error: unknown) => {
      // Copied here from another tree: the write capability is sealed for writers of that one.
      if (!isHoldfastError(error, "ERR_CORRUPT")) throw error
      return openJunction(crypto, undefined, junction)
    })
  }

  /** An entry of this tree as the commands see it. */
  item(entry: Entry, path?: readonly string[]): Item {
    const { kind, mode, mtimeNs, size } = entry
    const content: EntryContent<TreeVolume> = { entry, owner: this, ...(path && { path }) }
    const common = { kind, mode, mtimeNs, sizeBytes: size, content }
    if (entry.kind === "symlink") return { ...common, target: entry.target }
    return entry.name === "" && kind === "directory" ? { ...common, bare: true } : common
  }

  /** The tree that `junction` links in. Throws ERR_INVALID_ARGUMENT for a circle. */
  async enter(junction: JunctionEntry, path: readonly string[]): Promise<TreeVolume> {
    const key = toHex(junction.readCap)
    let linked = this.#linked.get(key)
    if (!linked) {
      linked = this.#open(junction, `${this.label}/${path.join("/")}`)
      this.#linked.set(key, linked)
    }
    return linked
  }

  /** The tree, if it may be changed. Throws ERR_WRONG_CAPABILITY. */
  writable(): Tree {
    if (this.tree && this.access?.seed) return this.tree
    throw new HoldfastError(
      "ERR_WRONG_CAPABILITY",
      `${this.label} can only be read: it is a snapshot or was opened with a read capability. Changing it needs a write capability.`,
    )
  }

  private writableOrReadable(): Tree {
    if (this.tree) return this.tree
    throw new HoldfastError("ERR_WRONG_CAPABILITY", `${this.label} is immutable and has no snapshots.`)
  }

  /** What `work` gives for a tree that is linked in; nothing for a circle, whose content is told further above. */
  async *#below<T>(
    junction: JunctionEntry,
    path: readonly string[],
    { onLost }: ChunksOptions,
    work: (inner: TreeVolume) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, void> {
    let inner: TreeVolume
    try {
      inner = await this.enter(junction, path)
    } catch (error) {
      if (error instanceof CircularLink) return
      if (!onLost || !isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      const place = placeIn(this.label, { path, version: "newest" })
      onLost({ place, what: "directory", chunk: new Uint8Array(), message: error.message })
      return
    }
    yield* work(inner)
  }

  async #open(junction: JunctionEntry, label: string): Promise<TreeVolume> {
    const own = this.access ? [...this.#parts.above, toHex(this.access.publicKey)] : this.#parts.above
    const { crypto } = this.io.env
    const cap = await this.capOfLink(junction)
    const { publicKey } = await keysOfCap(crypto, cap)
    if (own.includes(toHex(publicKey)) || own.length >= maxNesting) throw new CircularLink(label)
    return this.#parts.open(cap, label, own)
  }

  async #entered(item: Item): Promise<EntryContent> {
    const { entry, owner } = contentOf<TreeVolume>(item)
    if (entry.kind !== "junction") return { entry, owner }
    const inner = await owner.enter(entry, [entry.name])
    return { entry: inner.root, owner: inner }
  }

  async #rootCap(strength: "write" | "read" | "verify"): Promise<string> {
    const { publicKey, readKey, seed } = this.access!
    if (strength === "verify")
      return encodeCap({ kind: this.isFile ? "fv" : "dv", publicKey, verifyKey: verifyKeyOf(readKey) })
    if (strength === "read") return encodeCap({ kind: this.isFile ? "fr" : "dr", publicKey, readKey })
    if (seed) return encodeCap({ kind: this.isFile ? "fw" : "dw", seed })
    throw new HoldfastError(
      "ERR_WRONG_CAPABILITY",
      `${this.label} was opened with a read capability, which cannot give one to write. Use --read.`,
    )
  }
}

/** True for a link to a mutable file. */
function linksFile({ readCap }: JunctionEntry): boolean {
  return fileCapStart.every((byte, i) => readCap[i] === byte)
}
