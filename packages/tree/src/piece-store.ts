/** Stores the pieces that a patch makes: long ones as chunks of their own, several at once, the rest in the pack of its nodes. */
import { type BufferPool, Semaphore } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"
import { isZero } from "./file-writer.ts"
import type { TreeIo } from "./io.ts"
import type { ManifestItem } from "./manifest.ts"
import type { NodePack } from "./pack.ts"
import { type OpenPack, PackedReference, packedFileBytes } from "./reference.ts"

const chunksInFlight = 4

/** A chunk of one piece, on its way. */
class PieceChunk implements OpenPack {
  chunk: ChunkRef | undefined
  readonly stored: Promise<void>

  constructor(storing: Promise<ChunkRef>) {
    this.stored = storing.then((chunk) => {
      this.chunk = chunk
    })
    this.stored.catch(() => undefined) // thrown to whoever waits for all
  }
}

/** Stores pieces of one file. */
export class PieceStore {
  readonly #io: TreeIo
  readonly #pack: NodePack
  readonly #signal: AbortSignal | undefined
  readonly #room = new Semaphore(chunksInFlight)
  readonly #underWay = new Set<Promise<void>>()

  constructor(io: TreeIo, pack: NodePack, signal: AbortSignal | undefined) {
    this.#io = io
    this.#pack = pack
    this.#signal = signal
  }

  /** Where arrays for pieces come from. */
  get buffers(): BufferPool {
    return this.#io.chunks.buffers
  }

  /** Begins to store the first `length` bytes of an array, which belongs to the store from now on; zeros become a hole. Waits for room. */
  async put(memory: Uint8Array, length: number = memory.length): Promise<ManifestItem> {
    const bytes = memory.subarray(0, length)
    if (isZero(bytes)) {
      this.buffers.give(memory)
      return { length, reference: null }
    }
    if (length > packedFileBytes) return { length, reference: await this.#putChunk(bytes) }
    const copy = bytes.slice()
    this.buffers.give(memory)
    const reference = await this.#pack.write(
      () => copy,
      () => undefined,
    )
    return { length, reference }
  }

  /** Waits until those of `items` that are on their way are stored. */
  async stored(items: readonly ManifestItem[]): Promise<void> {
    for (const { reference } of items)
      if (reference instanceof PackedReference && reference.pack instanceof PieceChunk) await reference.pack.stored
  }

  /** Waits for all that is on its way, whatever becomes of it. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay)
  }

  async #putChunk(bytes: Uint8Array): Promise<PackedReference> {
    const { length } = bytes
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const storing = this.#room.run(async () => {
      begin()
      const { id, key } = await this.#io.chunks.putChunk(bytes, { ...(this.#signal && { signal: this.#signal }) })
      return { id, key }
    })
    const chunk = new PieceChunk(storing)
    this.#underWay.add(chunk.stored)
    const isDone = () => void this.#underWay.delete(chunk.stored)
    chunk.stored.then(isDone, isDone)
    await begun
    return new PackedReference(chunk, 0, length)
  }
}
