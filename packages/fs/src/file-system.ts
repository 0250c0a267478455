/**
 * What a file system over a tree offers to doors: the capability is opened, paths are lists of names, snapshots and trees that
 * are linked in are file systems too. Words are the caller's: what is said here names what went wrong, not how to type the remedy.
 */
import type { BufferPool, HoldfastError } from "@holdfast/core"
import type { AccountId, Cap } from "@holdfast/protocol"
import type { RegisterKeys, WatchOptions } from "@holdfast/store"
import type {
  CommitResult,
  Entry,
  FileContent,
  FileDraft,
  FileDraftOptions,
  JunctionEntry,
  RandomReader,
  ReadFileOptions,
  Tree,
  TreeIo,
  TreeVersion,
} from "@holdfast/tree"

/** An entry, and the file system that it was found in. */
export interface Item {
  /** As it stands in its directory; of a mutable file that is linked in, the file itself. */
  readonly entry: Entry
  readonly owner: FileSystem
  /** Where it was found there, as far as that is known. */
  readonly path?: readonly string[]
}

/** Where something is in a file system, or may be. */
export interface Location {
  readonly files: FileSystem
  readonly path: readonly string[]
}

/** A snapshot as listings show it. */
export interface SnapshotInfo {
  readonly name: string
  readonly createdNs: bigint
}

/** One difference between two directories. */
export interface ItemDifference {
  readonly kind: "added" | "removed" | "changed"
  readonly path: readonly string[]
  readonly before?: Item
  readonly after?: Item
}

/** Changes that become visible together. It may run again on another version, so it must not act elsewhere. */
export interface Edit {
  lookup(path: readonly string[]): Promise<Item | undefined>
  isEmpty(path: readonly string[]): Promise<boolean>
  mkdir(path: readonly string[]): Promise<void>
  /** Puts an item of this or another tree of the volume here: shared within a tree, in chunks of its own in another one. */
  set(path: readonly string[], item: Item): Promise<void>
  remove(path: readonly string[]): Promise<void>
  move(from: readonly string[], to: readonly string[]): Promise<void>
  /**
   * Links the tree or file of a capability in; a tree with mode, owner and times of `like`, where that is given. Throws
   * ERR_WRONG_CAPABILITY for one that reads nothing.
   */
  link(path: readonly string[], cap: Cap, like?: Entry): Promise<void>
}

/** What is done at a path. */
export type Change = NamedChange | { readonly path: readonly string[]; readonly kind: "remove" }

