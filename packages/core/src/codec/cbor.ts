/**
 * Deterministic CBOR (RFC 8949 section 4.2.1) as Holdfast's formats use it: null, booleans, integers, byte strings,
 * text, arrays and maps with text keys; shortest forms only. What is not canonical does not decode. Own code, since every entry of every
 * directory passes through here: docs/decisions/0033-own-cbor.md.
 */
import { HoldfastError } from "../errors.ts"

/** What our formats are made of. */
export type CborValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly CborValue[]
  | { readonly [key: string]: CborValue }

/** Deepest nesting of arrays and maps; our formats need a third of it. */
const maxDepth = 32
/** Most items (arrays and maps, and all in them) unless the caller knows better: each costs up to a hundred times its byte. */
const usualItems = 65_536
/** Room for so many items of an array is made before they are there. */
const mostAhead = 1024

/** Major types of RFC 8949 section 3.1. */
const type = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5 } as const
/** Heads of major type 7. */
const [headFalse, headTrue, headNull] = [0xf4, 0xf5, 0xf6]
/** Short texts of ASCII are quicker made by hand. */
const shortText = 48
const two32 = 2 ** 32
const maxUint64 = 2n ** 64n - 1n
const maxSafe = BigInt(Number.MAX_SAFE_INTEGER)

/** There is nothing in it to be changed: one serves all. */
const nothing = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The one encoding of `value`. Throws TypeError for what our formats do not have: fractions, broken text, deep nesting. */
export function encodeCbor(value: CborValue): Uint8Array {
  const bytes = new Uint8Array(sizeOf(value, 0))
  new Writer(bytes).value(value)
  return bytes
}

/** What a value may cost. */
export interface CborBounds {
  /** Most items: arrays, maps, their keys, and all that is in them. Default 65,536. */
  readonly maxItems?: number
}

/**
 * The value that `bytes` encode; `what` names them in the error. Byte strings in it are copies, which keep nothing else in memory. Throws
 * ERR_BAD_FORMAT unless they are its one encoding, and ERR_LIMIT, before memory is taken for them, for more items or levels than are
 * allowed.
 */
export function decodeCbor(bytes: Uint8Array, what: string, { maxItems = usualItems }: CborBounds = {}): CborValue {
  const reader = new Reader(bytes, what, maxItems)
  const value = reader.value(0)
  reader.end()
  return value
}

/** Bytes of the encoding of a value. Throws TypeError for one that our formats do not have. */
function sizeOf(value: CborValue, depth: number): number {
  if (depth > maxDepth) throw new TypeError(`more than ${maxDepth} levels`)
  if (typeof value === "number") return headSize(argumentOf(value))
  if (typeof value === "bigint") return headSize(argumentOfBig(value))
  if (typeof value === "string") return withHead(utf8Size(value))
  if (value === null || typeof value === "boolean") return 1
  if (value instanceof Uint8Array) return withHead(value.length)
  if (typeof value !== "object") throw new TypeError("a value that none of our formats has")
  let size = 0
  if (isList(value)) {
    for (let i = 0; i < value.length; i++) size += sizeOf(value[i]!, depth + 1)
    return headSize(value.length) + size
  }
  const keys = Object.keys(value)
  for (const key of keys) size += withHead(utf8Size(key)) + sizeOf(value[key]!, depth + 1)
  return headSize(keys.length) + size
}

function withHead(length: number): number {
  return headSize(length) + length
}

function headSize(argument: number | bigint): number {
  if (typeof argument === "bigint") return 9
  return argument < 24 ? 1 : argument <= 0xff ? 2 : argument <= 0xffff ? 3 : argument <= 0xffffffff ? 5 : 9
}

/** What the head of an integer says. */
function argumentOf(value: number): number {
  if (!Number.isSafeInteger(value)) throw new TypeError("a number that is no integer")
  return value >= 0 ? value : -1 - value
}

/** The same; a bigint where a number cannot hold it. */
function argumentOfBig(value: bigint): number | bigint {
  const argument = value >= 0n ? value : -1n - value
  if (argument <= maxSafe) return Number(argument)
  if (argument > maxUint64) throw new TypeError("an integer of more than 64 bits")
  return argument
}

function utf8Size(text: string): number {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) size += code < 0x800 || (code & 0xf800) === 0xd800 ? 1 : 2 // each half of a pair takes two bytes
  }
  if (size > text.length && !text.isWellFormed()) throw new TypeError("text that is not Unicode")
  return size
}

