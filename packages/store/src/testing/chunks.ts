/** Chunks in memory, each under a random id; some may be lost. */
import { BufferPool, type CryptoProvider, HoldfastError, toHex } from "@holdfast/core"
import type { ChunkRef, ChunkStore } from "../types.ts"

/** Chunks in memory. */
export interface MemoryChunks extends ChunkStore {
  /** Plaintexts by id in hexadecimal. Who takes some away loses them. */
  readonly held: Map<string, Uint8Array>
  /** Chunks read so far. */
  reads: number
}

/** Chunks in memory. */
export function createMemoryChunks(crypto: CryptoProvider): MemoryChunks {
  const held = new Map<string, Uint8Array>()
  const find = ({ id }: Pick<ChunkRef, "id">) => {
    const bytes = held.get(toHex(id))
    if (bytes) return bytes
    throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", `Chunk ${toHex(id)} is not there.`)
  }
  return {
    held,
    reads: 0,
    buffers: new BufferPool({ maxIdleBytes: 0 }),
    async putChunk(plaintext) {
      const [id, key] = [crypto.random(32), crypto.random(32)]
      held.set(toHex(id), plaintext.slice())
      return { id, key, sentBytes: plaintext.length }
    },
    async getChunk(ref) {
      this.reads++
      return find(ref).slice()
    },
    async readRange(ref, { offset, length }) {
      this.reads++
      return find(ref).slice(offset, offset + length)
    },
  }
}
