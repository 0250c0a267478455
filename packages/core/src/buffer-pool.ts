/**
 * Reuse of large byte arrays. What flows through a transfer is gigabytes in pieces of megabytes: allocated anew each time,
 * they cost a third of the processor in garbage collection, and memory grows by what was not collected yet.
 */

/** How a pool is made. */
export interface BufferPoolOptions {
  /** Most bytes kept for reuse. */
  readonly maxIdleBytes: number
  /** Makes new memory; by default the language's own. */
  readonly allocate?: (bytes: number) => ArrayBuffer
}

/** Smaller arrays cost less than looking after them. */
const minPooledBytes = 64 * 1024
/** Sizes are rounded up, so that nearly equal ones fit each other. */
const roundBytes = 256 * 1024
/** An array that is larger than that is no good for what is asked. */
const mostTimesLarger = 1.5
/** A view may leave out so much of its array, the length of a frame for instance, and still be all that is of use in it. */
const slackBytes = 16

/**
 * Frees the memory of an array at once that nobody will look at any more, instead of waiting for the garbage collector. Does
 * nothing to a view of part of some memory.
 */
export function discard(bytes: Uint8Array): void {
  const memory = bytes.buffer
  if (bytes.length > 0 && memory instanceof ArrayBuffer && memory.byteLength === bytes.byteLength) free(memory)
}

function free(memory: ArrayBuffer): void {
  memory.transferToFixedLength(0)
}

/** Arrays to be used again. Giving back is never required: what is not given back is garbage as usual. */
export class BufferPool {
  readonly #idle: ArrayBuffer[] = []
  readonly #lent = new WeakMap<ArrayBufferLike, number>()
  readonly #maxIdleBytes: number
  readonly #allocate: (bytes: number) => ArrayBuffer
  #idleBytes = 0

  constructor({ maxIdleBytes, allocate = (bytes) => new ArrayBuffer(bytes) }: BufferPoolOptions) {
    this.#maxIdleBytes = maxIdleBytes
    this.#allocate = allocate
  }

  /** An array of `length` bytes with arbitrary content. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length < minPooledBytes) return new Uint8Array(length)
    const memoryBytes = Math.ceil(length / roundBytes) * roundBytes
    const memory = this.#takeIdle(memoryBytes) ?? this.#allocate(memoryBytes)
    return this.adopt(new Uint8Array(memory, 0, length))
  }

  /** Of those that fit, the smallest, given back last: a large one that serves for little is missed when much is asked for. */
  #takeIdle(bytes: number): ArrayBuffer | undefined {
    let best = -1
    let bestBytes = mostTimesLarger * bytes
    for (const [i, { byteLength }] of this.#idle.entries()) {
      if (byteLength < bytes || byteLength > bestBytes) continue
      best = i
      bestBytes = byteLength
    }
    if (best < 0) return undefined
    this.#idleBytes -= bestBytes
    return this.#idle.splice(best, 1)[0]
  }

  /** Lets an array be given back that came from elsewhere, or from here and was in another thread meanwhile. */
  adopt<T extends Uint8Array>(bytes: T): T {
    this.#lent.set(bytes.buffer, bytes.length)
    return bytes
  }

  /** True for an array that `take` gave, or a view of all but a few bytes of it, until it is given back: nobody else has a part. */
  isWhole(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
    const length = this.#lent.get(bytes.buffer)
    return length !== undefined && bytes.length > 0 && bytes.length >= length - slackBytes
  }

  /** Ends the use of an array; nobody may look at it any more. One that is not whole is left to the garbage collector. */
  give(bytes: Uint8Array): void {
    if (!this.isWhole(bytes)) return
    const memory = bytes.buffer
    this.#lent.delete(memory)
    if (memory.byteLength < minPooledBytes || memory.byteLength > this.#maxIdleBytes) return
    this.#idle.push(memory)
    this.#idleBytes += memory.byteLength
    while (this.#idleBytes > this.#maxIdleBytes) {
      const oldest = this.#idle.shift()!
      this.#idleBytes -= oldest.byteLength
      free(oldest)
    }
  }
}
