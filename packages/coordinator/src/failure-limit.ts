/** Counts failures by caller within a window of time, in bounded memory. */

const maxCallers = 10_000

/** Says when a caller has failed too often. */
export class FailureLimit {
  readonly #most: number
  readonly #windowMs: number
  #sinceMs = 0
  readonly #failures = new Map<string, number>()

  /** Over the limit after `most` failures within `windowMs`. */
  constructor(most: number, windowMs: number) {
    this.#most = most
    this.#windowMs = windowMs
  }

  /** Counts a failure. */
  add(caller: string, nowMs: number): void {
    this.#turn(nowMs)
    if (this.#failures.size < maxCallers || this.#failures.has(caller))
      this.#failures.set(caller, (this.#failures.get(caller) ?? 0) + 1)
  }

  /** True when `caller` must wait for the next window. */
  isOver(caller: string, nowMs: number): boolean {
    this.#turn(nowMs)
    return (this.#failures.get(caller) ?? 0) >= this.#most
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#sinceMs < this.#windowMs && nowMs >= this.#sinceMs) return
    this.#sinceMs = nowMs
    this.#failures.clear()
  }
}
