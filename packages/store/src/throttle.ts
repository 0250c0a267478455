/** Limits of how many bytes a second go to and come from the places, so that others on the same line are left some of it. */
import { type Clock, limits } from "@holdfast/core"
import type { Backend, ShareQuery } from "@holdfast/protocol"
import { eitherOf } from "./stoppable.ts"
import type { ChunkStore } from "./types.ts"

/** Most bytes a second, on average over some seconds; without a limit where absent. */
export interface Rates {
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
}

/** How much of a chunk or a share of unknown size is waited for before it is asked for. */
const firstBytes = 64 * 1024

/** The line to all places of a store: whatever goes over it shares the limits. */
export class Line {
  readonly #up: Throttle | undefined
  readonly #down: Throttle | undefined
  readonly #signal: AbortSignal | undefined
  /** What the last shares had: the next will be alike. */
  #usualShareBytes = firstBytes

  /** `signal` ends every wait for a turn. */
  constructor({ uploadBytesPerSecond, downloadBytesPerSecond }: Rates, clock: Clock, signal?: AbortSignal) {
    this.#up = uploadBytesPerSecond === undefined ? undefined : new Throttle(uploadBytesPerSecond, clock)
    this.#down = downloadBytesPerSecond === undefined ? undefined : new Throttle(downloadBytesPerSecond, clock)
    this.#signal = signal
  }

  /** Waits for its turn, then sends; `likelyBytes` are taken for it until it is known how many were sent. */
  send<T>(work: () => Promise<T>, transfer: Transfer<T>): Promise<T> {
    return this.#carry(this.#up, work, transfer)
  }

  /** The same for what is asked for. */
  receive<T>(work: () => Promise<T>, transfer: Transfer<T>): Promise<T> {
    return this.#carry(this.#down, work, transfer)
  }

  /** Shares from a server, by one request. */
  async shares(backend: Pick<Backend, "getShares">, queries: readonly ShareQuery[]) {
    if (queries.length === 0) return []
    const bytesOf = (answers: readonly (Uint8Array | undefined)[]) => {
      const given = answers.filter((bytes) => bytes !== undefined)
      const sum = given.reduce((total, { length }) => total + length, 0)
      if (given.length > 0) this.#usualShareBytes = sum / given.length
      return sum
    }
    return this.receive(() => backend.getShares(queries), {
      likelyBytes: this.#usualShareBytes * queries.length,
      bytesOf,
    })
  }

  async #carry<T>(
    throttle: Throttle | undefined,
    work: () => Promise<T>,
    { likelyBytes, bytesOf, signal }: Transfer<T>,
  ): Promise<T> {
    if (!throttle) return work()
    await throttle.take(likelyBytes, eitherOf(signal, this.#signal))
    const result = await work()
    throttle.correct(bytesOf(result) - likelyBytes)
    return result
  }
}

/** How much goes over a line by one call. */
interface Transfer<T> {
  readonly likelyBytes: number
  /** How much it was in the end. */
  readonly bytesOf: (result: T) => number
  readonly signal?: AbortSignal | undefined
}

/** The same chunks, whose bytes are spread over time. A chunk goes as a whole; `spread` is what a put sends of each of its bytes. */
export function throttled(chunks: ChunkStore, line: Line, { spread }: { readonly spread: number }): ChunkStore {
  return {
    buffers: chunks.buffers,
    putChunk: (plaintext, options) =>
      line.send(() => chunks.putChunk(plaintext, options), {
        likelyBytes: Math.ceil(spread * plaintext.length),
        bytesOf: ({ sentBytes }) => sentBytes,
        signal: options?.signal,
      }),
    getChunk: (ref, options) =>
      line.receive(() => chunks.getChunk(ref, options), {
        likelyBytes: firstBytes,
        bytesOf: ({ length }) => length,
        signal: options?.signal,
      }),
    readRange(ref, range, options) {
      let wholeBytes = 0
      const onWhole: NonNullable<typeof options>["onWhole"] = (plaintext, chunk) => {
        wholeBytes = plaintext.length
        options?.onWhole?.(plaintext, chunk)
      }
      return line.receive(() => chunks.readRange(ref, range, { ...options, onWhole }), {
        likelyBytes: range.length,
        bytesOf: () => (wholeBytes > 0 ? Math.min(wholeBytes, limits.chunkBytes) : range.length),
        signal: options?.signal,
      })
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
