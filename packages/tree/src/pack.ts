/**
 * Packs: many small items one after another in one chunk of at most limits.chunkBytes. Nodes of a commit are written
 * children first, so that parents in the same pack refer to them by self references and the root comes last.
 */
import { assert, limits } from "@holdfast/core"
import type { ChunkRef, ChunkStore } from "@holdfast/store"
import type { DirectoryNode } from "./directory-node.ts"
import { type OpenPack, PackedReference, type Reference } from "./reference.ts"

/** A node as it was written. */
type WrittenNode = readonly [reference: Reference, node: DirectoryNode]

/** Hears of a pack that was stored, and of the directory nodes in it. */
export type OnSealed = (chunk: ChunkRef, bytes: Uint8Array, nodes: readonly WrittenNode[]) => void

/** A pack that becomes full has this memory three times: most begin and end small. */
const leastPackBytes = 64 * 1024
const growth = 8

/** One chunk being filled. */
export class Pack implements OpenPack {
  readonly #chunks: ChunkStore
  #memory: Uint8Array<ArrayBufferLike> = new Uint8Array()
  #bytes = 0
  #chunk: ChunkRef | undefined

  /** `chunks` is where it is stored. */
  constructor(chunks: ChunkStore) {
    this.#chunks = chunks
  }

  get chunk(): ChunkRef | undefined {
    return this.#chunk
  }

  /** Bytes in it so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** True when `length` more bytes fit. */
  hasRoom(length: number): boolean {
    return this.#bytes + length <= limits.chunkBytes
  }

  /** Appends a copy of an item. */
  append(bytes: Uint8Array): PackedReference {
    assert(!this.#chunk && bytes.length > 0 && this.hasRoom(bytes.length), "an item does not fit its pack")
    const reference = new PackedReference(this, this.#bytes, bytes.length)
    this.#makeRoom(bytes.length)
    this.#memory.set(bytes, this.#bytes)
    this.#bytes += bytes.length
    return reference
  }

  /** Stores the pack, after which its references are valid; they can be written from `onKnown` on. */
  async seal(onSealed?: (chunk: ChunkRef, bytes: Uint8Array) => void, onKnown?: () => void): Promise<ChunkRef> {
    const { buffers } = this.#chunks
    const whole = buffers.adopt(this.#memory.subarray(0, this.#bytes))
    this.#memory = new Uint8Array()
    const copy = onSealed && whole.slice() // the store owns what it is given
    const { id, key } = await this.#chunks.putChunk(whole, {
      onSealed: (chunk) => {
        this.#chunk = chunk
        onKnown?.()
      },
    })
    this.#chunk = { id, key }
    if (copy) onSealed(this.#chunk, copy)
    return this.#chunk
  }

  #makeRoom(bytes: number): void {
    const before = this.#memory
    const needed = this.#bytes + bytes
    if (needed <= before.length) return
    const { buffers } = this.#chunks
    this.#memory = buffers.take(Math.min(limits.chunkBytes, Math.max(needed, leastPackBytes, growth * before.length)))
    this.#memory.set(before.subarray(0, this.#bytes))
    buffers.give(before)
  }
}

/** Stands for the chunk of a pack that is not stored yet. */
const unknownChunk: ChunkRef = { id: new Uint8Array(32), key: new Uint8Array(32) }

/** Writes nodes into packs, one pack open at a time. */
export class NodePack {
  readonly #chunks: ChunkStore
  readonly #onSealed: OnSealed | undefined
  #open: Pack
  #nodes: WrittenNode[] = []

  constructor(chunks: ChunkStore, onSealed?: OnSealed) {
    this.#chunks = chunks
    this.#open = new Pack(chunks)
    this.#onSealed = onSealed
  }

  /**
   * Writes the node that `encode` makes; it is called again when the node has to go to another pack. `decode` must read it:
   * what could not be read again would be found out only when it is too late, so it ends the commit here.
   */
  async write(
    encode: (holder: OpenPack) => Uint8Array,
    decode: (bytes: Uint8Array, holder: Reference) => unknown,
    node?: DirectoryNode,
  ): Promise<Reference> {
    let bytes = encode(this.#open)
    if (!this.#open.hasRoom(bytes.length)) {
      await this.seal()
      bytes = encode(this.#open)
    }
    decode(bytes, { chunk: unknownChunk, offset: this.#open.bytes, length: bytes.length })
    const reference = this.#open.append(bytes)
    if (node) this.#nodes.push([reference, node])
    return reference
  }

  /** Stores what was written. All references given out are valid afterwards. */
  async seal(): Promise<void> {
    if (this.#open.bytes === 0) return
    const nodes = this.#nodes
    const onSealed = this.#onSealed
    await this.#open.seal(onSealed && ((chunk, bytes) => onSealed(chunk, bytes, nodes)))
    this.#open = new Pack(this.#chunks)
    this.#nodes = []
  }
}
