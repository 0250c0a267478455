/**
 * Reuse of large byte arrays. What flows through a transfer is gigabytes in pieces of megabytes: allocated anew each time,
 * they cost a third of the processor in garbage collection, and memory grows by what was not collected yet.
 */

/** How a pool is made. */
export interface BufferPoolOptions {
  /** Most bytes kept for reuse. */
  readonly maxIdleBytes: number
  /** Makes memory, for instance such as threads can share; plain memory when absent. */
  readonly allocate?: (sizeBytes: number) => ArrayBufferLike
}

/** Smaller arrays cost less than looking after them. */
const minPooledBytes = 64 * 1024
/** Sizes are rounded up, so that nearly equal ones fit each other. */
const roundBytes = 256 * 1024
/** A view may leave out so much of its array, a header for instance, and still stand for the whole. */
const slackBytes = 4096

/** Arrays to be used again. Giving back is never required: what is not given back is garbage as usual. */
export class BufferPool {
  readonly #idle: ArrayBufferLike[] = []
  readonly #lent = new WeakMap<ArrayBufferLike, number>()
  readonly #maxIdleBytes: number
  readonly #allocate: (sizeBytes: number) => ArrayBufferLike
  #idleBytes = 0

  constructor({ maxIdleBytes, allocate = (sizeBytes) => new ArrayBuffer(sizeBytes) }: BufferPoolOptions) {
    this.#maxIdleBytes = maxIdleBytes
    this.#allocate = allocate
  }

  /** An array of `length` bytes with arbitrary content. */
  take(length: number): Uint8Array {
    if (length < minPooledBytes) return new Uint8Array(length)
    const position = this.#idle.findLastIndex(({ byteLength }) => byteLength >= length && byteLength <= 2 * length)
    const memory =
      position < 0 ? this.#allocate(Math.ceil(length / roundBytes) * roundBytes) : this.#idle.splice(position, 1)[0]!
    if (position >= 0) this.#idleBytes -= memory.byteLength
    this.#lent.set(memory, length)
    return new Uint8Array(memory, 0, length)
  }

  /**
   * Ends the use of an array that `take` gave, or of a view of nearly all of it; nobody may look at it any more. Other
   * arrays, and small parts of one, are left to the garbage collector.
   */
  give(bytes: Uint8Array): void {
    const memory = bytes.buffer
    const length = this.#lent.get(memory)
    if (length === undefined || bytes.length < length - slackBytes) return
    this.#lent.delete(memory)
    if (memory.byteLength > this.#maxIdleBytes) return
    this.#idle.push(memory)
    this.#idleBytes += memory.byteLength
    while (this.#idleBytes > this.#maxIdleBytes) this.#idleBytes -= this.#idle.shift()!.byteLength
  }
}
