/**
 * Large shares in files. A file gets a name that was never used before, is written and synchronised, and counts only
 * once a row of the index names it; so no file is ever seen half-written, and removing one never hits another.
 * Path: shares/<tenant>/<8 random hex digits>/<id>.<index>.<8 random hex digits>. A tenant's new files go to one folder
 * until that is full, so that files written together share the synchronisation of their folder. Somebody else may have written
 * the directory and its index: what has no name of ours is never touched, and no name leads out of here.
 */
import { basename, dirname, join } from "node:path"
import { fromHex, HoldfastError, limits, Semaphore, toHex, utf8 } from "@holdfast/core"
import { isDenied } from "@holdfast/core/node"
import { type ChunkId, isNewerShareHead, newerHeadBytes, shareName } from "@holdfast/protocol"
import type { Disk } from "./disk.ts"

/** Writes at once; more only fill the queue of the thread pool. */
const parallelWrites = 16
const filesPerFolder = 4096

/** A file's name taken apart. */
export interface FileName {
  readonly id: ChunkId
  readonly index: number
}

/** The files of a storage directory. */
export class ShareFiles {
  readonly #disk: Disk
  readonly #dir: string
  readonly #root: string
  readonly #quarantine: string
  readonly #writes = new Semaphore(parallelWrites)
  readonly #made = new Map<string, Promise<void>>()
  /** Where a tenant's next files go, and how many have gone there. */
  readonly #open = new Map<string, { folder: string; count: number }>()
  readonly #syncs = new Map<string, FolderSync>()

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#root = join(dir, "shares")
    this.#dir = dirname(this.#root)
    this.#quarantine = join(dir, "quarantine")
  }

  /** Writes and synchronises a share; its directory still needs `syncDirectories`. Returns the file's name. */
  async write(tenant: string, id: ChunkId, index: number, bytes: Uint8Array): Promise<string> {
    const name = `${this.#folderFor(tenant)}/${shareName(id, index)}.${this.#disk.randomName()}`
    const path = this.#path(tenant, name)
    await this.#makeDirectory(dirname(path))
    await this.#writes.run(() => writeNew(this.#disk, path, bytes))
    return name
  }

  /** Makes the names of files that were written or removed durable. */
  async syncDirectories(tenant: string, names: readonly string[]): Promise<void> {
    const paths = new Set(names.map((name) => dirname(this.#path(tenant, name))))
    await Promise.all([...paths].map((path) => this.#syncFolder(path)))
  }

  /** The bytes of a file; undefined when there is no such file. */
  async read(tenant: string, name: string): Promise<Uint8Array | undefined> {
    return ifThere(this.#disk.readFile(this.#path(tenant, name), limits.shareBytes))
  }

  /** Some bytes of a file; undefined when there is no such file. */
  readPart(tenant: string, name: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return ifThere(this.#disk.readPart(this.#path(tenant, name), offset, length))
  }

  /** True for one that is too large to be read here and begins as a share of a later version does. */
  async isNewer(tenant: string, name: string): Promise<boolean> {
    const head = await this.readPart(tenant, name, 0, newerHeadBytes).catch(() => undefined)
    return head !== undefined && isNewerShareHead(head)
  }

  /** Removes files, durably; those that are gone already, or are not named as ours are, are no error. */
  async remove(tenant: string, given: readonly string[]): Promise<void> {
    const names = given.filter(isFileName)
    if (names.length === 0) return
    const paths = names.map((name) => this.#path(tenant, name))
    await Promise.all(paths.map((path) => this.#writes.run(() => unlinkIfThere(this.#disk, path))))
    const folders = new Set(paths.map((path) => dirname(path)))
    // An index that somebody else wrote may name what never was: then there is no folder either.
    await Promise.all([...folders].map((folder) => this.#syncFolder(folder).catch(ignoreMissing)))
  }

  /** Moves a rotten file aside, or keeps rotten bytes that were not in a file. */
  async quarantine(tenant: string, name: string, bytes?: Uint8Array): Promise<void> {
    const target = join(this.#quarantine, folderOf(tenant), basename(name))
    await this.#makeDirectory(dirname(target))
    if (bytes) await writeNew(this.#disk, `${target}.${this.#disk.randomName()}`, bytes)
    else if (isFileName(name)) await this.#disk.rename(this.#path(tenant, name), target).catch(ignoreMissing)
  }

  /** Tenants that have files. */
  async tenants(): Promise<string[]> {
    return (await this.#names(this.#root, "folders")).flatMap((folder) => tenantOf(folder) ?? [])
  }

  /**
   * The names of a tenant's files, folder by folder, without what is none of ours; removes empty folders. Only before files are written.
   * `onFailure` hears of each folder that cannot be listed: a part of the disk is bad, and the rest must serve all the same.
   */
  async *list(tenant: string, onFailure: (error: unknown) => void): AsyncGenerator<string[]> {
    const folder = join(this.#root, folderOf(tenant))
    const namesIn = (path: string, kind: "files" | "folders") =>
      this.#names(path, kind).catch((error: unknown) => void onFailure(error))
    for (const part of (await namesIn(folder, "folders")) ?? []) {
      if (!partPattern.test(part)) continue
      const files = await namesIn(join(folder, part), "files")
      if (!files) continue
      if (files.length === 0) await this.#disk.rmdir(join(folder, part)).catch(() => undefined) // holds something else
      yield files.map((name) => `${part}/${name}`).filter(isFileName)
    }
  }

  /** Throws ERR_CORRUPT for a name that the index should not hold. */
  #path(tenant: string, name: string): string {
    if (isFileName(name)) return join(this.#root, folderOf(tenant), name)
    throw new HoldfastError("ERR_CORRUPT", "The storage index names a file that is none of ours.", { tenant })
  }

  #folderFor(tenant: string): string {
    let current = this.#open.get(tenant)
    if (!current || current.count >= filesPerFolder) {
      current = { folder: this.#disk.randomName(), count: 0 }
      this.#open.set(tenant, current)
    }
    current.count++
    return current.folder
  }

  #syncFolder(path: string): Promise<void> {
    let sync = this.#syncs.get(path)
    if (!sync) {
      sync = new FolderSync(() => this.#writes.run(() => this.#disk.syncDirectory(path)))
      this.#syncs.set(path, sync)
    }
    return sync.run().finally(() => {
      if (sync.isIdle) this.#syncs.delete(path)
    })
  }

  /** Makes a folder below the directory and those above it, whose names are durable then, whoever made them. */
  #makeDirectory(path: string): Promise<void> {
    let made = this.#made.get(path)
    if (!made) {
      made = this.#makeBelow(dirname(path), path)
      this.#made.set(path, made)
      made.catch(() => this.#made.delete(path))
    }
    return made
  }

  /** Who made it before may have been killed, or failed, before its name was on the disk: so that is not believed but seen to, once. */
  async #makeBelow(above: string, path: string): Promise<void> {
    if (above !== this.#dir) await this.#makeDirectory(above)
    await this.#disk.mkdir(path)
    await this.#syncFolder(above)
  }

  async #names(path: string, kind: "files" | "folders"): Promise<string[]> {
    try {
      return await this.#disk.readdir(path, kind)
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }
}

/** Who asks while a synchronisation is under way waits for the next one, and all who wait share it. */
class FolderSync {
  readonly #sync: () => Promise<void>
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(sync: () => Promise<void>) {
    this.#sync = sync
  }

  get isIdle(): boolean {
    return this.#running === undefined
  }

  run(): Promise<void> {
    if (!this.#running) return this.#start()
    this.#next ??= this.#running.catch(() => undefined).then(() => this.#start())
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = undefined
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}

const partPattern = /^[0-9a-f]{8}$/
const filePattern = /^[0-9a-f]{8}\/([0-9a-f]{64})\.(\d{1,3})\.[0-9a-f]{8}$/

/** True for a name as we give it; it leads nowhere else. */
function isFileName(name: unknown): name is string {
  return typeof name === "string" && filePattern.test(name)
}

/** The chunk id and index in a file's name, one that `list` gave. */
export function parseFileName(name: string): FileName {
  const [, id, index] = filePattern.exec(name)!
  return { id: fromHex(id!), index: Number(index) }
}

/** A tenant's folder: its name with all but lower-case letters, digits, - and _ escaped as in a URL. */
function folderOf(tenant: string): string {
  return Array.from(new TextEncoder().encode(tenant), (byte) => {
    const character = String.fromCharCode(byte)
    return /[a-z0-9_-]/.test(character) ? character : `%${toHex(new Uint8Array([byte]))}`
  }).join("")
}

/** True for what a tenant may be called: 1 to 64 bytes. */
export function isTenantName(name: string): boolean {
  const sizeBytes = utf8(name).length
  return sizeBytes >= 1 && sizeBytes <= 64
}

/** Whose folder it is; undefined when it is none of ours. */
function tenantOf(folder: string): string | undefined {
  try {
    const tenant = decodeURIComponent(folder)
    return folderOf(tenant) === folder && isTenantName(tenant) ? tenant : undefined
  } catch {
    return undefined // not escaped as ours are
  }
}

async function writeNew(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.create(path)
  try {
    for (let done = 0; done < bytes.length; )
      done += (await file.write(bytes, done, bytes.length - done, done)).bytesWritten
    await file.datasync()
  } catch (error) {
    await disk.unlink(path).catch(ignoreMissing)
    throw error
  } finally {
    await file.close()
  }
}

/**
 * Makes a folder and those above it, durably. Of one that is there already the name is made durable, as whoever made it may have been
 * killed before; unless we may not look into the folder above.
 */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  const first = await disk.mkdir(path)
  if (first === undefined) return disk.syncDirectory(dirname(path)).catch(ignoreDenied)
  for (let made = path; ; made = dirname(made)) {
    await disk.syncDirectory(dirname(made))
    if (made === first) return
  }
}

async function unlinkIfThere(disk: Disk, path: string): Promise<void> {
  await disk.unlink(path).catch(ignoreMissing)
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ENOENT"
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error
}

function ignoreDenied(error: unknown): void {
  if (!isDenied(error)) throw error
}

/** True for what reading fails with whatever lies there: too many files are open, memory is short, rights were taken away. */
export function saysNothing(error: unknown): boolean {
  return passing.has((error as { code?: unknown }).code)
}

const passing: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EACCES", "EPERM"])