function isList(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value)
}

/** The low bits of a head by its size, from two bytes on. */
const infoOfSize: Readonly<Record<number, number>> = { 2: 24, 3: 25, 5: 26, 9: 27 }

/** Writes values whose size is known, and that were checked when it was found out. */
class Writer {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }

  value(value: CborValue): void {
    if (typeof value === "number") this.#head(value < 0 ? type.negative : type.unsigned, argumentOf(value))
    else if (typeof value === "bigint") this.#head(value < 0n ? type.negative : type.unsigned, argumentOfBig(value))
    else if (typeof value === "string") this.#text(value)
    else if (value === null) this.#bytes[this.#at++] = headNull
    else if (typeof value === "boolean") this.#bytes[this.#at++] = value ? headTrue : headFalse
    else if (value instanceof Uint8Array) {
      this.#head(type.bytes, value.length)
      this.#bytes.set(value, this.#at)
      this.#at += value.length
    } else if (isList(value)) {
      this.#head(type.array, value.length)
      for (let i = 0; i < value.length; i++) this.value(value[i]!)
    } else this.#map(value)
  }

  #map(value: { readonly [key: string]: CborValue }): void {
    const keys = Object.keys(value).map((key) => ({ key, bytes: encoder.encode(key) }))
    this.#head(type.map, keys.length)
    for (const { key } of keys.sort((a, b) => compareKeys(a.bytes, b.bytes))) {
      this.#text(key)
      this.value(value[key]!)
    }
  }

  #text(text: string): void {
    const size = utf8Size(text)
    this.#head(type.text, size)
    if (size === text.length && size <= shortText)
      for (let i = 0; i < size; i++) this.#bytes[this.#at + i] = text.charCodeAt(i)
    else encoder.encodeInto(text, this.#bytes.subarray(this.#at))
    this.#at += size
  }

  #head(major: number, argument: number | bigint): void {
    const at = this.#at
    const size = headSize(argument)
    this.#at += size
    if (typeof argument === "bigint") this.#view.setBigUint64(at + 1, argument)
    else if (size === 1) this.#bytes[at] = argument
    else if (size === 2) this.#bytes[at + 1] = argument
    else if (size === 3) this.#view.setUint16(at + 1, argument)
    else if (size === 5) this.#view.setUint32(at + 1, argument)
    else {
      this.#view.setUint32(at + 1, Math.floor(argument / two32))
      this.#view.setUint32(at + 5, argument % two32)
    }
    this.#bytes[at] = (major << 5) | (size === 1 ? Number(argument) : infoOfSize[size]!)
  }
}