/** A file, directory or symlink to be stored; a directory keeps what is in it already. Bits of the mode as in POSIX. */
export type NamedChange = {
  readonly path: readonly string[]
  readonly mode: number
  readonly mtimeNs: bigint
  readonly uid?: number
  readonly gid?: number
  /** Extended attributes, null for none; those that are stored stay when absent. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array> | null
} & (
  | { readonly kind: "file"; readonly content: FileContent }
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: string }
)

/** Where a file goes. */
export interface WriteTarget {
  readonly path: readonly string[]
  /** What is there now: of a large file, pieces that stay are not sent again. */
  readonly before?: Item | undefined
}

/** Hears of a change that was not made, because others have changed the tree meanwhile. */
export type OnBarred = (change: NamedChange, error: HoldfastError) => void

/** Stores many files, then names them: nothing is seen before the commit. */
export interface Writer {
  /** Where large pieces to be added come from best. */
  readonly buffers: BufferPool
  /** What is at `path` now. */
  lookup(path: readonly string[]): Promise<Item | undefined>
  /** What is in the directory at `path` now, in order, read while it is consumed; nothing when there is no such directory. */
  list(path: readonly string[]): AsyncGenerator<readonly [name: string, item: Item], void, void>
  /**
   * Stores bytes that go to `target`, which are the writer's from now on, but for an array of at most `packedFileBytes`, which is copied
   * before this returns; resolves when their content can be named, which may need a `flush`: small files wait for company.
   */
  add(source: Uint8Array | AsyncIterable<Uint8Array>, target: WriteTarget): Promise<FileContent>
  /** Sends what was added and still waits for company. It is durable when the commit is made that names it. */
  flush(): Promise<void>
  /** The content of a file of this tree, to be named again with other attributes; undefined for one of another tree. */
  contentOf(item: Item): FileContent | undefined
  /**
   * Makes all changes visible at once, in order. Parents come before what is in them; what is not there need not be removed. Only
   * what was removed before gives way to another kind: a change that comes upon a directory, a link that was not there when
   * this was opened, or nothing to be in, goes to `onBarred` and is left out. Without it that is thrown, and nothing is changed.
   */
  commit(changes: readonly Change[], options?: WriterCommitOptions): Promise<void>
}

/** How a writer commits. */
export interface WriterCommitOptions {
  readonly onBarred?: OnBarred
  /** More of the same follows: once it has, this is kept as no version of its own. */
  readonly isPart?: boolean
}

/** Keeps the secrets of uploads under way, so that what an interrupted one stored is found again. */
export interface Uploads {
  /** The secret of the upload into a tree, by its register's id in hexadecimal; durable when this resolves. */
  uploadSecret(register: string): Promise<{ readonly secret: Uint8Array; readonly isAgain: boolean }>
  /** The upload is committed. */
  uploadDone(register: string): Promise<void>
}

/** How strong a capability is. */
export type Strength = "write" | "read" | "verify"

/** A tree, or one snapshot of it, as files and directories. Reads see the root of when it was opened, or of its own last change. */
export interface FileSystem {
  /** How messages call it: never a capability. */
  readonly label: string
  /** Name of the volume that its bytes lie on. */
  readonly volume: string
  /** A mutable file or a snapshot of one: the root is a file, and nothing is below it. */
  readonly isFile: boolean
  /** What the root is called where it is copied to; undefined for the root of a directory. */
  readonly rootName: string | undefined
  /** In how many trees it is linked, one in the other. */
  readonly depth: number
  /** Nodes and chunks of the volume; file systems with the same share content. */
  readonly io: TreeIo
  /** The tree itself; absent for what is immutable. */
  readonly tree: Tree | undefined
  /** Keys of its register; with the seed when it may be written. */
  readonly access: RegisterKeys | undefined
  readonly uploads: Uploads | undefined
  /** Hears what a user should know although all went well. */
  readonly warn: (text: string) => void
  /** The root's entry: of a mutable file the file itself. Throws ERR_CORRUPT and others when it cannot be read. */
  readonly root: Entry
  /**
   * Where a path leads when trees are linked in on the way: the innermost one, and the path in it. With `follow` what is
   * linked in at its end is entered as well.
   */
  locate(path: readonly string[], options?: { readonly follow?: boolean }): Promise<Location>
  /** What is at `path`; undefined when nothing is. A mutable file that is linked in is the file itself. */
  lookup(path: readonly string[]): Promise<Item | undefined>
  /** What is in a directory, or in a tree that is linked in, in the tree's order; nothing for anything else. */
  list(item: Item): AsyncIterable<readonly [name: string, item: Item]>
  /** The same, many at a time as they are stored: faster where there are very many. */
  listPages(item: Item): AsyncIterable<readonly (readonly [name: string, item: Item])[]>
  /** The bytes of a file, or a range of them. Throws ERR_IS_A_DIRECTORY for what is no file. */
  read(item: Item, range?: ReadFileOptions): AsyncIterable<Uint8Array>
  /** The bytes of a file for who reads here and there: through pages that are kept, and ahead. Throws ERR_IS_A_DIRECTORY. */
  reader(item: Item): RandomReader
  /**
   * A file that is changed here and there, as one that is held open: its `flush` gives the content for a `Writer` to name. Throws
   * ERR_IS_A_DIRECTORY.
   */
  draft(item: Item, options?: FileDraftOptions): FileDraft
  /**
   * What this is now, and again each time it has changed, within about a second; who is slow gets the newest and not each in between.
   * Ends when the signal aborts. Throws ERR_WRONG_CAPABILITY for what is immutable, and what reading a register throws but for outages.
   */
  watch(options?: WatchOptions): AsyncIterable<FileSystem>
  /** Of a mutable file: copies kept because two writers changed it at once; each is found as the one name of a path. */
  copies(): AsyncIterable<readonly [name: string, item: Item]>
  /** Throws ERR_WRONG_CAPABILITY when the tree is only readable. */
  writer(): Writer
  /** Runs `work` as one commit. Throws ERR_WRONG_CAPABILITY when the tree is only readable. */
  edit(work: (edit: Edit) => Promise<void>): Promise<void>
  /** A read-only view of a snapshot; undefined when there is no such. */
  snapshot(name: string): Promise<FileSystem | undefined>
  listSnapshots(): Promise<SnapshotInfo[]>
  createSnapshot(name: string): Promise<void>
  removeSnapshot(name: string): Promise<void>
  /** Goes back to what a snapshot keeps. The present state is not read, so it may be damaged; it stays in the history. */
  restoreSnapshot(name: string): Promise<void>
  /** The newest version and those before that are kept, newest first. */
  listVersions(): Promise<TreeVersion[]>
  /** Goes back to a past version; gives the sequence that it has now. */
  restoreVersion(version: number): Promise<number>
  /** What changed from `before` to `after`; whole directories that are equal are skipped without being read. */
  diff(before: Item, after: Item): AsyncIterable<ItemDifference>
  /**
   * A capability to what is at `path`: of a root as strong as asked, of anything below an immutable one. Throws
   * ERR_NOT_FOUND, ERR_WRONG_CAPABILITY, ERR_LIMIT.
   */
  capOf(path: readonly string[], strength: Strength): Promise<string>
  /** The strongest capability that a link in this tree gives. */
  capOfLink(junction: JunctionEntry): Promise<Cap>
  /** The tree that a junction at `path` links in. Throws ERR_LIMIT for a circle. */
  enter(junction: JunctionEntry, path: readonly string[]): Promise<FileSystem>
  /** An entry of this file system as an item; `path` is where it is, for messages. */
  item(entry: Entry, path?: readonly string[]): Item
  /**
   * The same as it is seen now; what is done with it, and with trees that it links in, throws the signal's reason as soon as it aborts.
   * A change that was stopped is made as a whole, or not at all.
   */
  stoppedBy(signal: AbortSignal): FileSystem
  /** The accounts that its tree is held for, whoever writes into it; none of what is immutable. */
  accounts(): Promise<readonly AccountId[]>
  /** Takes the root that a commit made, and warns of what conflicted. */
  adopt(result: CommitResult): Promise<void>
  /** The tree, when it may be written. Throws ERR_WRONG_CAPABILITY. */
  writable(): Tree
}
