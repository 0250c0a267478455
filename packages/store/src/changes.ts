/** Waiting for one of several answers. */
import type { Clock } from "@holdfast/core"

/** Wakes who waits for answers. */
export class Changes {
  #next = Promise.withResolvers<void>()

  /** Something changed. */
  notify(): void {
    this.#next.resolve()
    this.#next = Promise.withResolvers()
  }

  /** Resolves when `condition` holds, or after a grace. */
  async until(condition: () => boolean, grace?: { readonly clock: Clock; readonly graceMs: number }): Promise<void> {
    if (condition()) return
    const stop = new AbortController()
    let isLate = false
    const late = grace?.clock.sleep(grace.graceMs, stop.signal).then(
      () => {
        isLate = true
      },
      () => undefined,
    )
    while (!condition() && !isLate) await Promise.race(late ? [this.#next.promise, late] : [this.#next.promise])
    stop.abort()
  }
}
