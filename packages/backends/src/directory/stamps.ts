/**
 * The order of marks at a place: a counter that never goes back, whatever the clock does, and is about the time while that is right.
 * Tokens of collections hold for one instance of the place alone, so an older copy of its directory honours none.
 */
import type { Clock } from "@holdfast/core"

/** Stamps of one open directory. */
export class Stamps {
  readonly instance: Uint8Array
  readonly #clock: Clock
  readonly #save: (stamp: number) => void
  #last: number

  /** `last` is the highest that was saved. */
  constructor(clock: Clock, options: { instance: Uint8Array; last: number; save: (stamp: number) => void }) {
    this.#clock = clock
    this.instance = options.instance
    this.#last = options.last
    this.#save = options.save
  }

  /** The next stamp, for a change inside a transaction, which saves it. */
  next(): number {
    const stamp = this.issue()
    this.#save(stamp)
    return stamp
  }

  /** The next stamp, for what ends with this instance. */
  issue(): number {
    this.#last = Math.max(this.#last + 1, Math.floor(this.#clock.nowMs()))
    return this.#last
  }
}
