/**
 * A simulated disk: files and folders whose content and names each need a synchronisation to survive a crash, SQLite
 * databases, and the ways in which disks fail: full, slow, rotten, or cut off between any two operations.
 */
import { posix } from "node:path"
import type { Disk, DiskFile } from "@holdfast/backends/directory"
import { StoredDatabase } from "./database.ts"
import type { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"

/** A process that uses the disk. Once dead, none of its operations has an effect or comes back. */
export interface Process {
  readonly isDead: boolean
  /** Called before and after the effect of each operation; the process may die of it. */
  step(): void
}

/** A file. */
export interface StoredFile {
  readonly kind: "file"
  bytes: Uint8Array
  /** What a crash leaves for sure. */
  durable: Uint8Array
  /** Reading it fails. */
  isUnreadable?: boolean
  /** Writes since it was synchronised. */
  unsynced: { readonly position: number; readonly bytes: Uint8Array }[]
}

/** A folder and what of it is durable. */
export interface Folder {
  readonly kind: "folder"
  names: Map<string, StoredFile | Folder>
  durable: Map<string, StoredFile | Folder>
}

/** Thrown by databases, whose calls cannot wait for ever, in a process that is dead. */
export class DeadProcess extends Error {}

/** What lay on a disk at some time. */
export interface DiskCopy {
  readonly root: Folder
  readonly databases: ReadonlyMap<string, StoredDatabase>
}

const capacityBytes = 2 ** 40

/** One machine's disk. It outlives the processes that use it. */
export class SimulatedDisk {
  readonly #time: SimulatedTime
  readonly #random: Random
  #root = newFolder()
  readonly #databases = new Map<string, StoredDatabase>()
  /** Every write fails. */
  isFull = false
  /** Typical duration of an operation. */
  operationMs = 0.2
  operations = 0

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time
    this.#random = random
  }

  /** The disk as `process` sees it. */
  attach(process: Process): Disk {
    const run = <T>(work: () => T) => this.#operation(process, work)
    return {
      mkdir: (path) => run(() => this.#mkdir(path)),
      create: (path) => run(() => this.#create(process, path)),
      readFile: (path) =>
        run(() => {
          const file = this.#file(path)
          if (file.isUnreadable) throw failure("EIO", path)
          return file.bytes.slice()
        }),
      readPart: (path, offset, length) =>
        run(() => {
          const file = this.#file(path)
          if (file.isUnreadable) throw failure("EIO", path)
          return file.bytes.slice(offset, offset + length)
        }),
      readdir: (path, kind) =>
        run(() => {
          const names = [...this.#folder(path).names].filter(
            ([, node]) => (node.kind === "file") === (kind === "files"),
          )
          return names.map(([name]) => name).sort()
        }),
      rename: (from, to) => run(() => this.#rename(from, to)),
      unlink: (path) => run(() => this.#remove(path, "file")),
      rmdir: (path) => run(() => this.#remove(path, "folder")),
      syncDirectory: (path) =>
        run(() => {
          const folder = this.#folder(path)
          folder.durable = new Map(folder.names)
        }),
      space: () => run(() => ({ freeBytes: this.isFull ? 0 : capacityBytes, totalBytes: capacityBytes })),
      isLocal: async () => true,
      openDatabase: (path) => this.#openDatabase(process, path),
      randomName: () => this.#random.bits().toString(16).padStart(8, "0"),
      schedule: (work) => {
        this.#time.after(this.#random.delayMs(this.operationMs), () => {
          if (!process.isDead) work()
        })
      },
      close: () => undefined,
    }
  }

  /** The database at `path`, if it was ever made. */
  database(path: string): StoredDatabase | undefined {
    return this.#databases.get(path)
  }

  /** The bytes of the file at `path` as they are now; undefined when it is not there. */
  peek(path: string): Uint8Array | undefined {
    const node = this.#find(path)
    return node?.kind === "file" && !node.isUnreadable ? node.bytes : undefined
  }

  /** Power is cut: of what was not synchronised each piece is lost, torn or kept, by chance. */
  crash(): void {
    for (const database of this.#databases.values()) database.crash()
    this.#crashFolder(this.#root)
  }

  /** A copy of all that is there now. */
  copy(): DiskCopy {
    const databases = [...this.#databases].map(([path, database]) => [path, database.copy()] as const)
    return { root: copyOfFolder(this.#root), databases: new Map(databases) }
  }

  /** All is as it was when `copy` was made. */
  restore({ root, databases }: DiskCopy): void {
    this.erase()
    this.#root = copyOfFolder(root)
    for (const [path, database] of databases) this.#databases.set(path, database.copy())
  }

  /** All is gone, as with a new disk. */
  erase(): void {
    this.#root = newFolder()
    this.#databases.clear()
  }

  /** All files in `folder` and below. */
  files(folder = "/"): StoredFile[] {
    const node = this.#find(folder)
    return node?.kind === "folder" ? [...this.#filesBelow(node)] : []
  }

  /** A folder of somebody else's with a file in it, which no crash and no full disk can touch. */
  putOutside(folder: string, name: string, bytes: Uint8Array): void {
    const file: StoredFile = { kind: "file", bytes, durable: bytes, unsynced: [] }
    const node: Folder = { kind: "folder", names: new Map([[name, file]]), durable: new Map([[name, file]]) }
    for (const names of [this.#root.names, this.#root.durable]) names.set(folder, node)
  }

  /** Flips a bit of some file below `folder`, or makes it unreadable; false when there is none. */
  rotFile(folder: string): boolean {
    const files = this.files(folder).filter(({ bytes }) => bytes.length > 0)
    if (files.length === 0) return false
    const file = this.#random.pick(files)
    if (this.#random.chance(0.3)) file.isUnreadable = true
    file.bytes = file.bytes.slice()
    file.bytes[this.#random.between(0, file.bytes.length - 1)]! ^= 1 << this.#random.between(0, 7)
    file.durable = file.bytes
    return true
  }

  async #operation<T>(process: Process, work: () => T): Promise<T> {
    this.operations++
    await this.#time.sleep(this.#random.delayMs(this.operationMs))
    if (process.isDead) return never()
    process.step()
    if (process.isDead) return never()
    const result = work()
    process.step()
    return process.isDead ? never() : result
  }

  #openDatabase(process: Process, path: string) {
    let database = this.#databases.get(path)
    if (!database) {
      database = new StoredDatabase(this.#random.fork(path))
      this.#databases.set(path, database)
    }
    const check = () => {
      if (process.isDead) throw new DeadProcess()
    }
    const step = () => {
      this.operations++
      process.step()
      check()
    }
    return database.open({
      check,
      beforeCommit: () => {
        step()
        if (this.isFull) throw Object.assign(new Error("database or disk is full"), { errcode: 13 })
      },
      afterCommit: step,
    })
  }

  #mkdir(path: string): string | undefined {
    let folder = this.#root
    let made: string | undefined
    let at = ""
    for (const name of namesOf(path)) {
      at += `/${name}`
      let below = folder.names.get(name)
      if (!below) {
        if (this.isFull) throw failure("ENOSPC", at)
        below = newFolder()
        folder.names.set(name, below)
        made ??= at
      }
      if (below.kind !== "folder") throw failure("ENOTDIR", at)
      folder = below
    }
    return made
  }

  #create(process: Process, path: string): DiskFile {
    const folder = this.#folder(posix.dirname(path))
    if (folder.names.has(posix.basename(path))) throw failure("EEXIST", path)
    if (this.isFull) throw failure("ENOSPC", path)
    const file: StoredFile = { kind: "file", bytes: new Uint8Array(), durable: new Uint8Array(), unsynced: [] }
    folder.names.set(posix.basename(path), file)
    return {
      write: (bytes, offset, length, position) => {
        const piece = bytes.slice(offset, offset + Math.min(length, this.#random.between(1, 100_000)))
        return this.#operation(process, () => {
          if (this.isFull) throw failure("ENOSPC", path)
          file.bytes = patched(file.bytes, position, piece)
          file.unsynced.push({ position, bytes: piece })
          return { bytesWritten: piece.length }
        })
      },
      datasync: () =>
        this.#operation(process, () => {
          file.durable = file.bytes
          file.unsynced = []
        }),
      close: () => this.#operation(process, () => undefined),
    }
  }

  #rename(from: string, to: string): void {
    const source = this.#folder(posix.dirname(from))
    const node = source.names.get(posix.basename(from))
    if (!node) throw failure("ENOENT", from)
    this.#folder(posix.dirname(to)).names.set(posix.basename(to), node)
    source.names.delete(posix.basename(from))
  }

  #remove(path: string, kind: "file" | "folder"): void {
    const folder = this.#folder(posix.dirname(path))
    const node = folder.names.get(posix.basename(path))
    if (!node) throw failure("ENOENT", path)
    if (node.kind !== kind) throw failure(kind === "file" ? "EISDIR" : "ENOTDIR", path)
    if (node.kind === "folder" && node.names.size > 0) throw failure("ENOTEMPTY", path)
    folder.names.delete(posix.basename(path))
  }

  #find(path: string): StoredFile | Folder | undefined {
    let node: StoredFile | Folder | undefined = this.#root
    for (const name of namesOf(path)) node = node?.kind === "folder" ? node.names.get(name) : undefined
    return node
  }

  #folder(path: string): Folder {
    const node = this.#find(path)
    if (node?.kind !== "folder") throw failure(node ? "ENOTDIR" : "ENOENT", path)
    return node
  }

  #file(path: string): StoredFile {
    const node = this.#find(path)
    if (node?.kind !== "file") throw failure(node ? "EISDIR" : "ENOENT", path)
    return node
  }

  #crashFolder(folder: Folder): void {
    const survivors = new Map<string, StoredFile | Folder>()
    for (const name of new Set([...folder.durable.keys(), ...folder.names.keys()])) {
      const [now, durable] = [folder.names.get(name), folder.durable.get(name)]
      const node = now === durable || this.#random.chance(0.5) ? now : durable
      if (node) survivors.set(name, node)
    }
    folder.names = survivors
    folder.durable = new Map(survivors)
    for (const node of survivors.values()) {
      if (node.kind === "folder") this.#crashFolder(node)
      else this.#crashFile(node)
    }
  }

  #crashFile(file: StoredFile): void {
    let bytes = file.durable
    for (const write of file.unsynced) {
      const fate = this.#random.pick(["lost", "torn", "kept"] as const)
      const kept = fate === "torn" ? this.#random.between(0, write.bytes.length) : write.bytes.length
      if (fate !== "lost") bytes = patched(bytes, write.position, write.bytes.subarray(0, kept))
    }
    file.bytes = bytes
    file.durable = bytes
    file.unsynced = []
  }

  *#filesBelow(folder: Folder): Generator<StoredFile> {
    for (const node of folder.names.values())
      if (node.kind === "file") yield node
      else yield* this.#filesBelow(node)
  }
}

function newFolder(): Folder {
  return { kind: "folder", names: new Map(), durable: new Map() }
}

function copyOfFolder({ names }: Folder): Folder {
  const copies = [...names].map(([name, node]): [string, StoredFile | Folder] => [
    name,
    node.kind === "folder" ? copyOfFolder(node) : { ...node, durable: node.bytes, unsynced: [] },
  ])
  return { kind: "folder", names: new Map(copies), durable: new Map(copies) }
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "")
}

/** What was never written between two writes reads as zeros. */
function patched(bytes: Uint8Array, position: number, piece: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.max(bytes.length, position + piece.length))
  result.set(bytes)
  result.set(piece, position)
  return result
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}
