/** How fast bytes move, over the last one to two windows of time. */

/** Begins to count at its making. */
export class Progress {
  readonly #windowMs: number
  #last: { readonly atMs: number; readonly moved: number }
  #before: { readonly atMs: number; readonly moved: number }
  #moved = 0

  constructor(windowMs: number, nowMs: number) {
    this.#windowMs = windowMs
    this.#last = { atMs: nowMs, moved: 0 }
    this.#before = this.#last
  }

  /** Counts bytes that moved. */
  add(bytes: number, nowMs: number): void {
    this.#turn(nowMs)
    this.#moved += bytes
  }

  /** Bytes each millisecond; undefined before there was a whole window. */
  rate(nowMs: number): number | undefined {
    this.#turn(nowMs)
    const ms = nowMs - this.#before.atMs
    return ms < this.#windowMs ? undefined : (this.#moved - this.#before.moved) / ms
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#last.atMs < this.#windowMs) return
    this.#before = this.#last
    this.#last = { atMs: nowMs, moved: this.#moved }
  }
}