/** Reads values in canonical form; throws at the first byte that no encoder of ours writes there. */
class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  readonly #maxItems: number
  #itemsLeft: number
  #at = 0

  constructor(bytes: Uint8Array, what: string, maxItems: number) {
    // A plain one: parts of a Buffer are slow to make, and would not be copies.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#what = what
    this.#maxItems = maxItems
    this.#itemsLeft = maxItems
  }

  value(depth: number): CborValue {
    if (depth > maxDepth) throw this.#tooMuch(`more than ${maxDepth} levels`)
    if (--this.#itemsLeft < 0) throw this.#tooManyItems()
    const head = this.#byte()
    switch (head >> 5) {
      case type.unsigned:
        return this.#argument(head)
      case type.negative:
        return negative(this.#argument(head))
      case type.bytes:
        return this.#copy(this.#argument(head))
      case type.text:
        return this.#text(head)
      case type.array:
        return this.#array(head, depth)
      case type.map:
        return this.#map(head, depth)
    }
    if (head === headNull) return null
    if (head === headFalse || head === headTrue) return head === headTrue
    throw this.#malformed()
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.#malformed()
  }

  #array(head: number, depth: number): CborValue[] {
    const length = this.#count(head, 1)
    const items = new Array<CborValue>(Math.min(length, mostAhead)) // which does not grow in steps
    for (let i = 0; i < length; i++) items[i] = this.value(depth + 1)
    return items
  }

  #map(head: number, depth: number): CborValue {
    const length = this.#count(head, 2)
    const entries: [string, CborValue][] = []
    let last: Uint8Array | undefined
    for (let i = 0; i < length; i++) {
      if (--this.#itemsLeft < 0) throw this.#tooManyItems()
      const keyHead = this.#byte()
      if (keyHead >> 5 !== type.text) throw this.#malformed()
      const start = this.#at
      const key = this.#text(keyHead)
      const bytes = this.#bytes.subarray(start + headBytes(keyHead), this.#at)
      if (last && compareKeys(last, bytes) >= 0) throw this.#notCanonical()
      last = bytes
      entries.push([key, this.value(depth + 1)])
    }
    return Object.fromEntries(entries) // which makes a property of a key such as "__proto__" too
  }

  /** How many items an array or a map has, of `each` values; each takes a byte at least. */
  #count(head: number, each: number): number {
    const length = Number(this.#argument(head))
    if (length * each > this.#itemsLeft) throw this.#tooManyItems()
    if (length * each > this.#bytes.length - this.#at) throw this.#malformed()
    return length
  }

  #text(head: number): string {
    const start = this.#skip(this.#argument(head))
    const end = this.#at
    if (end - start <= shortText) {
      const text = this.#ascii(start, end)
      if (text !== undefined) return text
    }
    try {
      return decoder.decode(this.#bytes.subarray(start, end))
    } catch (cause) {
      throw this.#malformed(cause)
    }
  }

  /** The text between, when it is ASCII. Four letters at a time: each step makes a text that nobody keeps. */
  #ascii(start: number, end: number): string | undefined {
    const bytes = this.#bytes
    let all = 0
    for (let i = start; i < end; i++) all |= bytes[i]!
    if (all > 0x7f) return undefined
    let text = ""
    let i = start
    for (; i + 4 <= end; i += 4) text += String.fromCharCode(bytes[i]!, bytes[i + 1]!, bytes[i + 2]!, bytes[i + 3]!)
    for (; i < end; i++) text += String.fromCharCode(bytes[i]!)
    return text
  }

  /** The argument of a head that was read: a bigint where a number cannot hold it. */
  #argument(head: number): number | bigint {
    const info = head & 31
    if (info < 24) return info
    const at = this.#at
    this.#skip(headBytes(head))
    switch (info) {
      case 24:
        return this.#atLeast(24, this.#bytes[at]!)
      case 25:
        return this.#atLeast(0x100, this.#view.getUint16(at))
      case 26:
        return this.#atLeast(0x10000, this.#view.getUint32(at))
      case 27: {
        const high = this.#atLeast(1, this.#view.getUint32(at))
        if (high > 0x1fffff) return this.#view.getBigUint64(at)
        return high * two32 + this.#view.getUint32(at + 4)
      }
    }
    throw this.#malformed() // of no length, or of none that there is
  }

  #atLeast(least: number, argument: number): number {
    if (argument < least) throw this.#notCanonical()
    return argument
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw this.#malformed()
    return this.#bytes[this.#at++]!
  }

  /** Goes beyond so many bytes, which are there; gives where they begin. */
  #skip(length: number | bigint): number {
    if (length > this.#bytes.length - this.#at) throw this.#malformed()
    const start = this.#at
    this.#at += Number(length)
    return start
  }

  #copy(length: number | bigint): Uint8Array {
    const start = this.#skip(length)
    return start === this.#at ? nothing : this.#bytes.slice(start, this.#at)
  }

  #tooManyItems(): HoldfastError {
    return this.#tooMuch(`more than ${this.#maxItems} items`)
  }

  #tooMuch(why: string): HoldfastError {
    return new HoldfastError("ERR_LIMIT", `${this.#what} is refused: it has ${why}.`, { what: this.#what })
  }

  #malformed(cause?: unknown): HoldfastError {
    const what = this.#what
    return new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: it is not valid CBOR.`, { what }, { cause })
  }

  #notCanonical(): HoldfastError {
    const what = this.#what
    return new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: it is not in canonical form.`, { what })
  }
}

/** Bytes of a head's argument. */
function headBytes(head: number): number {
  const info = head & 31
  return info < 24 || info > 27 ? 0 : 1 << (info - 24)
}

function negative(argument: number | bigint): number | bigint {
  return typeof argument === "number" && argument < Number.MAX_SAFE_INTEGER ? -1 - argument : -1n - BigInt(argument)
}

/** The order of keys: that of their encoded bytes, of which the length comes first. */
function compareKeys(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return 0
}
