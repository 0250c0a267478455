/** What the file commands ask of an opened tree: the alias or capability is resolved, paths are lists of names. */
import type { ChunkId } from "@holdfast/protocol"
import type { ReadFileOptions, TreeVersion } from "@holdfast/tree"
import type { DownloadPort, RemoteItem, UploadPort } from "../../transfer/ports.ts"

/** An entry; its content is known to the tree alone. */
export type Item = RemoteItem<unknown>

/** A snapshot as listings show it. */
export interface SnapshotInfo {
  readonly name: string
  readonly createdNs: bigint
}

/** One difference between two directories. */
export interface Difference {
  readonly kind: "added" | "removed" | "changed"
  readonly path: readonly string[]
  readonly before?: Item
  readonly after?: Item
}

/** Changes that become visible together. It may run again after a lost race, so it must not act elsewhere. */
export interface Edit {
  lookup(path: readonly string[]): Promise<Item | undefined>
  isEmpty(path: readonly string[]): Promise<boolean>
  mkdir(path: readonly string[]): Promise<void>
  /** Puts an item of this or another tree of the grid here: shared within a tree, in chunks of its own in another one. */
  set(path: readonly string[], item: Item): Promise<void>
  remove(path: readonly string[]): Promise<void>
  move(from: readonly string[], to: readonly string[]): Promise<void>
  /** Links the tree or file of a capability in. */
  link(path: readonly string[], cap: string): Promise<void>
}

/** How far `chunksOf` goes. */
export interface ChunksOptions {
  readonly deep: boolean
  /** Hears the public key of each register that the item stands on. */
  readonly onRegister?: (publicKey: Uint8Array) => void
  /** Hears of what cannot be read, and the rest goes on; without it, that is thrown. */
  readonly onLost?: (lost: LostPlace) => void
  /** Trees linked in that were entered, and how deep: they may be linked in one another in more ways than can be told. */
  readonly entered?: Map<string, number>
}

/** A chunk that something stands on. */
export interface StoredChunk {
  readonly id: ChunkId
  /** Where in the tree it was met first, for messages. */
  readonly place?: () => string
}

/** A directory, or the list of a file's pieces, that cannot be read. */
export interface LostPlace {
  readonly place: string
  readonly what: "directory" | "file"
  readonly chunk: ChunkId
  readonly message: string
}

/** An opened tree, or one snapshot of it. */
export interface Volume extends DownloadPort<unknown> {
  /** How messages call it: the alias, never a capability. */
  readonly label: string
  /** Name of the volume of storage that it lies in; items can only be shared within one. */
  readonly home: string
  /** A mutable file or a snapshot of one: the root is a file, and nothing is below it. */
  readonly isFile: boolean
  /** What the root is called where it is copied to; undefined for the root of a directory. */
  readonly rootName: string | undefined
  /**
   * Where a path leads when trees are linked in on the way: the innermost tree, and the path in it. With `follow` what is
   * linked in at its end is entered as well.
   */
  locate(
    path: readonly string[],
    options?: { readonly follow?: boolean },
  ): Promise<{ readonly volume: Volume; readonly path: readonly string[] }>
  lookup(path: readonly string[]): Promise<Item | undefined>
  /** Of a mutable file: copies kept because two writers changed it at once; each is found as the one name of a path. */
  copies(): AsyncIterable<readonly [name: string, item: Item]>
  read(item: Item, range?: ReadFileOptions): AsyncIterable<Uint8Array>
  /** Throws ERR_WRONG_CAPABILITY when the tree is only readable. */
  upload(): UploadPort<unknown>
  /** Throws ERR_WRONG_CAPABILITY when the tree is only readable. */
  edit(work: (edit: Edit) => Promise<void>): Promise<void>
  /** A read-only view; undefined when there is no such snapshot. */
  snapshot(name: string): Promise<Volume | undefined>
  listSnapshots(): Promise<SnapshotInfo[]>
  /** The newest version and those before that are kept, newest first. */
  listVersions(): Promise<TreeVersion[]>
  createSnapshot(name: string): Promise<void>
  removeSnapshot(name: string): Promise<void>
  /** What changed from `before` to `after`; whole directories that are equal are skipped without being read. */
  diff(before: Item, after: Item): AsyncIterable<Difference>
  /** A capability to an item: of the root as strong as asked, of anything below an immutable one. */
  capOf(path: readonly string[], strength: "write" | "read" | "verify"): Promise<string>
  /**
   * The chunks an item stands on; with `deep`, of everything below it too, and of a whole tree also of its history and
   * snapshots. Each may come more than once.
   */
  chunksOf(item: Item, options: ChunksOptions): AsyncIterable<StoredChunk>
  /** Goes back to what a snapshot keeps. The present state is not read, so it may be damaged; it stays in the history. */
  restoreSnapshot(name: string): Promise<void>
  /** Goes back to a past version; gives the sequence that it has now. */
  restoreVersion(version: number): Promise<number>
}
