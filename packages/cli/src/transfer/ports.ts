/** What a transfer asks of the tree it reads or writes. Content is opaque here: how a file's bytes are referred to. */
import type { BufferPool } from "@holdfast/core"

/** A file, directory, symlink or junction as a tree knows it, without its name. */
export interface RemoteItem<Content> {
  readonly kind: "file" | "directory" | "symlink" | "junction"
  readonly mode: number
  readonly mtimeNs: bigint
  readonly sizeBytes: number
  readonly target?: string
  /** Without mode and time of its own: the root of a tree. */
  readonly bare?: boolean
  readonly content: Content
}

/** An item to be stored; a directory keeps what is in it already. */
export interface Change<Content> {
  readonly path: readonly string[]
  readonly kind: "file" | "directory" | "symlink"
  readonly mode: number
  readonly mtimeNs: bigint
  readonly uid?: number
  readonly gid?: number
  readonly sizeBytes: number
  readonly target?: string
  /** Only of a file. */
  readonly content?: Content
}

/** Where a file goes. */
export interface UploadTarget {
  readonly path: readonly string[]
  /** What is there now. */
  readonly before: RemoteItem<unknown> | undefined
}

/** A tree that can be written. */
export interface UploadPort<Content> {
  /** Where large pieces to be added come from best. */
  readonly buffers: BufferPool
  /** What is at `path` now. */
  lookup(path: readonly string[]): Promise<RemoteItem<unknown> | undefined>
  /** What is in the directory at `path` now; undefined when there is no such directory. */
  list(path: readonly string[]): Promise<ReadonlyMap<string, RemoteItem<unknown>> | undefined>
  /** Stores bytes that go to `target`; resolves when they are durable, which may need a `flush`. */
  add(source: Uint8Array | AsyncIterable<Uint8Array>, target: UploadTarget): Promise<Content>
  /** Sends what was added and still waits for company. */
  flush(): Promise<void>
  /** Makes all changes visible at once. Parents come before what is in them. */
  commit(changes: readonly Change<Content>[]): Promise<void>
}

/** A tree that can be read. */
export interface DownloadPort<Content> {
  /** The same for all directories that hold the same; undefined when that is not known. */
  identity?(item: RemoteItem<Content>): string
  /** What is in a directory or junction, in the tree's order. */
  list(item: RemoteItem<Content>): AsyncIterable<readonly [name: string, item: RemoteItem<Content>]>
  /** The bytes of a file. With `transient`, pieces are looked at only until the next is asked for. */
  read(item: RemoteItem<Content>, options?: { readonly transient?: boolean }): AsyncIterable<Uint8Array>
}

/** How many bytes and files a transfer moved and left alone. */
export interface TransferTotals {
  files: number
  directories: number
  symlinks: number
  bytes: number
  /** Files that were the same on both sides. */
  unchanged: number
}

/** Zero of everything. */
export function noTotals(): TransferTotals {
  return { files: 0, directories: 0, symlinks: 0, bytes: 0, unchanged: 0 }
}

/** Adds `more` to `totals`. */
export function addTotals(totals: TransferTotals, more: TransferTotals): void {
  for (const key of Object.keys(totals) as (keyof TransferTotals)[]) totals[key] += more[key]
}

/** Things that are there now. */
export function doneOf({ files, unchanged, symlinks }: TransferTotals): number {
  return files + unchanged + symlinks
}
