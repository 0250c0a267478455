/** What was proven of chunks read in parts: their descriptors, and leaves that have the right root. The last few are kept. */
import { type CryptoProvider, equal, isHoldfastError, toHex } from "@holdfast/core"
import {
  type BlockAnswer,
  type BlockQuery,
  blockCount,
  type ChunkId,
  chunkIdOf,
  type Descriptor,
  decodeDescriptor,
  leavesOf,
  payloadBytes,
  rootOf,
} from "@holdfast/protocol"

/** A chunk whose descriptor has the right hash. */
export interface KnownChunk {
  readonly descriptor: Descriptor
  /** Blocks of each share. */
  readonly blocks: number
  /** Leaves by share, once they were found to have the root that the descriptor names. */
  readonly leaves: Map<number, Uint8Array>
}

/** Some 10 MB at most, usually a twentieth of that. */
const maxKnown = 512

/** A bounded memory of chunks. */
export class KnownChunks {
  readonly #crypto: CryptoProvider
  readonly #known = new Map<string, KnownChunk>()

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
  }

  get(id: ChunkId): KnownChunk | undefined {
    const key = toHex(id)
    const known = this.#known.get(key)
    if (known) {
      this.#known.delete(key)
      this.#known.set(key, known)
    }
    return known
  }

  /**
   * Takes what an answer proves, and gives the chunk; undefined when the answer leaves it unknown. Leaves that are wrong are not
   * taken, so what needs them fails.
   */
  async learn(query: BlockQuery, answer: BlockAnswer): Promise<KnownChunk | undefined> {
    const known = this.get(query.id) ?? this.#add(query.id, answer.descriptor)
    if (!known || known.blocks === 1) return known
    const length = 32 * known.blocks
    for (const [i, index] of query.leavesOf.entries()) {
      const list = answer.leaves.subarray(i * length, (i + 1) * length)
      const root = known.descriptor.shareHashes[index]
      if (list.length < length || !root || known.leaves.has(index)) continue
      if (equal(await rootOf(this.#crypto, list), root)) known.leaves.set(index, list.slice())
    }
    return known
  }

  /** True when `blocks` are blocks `first` and following of share `index`: undefined leaves prove nothing. */
  async proves(known: KnownChunk, index: number, first: number, blocks: Uint8Array): Promise<boolean> {
    const leaves = known.leaves.get(index)
    if (!leaves || blocks.length === 0) return false
    const actual = await leavesOf(this.#crypto, blocks, first)
    return equal(actual, leaves.subarray(32 * first, 32 * first + actual.length))
  }

  #add(id: ChunkId, encoded: Uint8Array | undefined): KnownChunk | undefined {
    if (!encoded || !equal(chunkIdOf(encoded), id)) return undefined
    let descriptor: Descriptor
    try {
      descriptor = decodeDescriptor(encoded)
    } catch (error) {
      if (isHoldfastError(error)) return undefined
      throw error
    }
    const blocks = blockCount(payloadBytes(descriptor.ciphertextBytes, descriptor.k))
    // The root over a single block is its leaf.
    const leaves = new Map(blocks === 1 ? descriptor.shareHashes.map((hash, index) => [index, hash]) : [])
    const known = { descriptor, blocks, leaves }
    this.#known.set(toHex(id), known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxKnown) break
      this.#known.delete(oldest)
    }
    return known
  }
}
