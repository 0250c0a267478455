/**
 * The order of marks at a place: a counter that never goes back, whatever the clock does, and is about the time while that is right.
 * Tokens of collections hold for one instance of the place alone, so an older copy of its directory honours none. Of a directory
 * that several processes have open each is an instance, and all count with the one counter that is saved.
 */
import type { Clock } from "@holdfast/core"

/** What stamps are made from. */
export interface StampParts {
  readonly clock: Clock
  readonly instance: Uint8Array
  /** The highest that was saved. */
  readonly saved: () => number
  readonly save: (stamp: number) => void
}

/** Stamps of one open directory. */
export class Stamps {
  readonly instance: Uint8Array
  readonly #parts: StampParts
  #last = 0

  constructor(parts: StampParts) {
    this.#parts = parts
    this.instance = parts.instance
  }

  /** The next stamp, for a change inside a transaction, which saves it. */
  next(): number {
    const stamp = this.issue()
    this.#parts.save(stamp)
    return stamp
  }

  /** The next stamp, for what ends with this instance. */
  issue(): number {
    const { saved, clock } = this.#parts
    this.#last = Math.max(this.#last + 1, saved() + 1, Math.floor(clock.nowMs()))
    return this.#last
  }
}
