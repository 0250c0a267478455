/**
 * What Linux can do with files and memory and Node has no call for, by the C library: extended attributes, times to the nanosecond, large
 * pages. The bridge to it (koffi) is an optional dependency; where it is missing, or the system is another, all of this is missing and
 * whoever needs it says what could not be kept.
 */
import { isUtf8 } from "node:buffer"
import { createRequire } from "node:module"

/** A call that the system refused, or could not do. */
export class PosixError extends Error {
  override readonly name = "PosixError"
  /** The error's name, as ENOTSUP; its number where that has no name. */
  readonly code: string

  constructor(call: string, code: string) {
    super(`${call}: ${code}`)
    this.code = code
  }
}

/** Whose extended attributes: what is open, what is at a path, or where the link at a path leads. */
export type XattrsOf = number | string | { readonly followed: string }

/** Calls by the names of their manual pages. Each throws PosixError. */
export interface Posix {
  /** Names of extended attributes. Those that are not UTF-8 are not among them, and `others` counts them. */
  listxattr(of: XattrsOf): { readonly names: readonly string[]; readonly others: number }
  /** The value of one, at most 65,536 bytes. */
  getxattr(of: XattrsOf, name: string): Uint8Array
  /** Sets one of an open file. */
  fsetxattr(file: number, name: string, value: Uint8Array): void
  /** Takes one of an open file away; one that is not there is no error. */
  fremovexattr(file: number, name: string): void
  /** Sets the times of last access and last change of an open file, in nanoseconds since 1970. */
  futimens(file: number, accessedNs: bigint, changedNs: bigint): void
  /** Asks for large pages by `madvise`, before memory is touched that has pages of its own. Whether it gets them is the system's to say. */
  adviseLargePages(memory: ArrayBuffer): void
}

/** The most that Linux has for a list of names, and for one value. */
const mostBytes = 65_536
const nanoseconds = 1_000_000_000n
const MADV_HUGEPAGE = 14

let found: Posix | null | undefined

/** The calls; undefined where there are none. */
export function posix(): Posix | undefined {
  found ??= process.platform === "linux" ? load() : null
  return found ?? undefined
}

type Native = (...args: readonly unknown[]) => number

/** What is used of koffi. */
interface Koffi {
  load(library: null): { func(prototype: string): Native }
  errno(): number
  sizeof(type: string): number
  readonly os: { readonly errno: Readonly<Record<string, number>> }
}

function load(): Posix | null {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi
    return koffi.sizeof("long") === 8 ? bind(koffi) : null // elsewhere times have another form
  } catch {
    return null // not installed, or made for another system
  }
}

function bind({ load, errno, os }: Koffi): Posix {
  const c = load(null)
  const call = (letter: "f" | "l" | "") => {
    const of = letter === "f" ? "int fd" : "const char *path"
    return {
      list: c.func(`long ${letter}listxattr(${of}, void *list, size_t size)`),
      get: c.func(`long ${letter}getxattr(${of}, const char *name, void *value, size_t size)`),
    }
  }
  const [open, there, followed] = [call("f"), call("l"), call("")]
  const callsFor = (of: XattrsOf) => {
    if (typeof of === "number") return { ...open, at: of }
    return typeof of === "string" ? { ...there, at: of } : { ...followed, at: of.followed }
  }
  const fsetxattr = c.func("int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)")
  const fremovexattr = c.func("int fremovexattr(int fd, const char *name)")
  const futimens = c.func("int futimens(int fd, const void *times)")
  const madvise = c.func("int madvise(void *addr, size_t length, int advice)")
  const buffer = Buffer.alloc(mostBytes)
  const checked = (call: string, result: number): number => {
    if (result >= 0) return result
    const number = errno()
    const code = Object.keys(os.errno).find((name) => os.errno[name] === number)
    throw new PosixError(call, code ?? String(number))
  }
  return {
    listxattr(of) {
      const { list, at } = callsFor(of)
      const length = checked("listxattr", list(at, buffer, mostBytes))
      if (length === 0) return { names: [], others: 0 } // nearly always
      const bytes = buffer.subarray(0, length - 1)
      const all = bytes.toString("utf8").split("\0")
      if (isUtf8(bytes)) return { names: all, others: 0 }
      // One that holds this character itself is taken for another.
      const names = all.filter((name) => !name.includes("\ufffd"))
      return { names, others: all.length - names.length }
    },
    getxattr(of, name) {
      const { get, at } = callsFor(of)
      const length = checked("getxattr", get(at, name, buffer, mostBytes))
      return new Uint8Array(buffer.subarray(0, length))
    },
    fsetxattr(file, name, value) {
      checked("fsetxattr", fsetxattr(file, name, value, value.length, 0))
    },
    fremovexattr(file, name) {
      const result = fremovexattr(file, name)
      if (result < 0 && errno() !== os.errno["ENODATA"]) checked("fremovexattr", result)
    },
    futimens(file, accessedNs, changedNs) {
      const times = [accessedNs, changedNs].flatMap((ns) => {
        const rest = ((ns % nanoseconds) + nanoseconds) % nanoseconds
        return [(ns - rest) / nanoseconds, rest]
      })
      checked("futimens", futimens(file, new BigInt64Array(times)))
    },
    adviseLargePages(memory) {
      madvise(memory, memory.byteLength, MADV_HUGEPAGE) // a kernel without them refuses, which changes nothing
    },
  }
}
