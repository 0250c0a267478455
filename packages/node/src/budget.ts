/** Bounds the memory that requests hold at once: who would exceed the budget waits, and its body is not read meanwhile. */

interface Waiter {
  readonly bytes: number
  readonly start: () => void
}

/** A number of bytes that tasks share, first come, first served. */
export class ByteBudget {
  readonly #totalBytes: number
  #freeBytes: number
  readonly #waiting: Waiter[] = []

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes
    this.#freeBytes = totalBytes
  }

  /** Waits until `bytes` are free (no more than all of them); returns what gives them back. */
  async take(bytes: number): Promise<() => void> {
    const taken = Math.min(bytes, this.#totalBytes)
    if (this.#waiting.length === 0 && taken <= this.#freeBytes) this.#freeBytes -= taken
    else await new Promise<void>((start) => this.#waiting.push({ bytes: taken, start }))
    return () => this.#giveBack(taken)
  }

  #giveBack(bytes: number): void {
    this.#freeBytes += bytes
    while (this.#waiting.length > 0 && this.#waiting[0]!.bytes <= this.#freeBytes) {
      const next = this.#waiting.shift()!
      this.#freeBytes -= next.bytes
      next.start()
    }
  }
}
