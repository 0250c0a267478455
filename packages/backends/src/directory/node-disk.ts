/**
 * The disk of this machine below one folder, which somebody else may write (a USB stick, a share of the network): every path is
 * looked up from that folder name by name, and no link is followed.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { type FileHandle, open, rename, rmdir, statfs, unlink } from "node:fs/promises"
import { basename, dirname, relative, resolve, sep } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type BufferPool, HoldfastError } from "@holdfast/core"
import {
  checkFile,
  createFlags,
  type DirectFile,
  Folder,
  hasProc,
  isDenied,
  makePrivateFolder,
  openDirect,
  readFlags,
  whoseIs,
} from "@holdfast/core/node"
import type { Disk, DiskDatabase, DiskFile } from "./disk.ts"
import { isLocalFileSystem } from "./file-systems.ts"

/** Folders that are held open though nobody uses them. */
const mostIdle = 64
/** What SQLite keeps beside a database. */
const besides = ["", "-wal", "-shm", "-journal"]

/** A file whose large writes go past the page cache: it is made durable at once, and not read soon. */
function pastCache(file: FileHandle): DiskFile {
  let direct: DirectFile | undefined
  return {
    async write(bytes, offset, length, position) {
      direct ??= openDirect(file.fd)
      const bytesWritten = await direct.write(bytes.subarray(offset, offset + length), position)
      return bytesWritten > 0 ? { bytesWritten } : file.write(bytes, offset, length, position)
    },
    datasync: () => file.datasync(),
    close() {
      direct?.close()
      return file.close()
    },
  }
}

/**
 * Opens a file for `work`. Only what may wait for the disk goes to the thread pool, since the way there costs more than asking an open
 * file for its size, or closing one that was read.
 */
async function reading(path: string, work: (file: number) => Promise<Uint8Array>): Promise<Uint8Array> {
  const file = await new Promise<number>((resolve, reject) => {
    fs.open(path, readFlags, (error, opened) => (error ? reject(error) : resolve(opened)))
  })
  try {
    return await work(file)
  } finally {
    fs.closeSync(file)
  }
}

/** Reads an open file from `offset` into `bytes`; gives what came before it ended. */
function readInto(file: number, bytes: Uint8Array, offset: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const step = (done: number) => {
      if (done === bytes.length) return resolve(bytes)
      fs.read(file, bytes, done, bytes.length - done, offset + done, (error, read) => {
        if (error) reject(error)
        else if (read === 0) resolve(bytes.subarray(0, done))
        else step(done + read)
      })
    }
    step(0)
  })
}

/**
 * The part of this machine's disk below `root`, which is made when it is first needed. Paths begin with `root`. Files are read into
 * arrays of `buffers`, where that is given.
 */
export function createNodeDisk(root: string, buffers?: BufferPool): Disk {
  const folders = new OpenFolders(root)
  return {
    mkdir: async (path) => folders.make(path),
    create: (path) => folders.within(path, async (at) => pastCache(await open(at, createFlags, 0o600))),
    readFile: (path, mostBytes) =>
      folders.within(path, (at) =>
        reading(at, async (file) => {
          const stat = fs.fstatSync(file)
          checkFile(stat, path, mostBytes)
          return readInto(file, buffers?.take(stat.size) ?? new Uint8Array(stat.size), 0)
        }),
      ),
    readPart: (path, offset, length) =>
      folders.within(path, (at) =>
        reading(at, async (file) => {
          checkFile(fs.fstatSync(file), path, Number.POSITIVE_INFINITY)
          return readInto(file, new Uint8Array(length), offset)
        }),
      ),
    readdir: (path, kind) =>
      folders.use(path, async (folder) => {
        const entries = folder.entries().filter((entry) => (kind === "files" ? entry.isFile() : entry.isDirectory()))
        return entries.map(({ name }) => name)
      }),
    rename: (from, to) => folders.within(from, (fromAt) => folders.within(to, (toAt) => rename(fromAt, toAt))),
    unlink: (path) => folders.within(path, unlink),
    rmdir: (path) => folders.within(path, rmdir),
    syncDirectory: (path) => folders.sync(path),
    async space(path) {
      const { bavail, blocks, bsize } = await statfs(path)
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
    },
    isLocal: async (path) => isLocalFileSystem((await statfs(path)).type),
    openDatabase: (path) => openDatabase(path),
    randomName: () => randomBytes(4).toString("hex"),
    schedule: (work) => void setImmediate(work),
    close: () => folders.close(),
  }
}

interface Held {
  readonly folder: Folder
  users: number
}

/** Folders below a root, held open while they are used and some time longer. */
class OpenFolders {
  readonly #root: string
  /** By path, those used last at the end. */
  readonly #held = new Map<string, Held>()

  constructor(root: string) {
    this.#root = resolve(root)
  }

