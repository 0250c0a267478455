/**
 * Folders that somebody else may write. A folder is held open, and what is named in it is looked up through the open folder
 * (`openat`, which Node lacks, by way of /proc/self/fd): so neither a symlink in its path nor one that is put there meanwhile leads
 * elsewhere. Where /proc is missing each step is looked at first, which a race can still win.
 */
import * as fs from "node:fs"
import { assert } from "../errors.ts"

const { O_DIRECTORY = 0, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = fs.constants

/** Opens a file, a link too, without what is in it: Linux, on all that Node runs on. */
const O_PATH = 0o10000000

/** Opens a file for reading: no link is followed, and a FIFO does not wait for a writer. */
export const readFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
/** Makes a file for writing, which must not be there. */
export const createFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW

/** True where open files can be reached, and told, by their numbers in /proc/self/fd. */
export const hasProc = process.platform === "linux" && fs.existsSync("/proc/self/fd")

/** A folder held open. Methods throw what node:fs throws; names are single names. */
export class Folder {
  /** The open folder, for fsync, fchmod and futimes. */
  readonly fd: number
  /** How it was reached, for messages. */
  readonly path: string

  private constructor(fd: number, path: string) {
    this.fd = fd
    this.path = path
  }

  /** Opens the folder at `path`, whose links are followed: it is the user's word. */
  static open(path: string): Folder {
    return new Folder(fs.openSync(path, O_RDONLY | O_DIRECTORY), path)
  }

  /** Where `name` in this folder is reached; for this process alone, while the folder is open. */
  at(name: string): string {
    assert(isSingleName(name), "a single name")
    return hasProc ? `/proc/self/fd/${this.fd}/${name}` : `${this.path}/${name}`
  }

  /** Where the folder itself is reached, as `at` is. */
  get here(): string {
    return hasProc ? `/proc/self/fd/${this.fd}` : this.path
  }

  /** Opens a folder in this one. Throws ENOTDIR or ELOOP for a link, ENOENT. */
  folder(name: string): Folder {
    const at = this.at(name)
    if (!hasProc && !fs.lstatSync(at).isDirectory())
      throw Object.assign(new Error(`ENOTDIR: ${this.path}/${name} is no folder`), { code: "ENOTDIR" })
    return new Folder(fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), `${this.path}/${name}`)
  }

  /** Makes a folder in this one, for its owner alone; false when something of that name is there. */
  makeFolder(name: string): boolean {
    try {
      fs.mkdirSync(this.at(name), { mode: 0o700 })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
      throw error
    }
  }

  /** What `name` is, itself and not what it points to; undefined when it is not there. */
  stat(name: string): fs.Stats | undefined {
    return fs.lstatSync(this.at(name), { throwIfNoEntry: false })
  }

  /** Names in the folder, with what they are. */
  entries(): fs.Dirent[] {
    return fs.readdirSync(this.here, { withFileTypes: true })
  }

  /**
   * The bytes of a regular file of at most `mostBytes`; undefined when it is not there. Throws an error with the code EFBIG for a
   * larger one and EINVAL for what is no file.
   */
  readFile(name: string, mostBytes: number): Uint8Array | undefined {
    let file: number
    try {
      file = fs.openSync(this.at(name), readFlags)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
      throw error
    }
    try {
      const stat = fs.fstatSync(file)
      checkFile(stat, `${this.path}/${name}`, mostBytes)
      const bytes = new Uint8Array(stat.size)
      let done = 0
      for (let read = 1; read > 0 && done < bytes.length; done += read)
        read = fs.readSync(file, bytes, done, bytes.length - done, null)
      return bytes.subarray(0, done)
    } finally {
      fs.closeSync(file)
    }
  }

  /** Makes a file with these bytes, which must not be there, mode 0600; its name is durable after `sync`. */
  writeNew(name: string, bytes: Uint8Array | string): void {
    const file = fs.openSync(this.at(name), createFlags, 0o600)
    try {
      fs.writeFileSync(file, bytes)
      fs.fsyncSync(file)
    } finally {
      fs.closeSync(file)
    }
  }

  /**
   * Gives `work` where the symlink `name` itself is reached, for chown and utimes: held open, so that they reach no other file that is
   * put in its place meanwhile. Throws ELOOP when it is no symlink, or one that lies elsewhere too, by a hard link.
   */
  withLink(name: string, work: (at: string) => void): void {
    const at = this.at(name)
    const link = hasProc ? fs.openSync(at, O_PATH | O_NOFOLLOW) : undefined
    try {
      const stat = link === undefined ? fs.lstatSync(at) : fs.fstatSync(link)
      if (!stat.isSymbolicLink() || stat.nlink > 1)
        throw Object.assign(new Error(`ELOOP: ${this.path}/${name} is another file now`), { code: "ELOOP" })
      work(link === undefined ? at : `/proc/self/fd/${link}`)
    } finally {
      if (link !== undefined) fs.closeSync(link)
    }
  }

  /** Makes names in the folder durable. */
  sync(): void {
    fs.fsyncSync(this.fd)
  }

  close(): void {
    fs.closeSync(this.fd)
  }
}

/** Throws unless `stat` is of a regular file of at most `mostBytes`: codes EINVAL, EFBIG. */
export function checkFile(stat: fs.Stats, path: string, mostBytes: number): void {
  const code = !stat.isFile() ? "EINVAL" : stat.size > mostBytes ? "EFBIG" : undefined
  if (code === undefined) return
  const what = code === "EINVAL" ? "is no file" : `is larger than ${mostBytes} bytes`
  throw Object.assign(new Error(`${code}: ${path} ${what}`), { code })
}

function isSingleName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0")
}
