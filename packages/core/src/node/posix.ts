/**
 * What Linux can do with a file and Node has no call for, by the C library: extended attributes, and times to the nanosecond. The bridge
 * to it (koffi) is an optional dependency; where it is missing, or the system is another, all of this is missing and whoever needs it
 * says what could not be kept.
 */
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

/** Calls by the names of their manual pages. Each throws PosixError. */
export interface Posix {
  /** Names of the extended attributes of what is at `path`, not followed if it is a symlink. Those that are not UTF-8 are left out. */
  llistxattr(path: string): string[]
  /** The value of one, at most 65,536 bytes. */
  lgetxattr(path: string, name: string): Uint8Array
  /** Sets one of an open file. */
  fsetxattr(file: number, name: string, value: Uint8Array): void
  /** Sets the times of last access and last change of an open file, in nanoseconds since 1970. */
  futimens(file: number, accessedNs: bigint, changedNs: bigint): void
}

/** The most that Linux has for a list of names, and for one value. */
const mostBytes = 65_536
const nanoseconds = 1_000_000_000n

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
  readonly os: { readonly errno: Readonly<Record<string, number>> }
}

function load(): Posix | null {
  try {
    return bind(createRequire(import.meta.url)("koffi") as Koffi)
  } catch {
    return null // not installed, or made for another system
  }
}

function bind({ load, errno, os }: Koffi): Posix {
  const c = load(null)
  const llistxattr = c.func("long llistxattr(const char *path, void *list, size_t size)")
  const lgetxattr = c.func("long lgetxattr(const char *path, const char *name, void *value, size_t size)")
  const fsetxattr = c.func("int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)")
  const futimens = c.func("int futimens(int fd, const void *times)")
  const buffer = Buffer.alloc(mostBytes)
  const checked = (call: string, result: number): number => {
    if (result >= 0) return result
    const number = errno()
    const code = Object.keys(os.errno).find((name) => os.errno[name] === number)
    throw new PosixError(call, code ?? String(number))
  }
  return {
    llistxattr(path) {
      const length = checked("llistxattr", llistxattr(path, buffer, mostBytes))
      if (length === 0) return [] // nearly always
      const names = buffer.toString("utf8", 0, length).split("\0").slice(0, -1)
      return names.filter((name) => !name.includes("\ufffd"))
    },
    lgetxattr(path, name) {
      const length = checked("lgetxattr", lgetxattr(path, name, buffer, mostBytes))
      return new Uint8Array(buffer.subarray(0, length))
    },
    fsetxattr(file, name, value) {
      checked("fsetxattr", fsetxattr(file, name, value, value.length, 0))
    },
    futimens(file, accessedNs, changedNs) {
      const times = [accessedNs, changedNs].flatMap((ns) => {
        const rest = ((ns % nanoseconds) + nanoseconds) % nanoseconds
        return [(ns - rest) / nanoseconds, rest]
      })
      checked("futimens", futimens(file, new BigInt64Array(times)))
    },
  }
}