  /** Makes a folder and those above it, without following links below the root; gives the first that was made. */
  make(path: string): string | undefined {
    let first = makePrivateFolder(this.#root)
    const made = this.#open(path, (above, name) => {
      if (above.makeFolder(name)) first ??= `${above.path}/${name}`
    })
    made.close()
    return first
  }

  /** Gives `work` the path of a file through its open folder. */
  within<T>(path: string, work: (at: string) => Promise<T>): Promise<T> {
    return this.use(dirname(path), (folder) => work(folder.at(basename(path))))
  }

  async use<T>(path: string, work: (folder: Folder) => Promise<T>): Promise<T> {
    const isHeld = this.#held.has(path)
    try {
      return await this.#with(path, work)
    } catch (error) {
      if (!isHeld || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error
      this.#forget(path) // it may be another folder by now
      return this.#with(path, work)
    }
  }

  /** Makes the names in a folder durable: one below the root, or the root, or one above it in which the root was made. */
  async sync(path: string): Promise<void> {
    if (resolve(path).startsWith(`${this.#root}${sep}`)) return this.use(path, syncFolder)
    const above = Folder.open(path)
    await syncFolder(above).finally(() => above.close())
  }

  close(): void {
    for (const path of [...this.#held.keys()]) this.#forget(path)
  }

  async #with<T>(path: string, work: (folder: Folder) => Promise<T>): Promise<T> {
    let held = this.#held.get(path)
    held ??= { folder: this.#open(path), users: 0 }
    this.#held.delete(path)
    this.#held.set(path, held)
    held.users++
    try {
      return await work(held.folder)
    } finally {
      held.users--
      if (this.#held.get(path) !== held && held.users === 0) held.folder.close()
      this.#closeIdle()
    }
  }

  /** Goes down from the root to a folder; `before` is called before each step. */
  #open(path: string, before: (above: Folder, name: string) => void = () => undefined): Folder {
    let folder = Folder.open(this.#root)
    for (const name of this.#names(path))
      try {
        before(folder, name)
        const next = folder.folder(name)
        folder.close()
        folder = next
      } catch (error) {
        const shown = `${folder.path}/${name}`
        folder.close()
        throw isNoFolder(error) ? noFolder(shown) : error
      }
    return folder
  }

  /** A folder in use is closed by who uses it last: its number must not come to mean another one before. */
  #forget(path: string): void {
    const held = this.#held.get(path)
    this.#held.delete(path)
    if (held?.users === 0) held.folder.close()
  }

  #closeIdle(): void {
    if (this.#held.size <= mostIdle) return
    const idle = [...this.#held].find(([, { users }]) => users === 0)
    if (idle) this.#forget(idle[0])
  }

  #names(path: string): string[] {
    const below = relative(this.#root, path)
    return below === "" ? [] : below.split(sep)
  }
}

/** In the thread pool. */
function syncFolder({ fd }: Folder): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(fd, (error) => (error ? reject(error) : resolve()))
  })
}

function isNoFolder(error: unknown): boolean {
  return ["ENOTDIR", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")
}

function noFolder(path: string): HoldfastError {
  return new HoldfastError(
    "ERR_CORRUPT",
    `${path} is a link or a file where a folder of ours should be: it is not used.`,
    {
      path,
    },
  )
}

/**
 * Nothing but the database itself is opened: neither it nor what lies beside it may be a link or anything but a file. SQLite opens
 * by path; so what it opened is compared with what lies there before anything is read or written.
 */
function openDatabase(path: string): DiskDatabase {
  for (const suffix of besides) if (plainFile(`${path}${suffix}`)) requireOurs(`${path}${suffix}`)
  const database = new DatabaseSync(path, { allowExtension: false })
  try {
    const stat = plainFile(path)
    if (!stat || !isOpen(stat)) throw noDatabase(path)
    database.enableDefensive(true)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** What SQLite says of a file that this user may not change helps nobody. */
function requireOurs(path: string): void {
  try {
    fs.accessSync(path, fs.constants.R_OK | fs.constants.W_OK)
  } catch (cause) {
    if (!isDenied(cause)) throw cause
    const whose = whoseIs(path) ?? `${path} may not be read and written by you: chmod u+rw it.`
    throw new HoldfastError("ERR_IO", `The directory cannot be used: ${whose}`, { path }, { cause })
  }
}

function plainFile(path: string): fs.Stats | undefined {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  if (stat && !stat.isFile()) throw noDatabase(path)
  return stat
}

/** True when this process has that very file open, or cannot tell. */
function isOpen({ dev, ino }: fs.Stats): boolean {
  const listed = "/proc/self/fd"
  if (!hasProc) return true
  return fs.readdirSync(listed).some((number) => {
    const stat = fs.statSync(`${listed}/${number}`, { throwIfNoEntry: false })
    return stat?.dev === dev && stat.ino === ino
  })
}

function noDatabase(path: string): HoldfastError {
  return new HoldfastError("ERR_CORRUPT", `${path} is no plain file, so nothing of this directory is used.`, { path })
}
