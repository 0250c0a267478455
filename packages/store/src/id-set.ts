/**
 * Sets of 32-byte ids held as bytes, about 50 bytes each, where text would take 150: for millions of chunks at once. Of more than fit in
 * memory a set keeps those that come first, and says how far it goes: whoever needs all walks again for the next part.
 */
import { type CryptoProvider, compare } from "@holdfast/core"

const idBytes = 32
const firstSlots = 1024

/** First bytes of ids, by which sets are bounded: ids are hashes, so that each has a 256th of them. */
export const idPrefixes = 256
/** So many ids are kept at once where all are walked in parts: 36 MB, and as many chunks of large files are 3 TB. */
export const mostIdsAtOnce = 786_432

/** Which ids a set takes. */
export interface IdBounds {
  /** The first bytes of ids that it takes are from this on. */
  readonly from?: number
  /** When it has more it leaves out those with the highest first bytes, unless all begin alike. */
  readonly most?: number
}

/** Ids by value. Each has a slot, a number below `slots` that stays until the next `add`. */
export class IdSet {
  /** The first bytes of ids that it takes are from this on. */
  readonly from: number
  readonly #most: number
  #before = idPrefixes
  readonly #counts = new Uint32Array(idPrefixes)
  readonly #factors: Uint32Array
  #bytes = new Uint8Array(firstSlots * idBytes)
  #used = new Uint8Array(firstSlots)
  #size = 0

