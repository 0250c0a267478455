/** A clock that is wrong, and may be set or stopped: for places whose time jumps and machines that sleep. */
import type { Clock } from "@holdfast/core"
import type { SimulatedTime } from "./time.ts"

/** How a clock is wrong from the start. */
export interface Skew {
  readonly skewMs: number
  readonly drift: number
}

/** One machine's clock. */
export class WrongClock {
  readonly #time: SimulatedTime
  readonly #skew: Skew
  #shiftMs = 0
  #latestMs = 0

  constructor(time: SimulatedTime, skew: Skew) {
    this.#time = time
    this.#skew = skew
  }

  /** Sets it forward, or back. */
  jump(ms: number): void {
    this.#latestMs = this.latestMs
    this.#shiftMs += ms
  }

  /** The latest time that it has shown. */
  get latestMs(): number {
    return Math.max(this.#latestMs, this.nowMs())
  }

  /** How far it is behind the latest time that it has shown: who counts up from that waits so long. */
  get behindMs(): number {
    return this.latestMs - this.nowMs()
  }

  nowMs(): number {
    const { skewMs, drift } = this.#skew
    return Math.floor(this.#time.nowMs + skewMs + this.#time.elapsedMs * drift + this.#shiftMs)
  }

  /** As a process sees it, which wakes from no sleep after its end. */
  of(isAlive: () => boolean): Clock {
    return {
      nowMs: () => this.nowMs(),
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason)
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
          this.#time.after(ms / (1 + this.#skew.drift), () => {
            if (isAlive()) resolve()
          })
        }),
    }
  }
}
