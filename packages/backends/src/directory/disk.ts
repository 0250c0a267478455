/**
 * What the storage engine asks of the machine below it: files, one database, space, names that nobody used before, and when
 * gathered work is done. A parameter, so that the simulator can put a disk in its place that crashes, fills and rots.
 */
import { randomBytes } from "node:crypto"
import { mkdir, open, readdir, readFile, rename, rmdir, statfs, unlink } from "node:fs/promises"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

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

/** A disk. Errors carry the codes of node:fs and of node:sqlite. */
export interface Disk {
  /** Makes a folder and those above it; gives the first that was made. */
  mkdir(path: string): Promise<string | undefined>
  /** Makes a file, which must not be there. */
  create(path: string): Promise<DiskFile>
  readFile(path: string): Promise<Uint8Array>
  /** Some bytes of a file, fewer where it ends. */
  readPart(path: string, offset: number, length: number): Promise<Uint8Array>
  readdir(path: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  rmdir(path: string): Promise<void>
  /** Makes the names in a folder durable. */
  syncDirectory(path: string): Promise<void>
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>
  openDatabase(path: string): DiskDatabase
  /** Eight hexadecimal digits by chance. */
  randomName(): string
  /** Runs `work` when what is ready to run has run. */
  schedule(work: () => void): void
}

/** The disk of this machine. */
export const nodeDisk: Disk = {
  mkdir: (path) => mkdir(path, { recursive: true, mode: 0o700 }),
  create: (path) => open(path, "wx", 0o600),
  readFile: (path) => readFile(path),
  async readPart(path, offset, length) {
    const file = await open(path, "r")
    try {
      const bytes = new Uint8Array(length)
      let done = 0
      for (let read = 1; read > 0 && done < length; done += read)
        read = (await file.read(bytes, done, length - done, offset + done)).bytesRead
      return bytes.subarray(0, done)
    } finally {
      await file.close()
    }
  },
  readdir: (path) => readdir(path),
  rename,
  unlink,
  rmdir: (path) => rmdir(path),
  async syncDirectory(path) {
    const directory = await open(path, "r")
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
  async space(path) {
    const { bavail, blocks, bsize } = await statfs(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  },
  openDatabase: (path) => new DatabaseSync(path),
  randomName: () => randomBytes(4).toString("hex"),
  schedule: (work) => void setImmediate(work),
}
