/**
 * Names in a directory: well-formed text of 1 to 255 UTF-8 bytes without "/" and NUL, not "." or "..". They are
 * ordered by their UTF-8 bytes, and their normalisation is left alone. Specification: docs/formats/tree.md.
 */
import { HoldfastError, limits, utf8 } from "@holdfast/core"

/** Why `name` cannot be a name in a directory; undefined when it can. */
export function nameProblem(name: string): string | undefined {
  if (name.length === 0) return "it is empty"
  if (name === "." || name === "..") return 'it is "." or ".."'
  if (name.includes("/")) return 'it contains "/"'
  if (name.includes("\0")) return "it contains a zero byte"
  if (!name.isWellFormed()) return "it is not valid Unicode"
  if (name.length * 3 > limits.nameBytes && utf8(name).length > limits.nameBytes)
    return `it is longer than ${limits.nameBytes} bytes`
  return undefined
}

/** Throws ERR_INVALID_NAME unless `name` can stand in a directory. */
export function checkName(name: string): void {
  const problem = nameProblem(name)
  if (problem)
    throw new HoldfastError("ERR_INVALID_NAME", `The name ${JSON.stringify(name)} cannot be stored: ${problem}.`, {
      name,
    })
}

/** Order of two names by their UTF-8 bytes: negative, 0 or positive. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return utf8Rank(x) - utf8Rank(y)
  }
  return a.length - b.length
}

/** UTF-16 code units in the order of UTF-8: surrogates stand for what comes after U+FFFF. */
function utf8Rank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

/** Bytes of `name` in UTF-8, without making them. */
export function nameBytes(name: string): number {
  let bytes = 0
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i)
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit >= 0xd800 && unit < 0xe000) bytes += 2
    else bytes += 3
  }
  return bytes
}

/** FNV-1a of the level as one byte and the name's UTF-8 bytes, finished as in MurmurHash3: an unsigned 32-bit number. */
export function nameHash(level: number, name: string): number {
  let hash = Math.imul(0x811c9dc5 ^ level, 0x01000193)
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i)
    if (unit >= 0x80) return finish(nonAsciiHash(level, name))
    hash = Math.imul(hash ^ unit, 0x01000193)
  }
  return finish(hash)
}

function nonAsciiHash(level: number, name: string): number {
  let hash = Math.imul(0x811c9dc5 ^ level, 0x01000193)
  for (const byte of utf8(name)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
