/** A bound on bytes under way: who wants to take more waits for those before. */

interface Waiting {
  readonly bytes: number
  readonly go: () => void
}

/** Room for a number of bytes. What is larger than all of it may go alone. */
export class ByteRoom {
  readonly #mostBytes: number
  readonly #onTaken: () => void
  readonly #waiting: Waiting[] = []
  #takenBytes = 0

  /** `onTaken` is called whenever more was taken. */
  constructor(mostBytes: number, onTaken: () => void) {
    this.#mostBytes = mostBytes
    this.#onTaken = onTaken
  }

  /** Bytes taken by all that runs. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /** True when half of it is taken: what nobody waits for should not begin now. */
  get isBusy(): boolean {
    return 2 * this.#takenBytes >= this.#mostBytes
  }

  /** Runs `task`, which takes `bytes`, when there is room for it; first come, first served. */
  async run<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(bytes))
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }))
    else this.#take(bytes)
    try {
      return await task()
    } finally {
      this.#takenBytes -= bytes
      this.#wake()
    }
  }

  #wake(): void {
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#take(next.bytes)
      next.go()
    }
  }

  #take(bytes: number): void {
    this.#takenBytes += bytes
    this.#onTaken()
  }

  #fits(bytes: number): boolean {
    return this.#takenBytes === 0 || this.#takenBytes + bytes <= this.#mostBytes
  }
}