  /** Chance decides where ids lie: they come from writers, who might choose them to make a set slow. */
  constructor(crypto: Pick<CryptoProvider, "random">, { from = 0, most = Number.POSITIVE_INFINITY }: IdBounds = {}) {
    this.from = from
    this.#most = most
    const random = crypto.random(idBytes + 4)
    this.#factors = Uint32Array.from({ length: 9 }, (_, i) =>
      new DataView(random.buffer, random.byteOffset).getUint32(4 * i),
    )
  }

  /** How many ids are in it. */
  get size(): number {
    return this.#size
  }

  /** One more than the highest slot. */
  get slots(): number {
    return this.#used.length
  }

  /** All ids with a first byte below this were taken: where the next part begins; 256 when none is left. */
  get before(): number {
    return this.#before
  }

  /** True when an id is in the part that the set is of. */
  covers(id: Uint8Array): boolean {
    return id[0]! >= this.from && id[0]! < this.#before
  }

  /** How many ids are in it, by their first bytes. */
  counts(): Uint32Array {
    return this.#counts.slice()
  }

  /** False when it was there, and when the set is of another part. */
  add(id: Uint8Array): boolean {
    if (!this.covers(id)) return false
    if (4 * this.#size >= 3 * this.#used.length) this.#resize(2 * this.#used.length)
    const slot = this.#find(this.#bytes, id)
    if (this.#used[slot] === 1) return false
    this.#bytes.set(id, slot * idBytes)
    this.#used[slot] = 1
    this.#size++
    this.#counts[id[0]!]!++
    if (this.#size > this.#most) this.#narrow()
    return true
  }

  has(id: Uint8Array): boolean {
    return this.slotOf(id) !== undefined
  }

  /** Where an id lies; undefined when it is not in the set. */
  slotOf(id: Uint8Array): number | undefined {
    const slot = this.#find(this.#bytes, id)
    return this.#used[slot] === 1 ? slot : undefined
  }

  /** All ids with their slots, in no order. The bytes are only good until the next step. */
  *entries(): Generator<readonly [slot: number, id: Uint8Array], void, void> {
    for (let slot = 0; slot < this.#used.length; slot++)
      if (this.#used[slot] === 1) yield [slot, this.#bytes.subarray(slot * idBytes, (slot + 1) * idBytes)]
  }

  /** All ids one after another, ascending. */
  sorted(): Uint8Array {
    const starts = new Uint32Array(buckets + 1)
    for (const [, id] of this.entries()) starts[bucketOf(id) + 1]!++
    for (let bucket = 0; bucket < buckets; bucket++) starts[bucket + 1]! += starts[bucket]!
    const bytes = new Uint8Array(this.#size * idBytes)
    const next = starts.slice()
    for (const [, id] of this.entries()) bytes.set(id, next[bucketOf(id)]!++ * idBytes)
    for (let bucket = 0; bucket < buckets; bucket++)
      sortIds(bytes.subarray(starts[bucket]! * idBytes, starts[bucket + 1]! * idBytes))
    return bytes
  }

  /** The slot of an id, or the free one where it would go. */
  #find(bytes: Uint8Array, id: Uint8Array): number {
    const mask = this.#used.length - 1
    for (let slot = this.#hash(id) & mask; ; slot = (slot + 1) & mask) {
      if (this.#used[slot] === 0) return slot
      let i = 0
      while (i < idBytes && bytes[slot * idBytes + i] === id[i]) i++
      if (i === idBytes) return slot
    }
  }

  /** Multilinear: two ids meet by chance alone, whoever chose them. */
  #hash(id: Uint8Array): number {
    let hash = this.#factors[8]!
    for (let word = 0; word < 8; word++) {
      const at = 4 * word
      const value = id[at]! | (id[at + 1]! << 8) | (id[at + 2]! << 16) | (id[at + 3]! << 24)
      hash = (hash + Math.imul(value ^ (value >>> 15), this.#factors[word]! | 1)) | 0
    }
    return (hash ^ (hash >>> 16)) >>> 0
  }

  /** Leaves out the highest ids, so that at most half of what there is room for is left. */
  #narrow(): void {
    let kept = this.#counts[this.from]!
    let before = this.from + 1
    while (before < this.#before && kept + this.#counts[before]! <= this.#most / 2) kept += this.#counts[before++]!
    if (before === this.#before) return
    this.#before = before
    this.#counts.fill(0, before)
    this.#size = kept
    this.#resize(this.#used.length)
  }

  #resize(slots: number): void {
    const [bytes, used] = [this.#bytes, this.#used]
    this.#bytes = new Uint8Array(slots * idBytes)
    this.#used = new Uint8Array(slots)
    for (let slot = 0; slot < used.length; slot++) {
      if (used[slot] === 0) continue
      const id = bytes.subarray(slot * idBytes, (slot + 1) * idBytes)
      if (!this.covers(id)) continue
      const to = this.#find(this.#bytes, id)
      this.#bytes.set(id, to * idBytes)
      this.#used[to] = 1
    }
  }
}

/** Ids that were met: a set that begins anew when it is full, so that some of very many may seem new again. */
export class RecentIds {
  readonly #crypto: Pick<CryptoProvider, "random">
  readonly #most: number
  #ids: IdSet

  /** `most`: how many are remembered, in 44 to 88 bytes each. */
  constructor(crypto: Pick<CryptoProvider, "random">, most: number) {
    this.#crypto = crypto
    this.#most = most
    this.#ids = new IdSet(crypto)
  }

  /** False when it was there. */
  add(id: Uint8Array): boolean {
    if (this.#ids.size >= this.#most && !this.#ids.has(id)) this.#ids = new IdSet(this.#crypto)
    return this.#ids.add(id)
  }
}

/** Ids are hashes: by their first bytes alone they are nearly in order. */
const buckets = 2 ** 16

function bucketOf(id: Uint8Array): number {
  return (id[0]! << 8) | id[1]!
}

/** Sorts ids where they are. */
function sortIds(bytes: Uint8Array): void {
  if (bytes.length <= idBytes) return
  const ids = Array.from({ length: bytes.length / idBytes }, (_, i) => bytes.slice(i * idBytes, (i + 1) * idBytes))
  for (const [i, id] of ids.sort(compare).entries()) bytes.set(id, i * idBytes)
}
