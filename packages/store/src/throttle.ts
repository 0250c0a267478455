/** Limits of how many bytes a second go to and come from the places, so that others on the same line are left some of it. */
import { type Clock, limits } from "@holdfast/core"
import { eitherOf } from "./stoppable.ts"
import type { ChunkStore } from "./types.ts"

/** Most bytes a second, on average over some seconds; without a limit where absent. */
export interface Rates {
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
}

/** How much of a chunk of unknown size is waited for before it is asked for. */
const firstBytes = 64 * 1024

/** The same chunks, whose bytes are spread over time. A chunk goes as a whole; `spread` is what a put sends of each of its bytes. */
export function throttled(
  chunks: ChunkStore,
  { uploadBytesPerSecond, downloadBytesPerSecond }: Rates,
  {
    clock,
    spread,
    signal,
  }: { readonly clock: Clock; readonly spread: number; readonly signal?: AbortSignal | undefined },
): ChunkStore {
  const up = uploadBytesPerSecond === undefined ? undefined : new Throttle(uploadBytesPerSecond, clock)
  const down = downloadBytesPerSecond === undefined ? undefined : new Throttle(downloadBytesPerSecond, clock)
  return {
    buffers: chunks.buffers,
    async putChunk(plaintext, options) {
      const bytes = Math.ceil(spread * plaintext.length)
      await up?.take(bytes, eitherOf(options?.signal, signal))
      const result = await chunks.putChunk(plaintext, options)
      up?.correct(result.sentBytes - bytes)
      return result
    },
    async getChunk(ref, options) {
      await down?.take(firstBytes, eitherOf(options?.signal, signal))
      const plaintext = await chunks.getChunk(ref, options)
      down?.correct(plaintext.length - firstBytes)
      return plaintext
    },
    async readRange(ref, range, options) {
      let wholeBytes = 0
      await down?.take(range.length, eitherOf(options?.signal, signal))
      const onWhole: NonNullable<typeof options>["onWhole"] = (plaintext, chunk) => {
        wholeBytes = plaintext.length
        options?.onWhole?.(plaintext, chunk)
      }
      const bytes = await chunks.readRange(ref, range, { ...options, onWhole })
      if (wholeBytes > 0) down?.correct(Math.min(wholeBytes, limits.chunkBytes) - range.length)
      return bytes
    },
  }
}

/** Bytes that may go now, and how long what was taken has to wait: a bucket that leaks at the rate. */
class Throttle {
  readonly #bytesPerMs: number
  readonly #clock: Clock
  #owedMs = 0
  #lastMs: number

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#clock = clock
    this.#lastMs = clock.nowMs()
  }

  /** Waits until all that was taken before may have gone. Throws the signal's reason. */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#pass()
    const waitMs = this.#owedMs
    this.#owedMs += bytes / this.#bytesPerMs
    if (waitMs > 0) await this.#clock.sleep(waitMs, signal)
  }

  /** It was so much more than was taken, or less. */
  correct(bytes: number): void {
    this.#pass()
    this.#owedMs = Math.max(0, this.#owedMs + bytes / this.#bytesPerMs)
  }

  /** A clock that is set back makes nobody wait longer. */
  #pass(): void {
    const nowMs = this.#clock.nowMs()
    this.#owedMs = Math.max(0, this.#owedMs - Math.max(0, nowMs - this.#lastMs))
    this.#lastMs = nowMs
  }
}
