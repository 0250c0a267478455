/**
 * Deterministic CBOR (RFC 8949 section 4.2.1) as Holdfast's formats use it: null, booleans, integers, byte strings,
 * text, arrays and maps with text keys; shortest forms only. What is not canonical does not decode.
 */
import { decode, encode, Tokenizer } from "cborg"
import type { DecodeTokenizer } from "cborg/interface"
import { equal, fromUtf8 } from "../bytes.ts"
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

/** The one encoding of `value`. Throws TypeError for what our formats do not have: fractions, broken text, deep nesting. */
export function encodeCbor(value: CborValue): Uint8Array {
  checkValue(value, 0)
  const { buffer, byteOffset, length } = encode(value) // in Node a Buffer, whose slice is no copy
  return new Uint8Array(buffer, byteOffset, length)
}

/** What a value may cost. */
export interface CborBounds {
  /** Most items: arrays, maps, their keys, and all that is in them. Default 65,536. */
  readonly maxItems?: number
}

/**
 * The value that `bytes` encode; `what` names them in the error. Throws ERR_BAD_FORMAT unless they are its one encoding, and
 * ERR_LIMIT, before memory is taken for them, for more items or levels than are allowed.
 */
export function decodeCbor(bytes: Uint8Array, what: string, { maxItems = usualItems }: CborBounds = {}): CborValue {
  const value = decodeAny(bytes, what, maxItems)
  let again: Uint8Array | undefined
  try {
    again = encodeCbor(value)
  } catch {
    // a value that our formats do not have
  }
  if (!again || !equal(again, bytes))
    throw new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: it is not in canonical form.`, { what })
  return value
}

const decodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: true,
  rejectDuplicateMapKeys: true,
}
const textType = 3
/** Bytes of a head by its low five bits from 24 on. */
const headBytes = [2, 3, 5, 9]

const arrayType = 4
const mapType = 5

/**
 * The tokens of `bytes`, as many and as deep as is allowed. cborg's own text decoder takes U+FEFF at the start of a text for a byte
 * order mark and drops it, so that such a name would not come back as it was written.
 */
function boundedTokens(bytes: Uint8Array, what: string, maxItems: number): DecodeTokenizer {
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) // a plain one: slices of a Buffer are slow here
  const tokens = new Tokenizer(data, decodeOptions)
  /** How many items each open array or map still takes. */
  const open: number[] = []
  let items = 0
  const count = (type: number, length: number): void => {
    const isNested = type === arrayType || type === mapType
    if (++items > maxItems) throw tooMuch(what, `more than ${maxItems} items`)
    if (open.length > 0) open[open.length - 1]!--
    if (isNested) {
      const inside = type === mapType ? 2 * length : length
      if (items + inside > maxItems) throw tooMuch(what, `more than ${maxItems} items`)
      open.push(inside)
      if (open.length > maxDepth + 1) throw tooMuch(what, `more than ${maxDepth} levels`)
    }
    while (open.at(-1) === 0) open.pop()
  }
  return {
    pos: () => tokens.pos(),
    done: () => tokens.done(),
    next() {
      const at = tokens.pos()
      const token = tokens.next()
      const first = data[at]!
      const type = first >> 5
      count(type, Number(token.value))
      if (type !== textType) return token
      const start = at + (headBytes[(first & 31) - 24] ?? 1)
      if (data[start] === 0xef && data[start + 1] === 0xbb && data[start + 2] === 0xbf)
        token.value = fromUtf8(data.subarray(start, tokens.pos()))
      return token
    },
  }
}

function tooMuch(what: string, why: string): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `${what} is refused: it has ${why}.`, { what })
}

function decodeAny(bytes: Uint8Array, what: string, maxItems: number): CborValue {
  try {
    return decode(bytes, { ...decodeOptions, tokenizer: boundedTokens(bytes, what, maxItems) }) as CborValue
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: it is not valid CBOR.`, { what }, { cause })
  }
}

function checkValue(value: CborValue, depth: number): void {
  if (depth > maxDepth) throw new TypeError(`more than ${maxDepth} levels`)
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new TypeError("a number that is no integer")
  if (typeof value === "string" && !value.isWellFormed()) throw new TypeError("text that is not Unicode")
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return
  for (const item of Array.isArray(value) ? value : Object.values(value)) checkValue(item, depth + 1)
  if (!Array.isArray(value)) for (const key of Object.keys(value)) checkValue(key, depth)
}

/** Reads the fields of a CBOR array one by one, each with its type checked. Throws ERR_BAD_FORMAT naming `what`. */
export class FieldReader {
  readonly #fields: readonly CborValue[]
  readonly #what: string
  #next = 0

  constructor(value: CborValue | undefined, what: string) {
    if (!Array.isArray(value)) throw badField(what, "a list of fields")
    this.#fields = value
    this.#what = what
  }

  /** Fields not read yet. */
  get remaining(): number {
    return this.#fields.length - this.#next
  }

  /** The next field as it is. */
  any(): CborValue {
    const field = this.#fields[this.#next++]
    if (field === undefined) throw badField(this.#what, `field ${this.#next}`)
    return field
  }

  /** The next field as an integer from `min` to `max`. */
  integer(min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const field = this.any()
    if (typeof field !== "number" || !Number.isSafeInteger(field) || field < min || field > max)
      throw badField(this.#what, `an integer from ${min} to ${max} as field ${this.#next}`)
    return field
  }

  /** The next field as bytes, of exactly `length` when that is given. */
  bytes(length?: number, maxLength = Number.MAX_SAFE_INTEGER): Uint8Array {
    const field = this.any()
    if (!(field instanceof Uint8Array) || (length !== undefined && field.length !== length) || field.length > maxLength)
      throw badField(this.#what, `${length ?? "some"} bytes as field ${this.#next}`)
    return field
  }

  /** The next field as text. */
  text(maxLength = Number.MAX_SAFE_INTEGER): string {
    const field = this.any()
    if (typeof field !== "string" || field.length > maxLength) throw badField(this.#what, `text as field ${this.#next}`)
    return field
  }

  /** The next field as an array. */
  array(maxLength = Number.MAX_SAFE_INTEGER): readonly CborValue[] {
    const field = this.any()
    if (!Array.isArray(field) || field.length > maxLength) throw badField(this.#what, `a list as field ${this.#next}`)
    return field
  }

  /** Throws unless every field was read. */
  end(): void {
    if (this.remaining > 0) throw badField(this.#what, `nothing after field ${this.#next}`)
  }
}

function badField(what: string, expected: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: expected ${expected}.`, { what, expected })
}
