/** Fields of what is encoded as a CBOR array, read one by one. */
import { HoldfastError } from "../errors.ts"
import type { CborValue } from "./cbor.ts"

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
