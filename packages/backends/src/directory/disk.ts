/**
 * What the storage engine asks of the machine below it: files, one database, space, names that nobody used before, and when
 * gathered work is done. A parameter, so that the simulator can put a disk in its place that crashes, fills and rots.
 */
import type { SQLInputValue } from "node:sqlite"

/** A file being written. */
export interface DiskFile {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>
  /** Makes what was written durable; not the file's name. */
  datasync(): Promise<void>
  close(): Promise<void>
}

/** A prepared statement. */
export interface DiskStatement {
  get(...values: SQLInputValue[]): unknown
  all(...values: SQLInputValue[]): unknown[]
  run(...values: SQLInputValue[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
}

/** An SQLite database. */
export interface DiskDatabase {
  exec(sql: string): void
  prepare(sql: string): DiskStatement
  close(): void
}

/** A disk. Errors carry the codes of node:fs and of node:sqlite. No link is followed; what is no file is not read. */
export interface Disk {
  /** Makes a folder and those above it; gives the first that was made. */
  mkdir(path: string): Promise<string | undefined>
  /** Makes a file, which must not be there. */
  create(path: string): Promise<DiskFile>
  /** The bytes of a file. Throws EFBIG for one of more than `mostBytes`. */
  readFile(path: string, mostBytes: number): Promise<Uint8Array>
  /** Some bytes of a file, fewer where it ends. */
  readPart(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Names in a folder: of files, or of folders. */
  readdir(path: string, kind: "files" | "folders"): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  rmdir(path: string): Promise<void>
  /** Makes the names in a folder durable. */
  syncDirectory(path: string): Promise<void>
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>
  /** True when it is sure that only processes of this machine see a folder: they may share memory over its files. */
  isLocal(path: string): Promise<boolean>
  openDatabase(path: string): DiskDatabase
  /** Eight hexadecimal digits by chance. */
  randomName(): string
  /** Runs `work` when what is ready to run has run. */
  schedule(work: () => void): void
  close(): void
}
