/**
 * What a whole file may grow to, by what of its content has come: a hostile manifest of a few bytes names petabytes of holes, or one
 * piece a million times. Whoever fills a disk with somebody's file has at least received a part of it.
 */
import { HoldfastError } from "@holdfast/core"
import { cacheKey, type Reference } from "./reference.ts"

/** What may be claimed in any case, and so many times what has come. */
interface Bounds {
  readonly bytes: number
  readonly ratio: number
}

/** Of an empty disk image nearly all is holes, and a file that is written leaves them out. */
const holeBounds: Bounds = { bytes: 2 ** 38, ratio: 4096 }
/** Of parts of chunks that came before in the same file, in whatever pieces: hardly any file that somebody wrote has some. */
const repeatedBounds: Bounds = { bytes: 2 ** 26, ratio: 100 }
/** Each costs at least as much time as so many bytes. */
const leastRepeatedBytes = 2 ** 14
/** Chunks that are told apart; of more each counts as new. */
const mostKnown = 2 ** 18

/** Counts what a file is made of, in order, and stops it when that is out of proportion. */
export class FileClaims {
  /** Of each chunk, how far it was referred to, and bytes that it has given. */
  readonly #known = new Map<string, { end: number; given: number }>()
  #newBytes = 0
  #repeatedBytes = 0
  #holeBytes = 0

  /** The next piece, or a hole. Throws ERR_LIMIT. */
  add(bytes: number, reference: Reference | null): void {
    if (!reference) this.#holeBytes += bytes
    else {
      const fresh = Math.min(bytes, this.#leftOf(reference))
      this.#newBytes += fresh
      if (fresh < bytes) this.#repeatedBytes += Math.max(bytes - fresh, leastRepeatedBytes)
    }
    if (this.#isOver(this.#holeBytes, holeBounds)) throw this.#tooMuch(this.#holeBytes, "empty")
    if (this.#isOver(this.#repeatedBytes, repeatedBounds)) throw this.#tooMuch(this.#repeatedBytes, "the same again")
  }

  /** How much of the chunk cannot have come yet. */
  #leftOf({ chunk, offset, length }: Reference): number {
    const key = cacheKey(chunk)
    const known = this.#known.get(key) ?? { end: 0, given: 0 }
    known.end = Math.max(known.end, offset + length)
    const left = Math.max(0, known.end - known.given)
    known.given += length
    if (this.#known.size < mostKnown) this.#known.set(key, known)
    return left
  }

  #isOver(claimed: number, { bytes, ratio }: Bounds): boolean {
    return claimed > Math.max(bytes, ratio * this.#newBytes)
  }

  #tooMuch(bytes: number, what: string): HoldfastError {
    return new HoldfastError(
      "ERR_LIMIT",
      `The file claims to be out of all proportion to what is stored of it: ${this.#newBytes} bytes came, and ${bytes} more would be ` +
        `${what}. Do not trust who wrote it.`,
      { storedBytes: this.#newBytes, claimedBytes: bytes },
    )
  }
}
