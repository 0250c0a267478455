/** What all calls of a bucket's backend share: where, for whom, and how carefully. */
import { type CryptoProvider, HoldfastError } from "@holdfast/core"
import type { AccountAccess } from "@holdfast/protocol"
import type { Bucket, RequestOptions } from "./bucket.ts"
import { type Marker, readMarker } from "./marker.ts"

/** A bucket as one account uses it. */
export interface PlaceOptions {
  readonly bucket: Bucket
  /** `Backend.id`. */
  readonly id: string
  readonly crypto: CryptoProvider
  /** The bucket refuses to replace an object when asked to. */
  readonly conditional: boolean
  /** Whose backend it is. The bucket enforces nothing of it: who has its keys may do all. */
  readonly access: AccountAccess
  /** Nothing younger is taken away, by the bucket's own clock; the bucket's marker may ask for more. */
  readonly graceMs: number
  /** A list may miss what was written within so long; 0 where lists are strong. */
  readonly listDelayMs: number
  /** The volume's epoch that the caller knows. */
  readonly epoch: number
}

/** A bucket as one account uses it, with what its marker says once it was read. */
export class Place {
  readonly bucket: Bucket
  readonly id: string
  readonly crypto: CryptoProvider
  readonly conditional: boolean
  readonly access: AccountAccess
  readonly listDelayMs: number
  readonly epoch: number
  readonly #askedGraceMs: number
  #newestMs = 0
  #marker: Promise<Marker | undefined> | undefined
  #markerGraceMs: number | undefined

  constructor({ bucket, graceMs, ...rest }: PlaceOptions) {
    this.bucket = this.#timed(bucket)
    this.id = rest.id
    this.crypto = rest.crypto
    this.conditional = rest.conditional
    this.access = rest.access
    this.listDelayMs = rest.listDelayMs
    this.epoch = rest.epoch
    this.#askedGraceMs = graceMs
  }

  /** So old must be what is taken away. */
  get sweepGraceMs(): number {
    return Math.max(this.#askedGraceMs, this.#markerGraceMs ?? 0, this.listDelayMs)
  }

  /** A writer trusts for so long what he saw: half of what every sweeper waits. */
  get trustMs(): number {
    return (this.#markerGraceMs ?? this.#askedGraceMs) / 2
  }

  /** The latest time that the bucket has said; only ever used to do something earlier than needed. */
  get newestMs(): number {
    return this.#newestMs
  }

  /** Reads the marker, once. Throws ERR_UNSUPPORTED_VERSION where this version may not write, or not yet take away. */
  async requireMarks({ signal, taking = false }: RequestOptions & { readonly taking?: boolean }): Promise<void> {
    this.#marker ??= readMarker(this.bucket, { signal })
    const marker = await this.#marker.catch((error: unknown) => {
      this.#marker = undefined
      throw error
    })
    if (!marker) return // nobody's volume, as in a test of the place itself
    this.#markerGraceMs = marker.graceMs
    if (marker.version === 2 && !(taking && marker.isUpgrading)) return
    this.#marker = undefined
    const what = marker.version === 1 ? "is of a version before there were accounts" : "is not wholly upgraded"
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Bucket ${this.id} ${what}. Run: holdfast upgrade`, {
      server: this.id,
    })
  }

  #timed(bucket: Bucket): Bucket {
    const seen = <T extends { readonly atMs: number } | undefined>(answer: T): T => {
      this.#newestMs = Math.max(this.#newestMs, answer?.atMs ?? 0)
      return answer
    }
    return {
      name: bucket.name,
      put: async (...args) => seen(await bucket.put(...args)),
      get: async (...args) => seen(await bucket.get(...args)),
      getPart: async (...args) => seen(await bucket.getPart(...args)),
      list: async (...args) => seen(await bucket.list(...args)),
      remove: (...args) => bucket.remove(...args),
      close: () => bucket.close(),
    }
  }
}
