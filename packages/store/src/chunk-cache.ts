/** Recently read chunks, by bytes, least recently used out first; concurrent reads of one chunk share one fetch. */
import { toHex } from "@holdfast/core"
import type { ChunkId } from "./types.ts"

/** A bounded cache of plaintexts. */
export class ChunkCache {
  readonly #entries = new Map<string, Uint8Array>()
  readonly #loading = new Map<string, Promise<Uint8Array>>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The cached chunk, or what `load` gives, which is then kept. */
  async get(id: ChunkId, load: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const name = toHex(id)
    const cached = this.#entries.get(name)
    if (cached) {
      this.#entries.delete(name)
      this.#entries.set(name, cached)
      return cached
    }
    const loading = this.#loading.get(name)
    if (loading) return loading
    const started = load()
    this.#loading.set(name, started)
    try {
      const bytes = await started
      this.#keep(name, bytes)
      return bytes
    } finally {
      this.#loading.delete(name)
    }
  }

  #keep(name: string, bytes: Uint8Array): void {
    this.#entries.set(name, bytes)
    this.#bytes += bytes.length
    for (const [oldest, old] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break
      this.#entries.delete(oldest)
      this.#bytes -= old.length
    }
  }
}
