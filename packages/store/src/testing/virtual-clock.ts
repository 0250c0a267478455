/** Time that passes only when nothing else can happen, so that hours take milliseconds and counts do not depend on the machine. */
import type { Clock } from "@holdfast/core"

interface Sleeper {
  readonly untilMs: number
  readonly wake: () => void
}

/** A clock that a test moves. */
export class VirtualClock implements Clock {
  #nowMs = 1_790_000_000_000
  readonly #sleepers = new Set<Sleeper>()

  /** Whole milliseconds, as of any clock; sleeps may end between two. */
  nowMs(): number {
    return Math.floor(this.#nowMs)
  }

  /** Sleeps that have not ended. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const end = (settle: () => void) => {
        this.#sleepers.delete(sleeper)
        signal?.removeEventListener("abort", onAbort)
        settle()
      }
      const onAbort = () => end(() => reject(signal!.reason as Error))
      const sleeper = { untilMs: this.#nowMs + ms, wake: () => end(resolve) }
      this.#sleepers.add(sleeper)
      signal?.addEventListener("abort", onAbort)
    })
  }

  /** Lets so much time pass, one sleeper after another. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settled()
      const [next] = [...this.#sleepers].sort((a, b) => a.untilMs - b.untilMs)
      if (!next || next.untilMs > untilMs) break
      this.#nowMs = Math.max(this.#nowMs, next.untilMs)
      next.wake()
    }
    this.#nowMs = untilMs
    await settled()
  }

  /** Lets time pass until `work` is done. Throws after `mostMs`. */
  async until<T>(work: Promise<T>, mostMs = 3_600_000): Promise<T> {
    let isDone = false
    const watched = work.finally(() => {
      isDone = true
    })
    watched.catch(() => undefined)
    const stepMs = 50
    for (let passedMs = 0; passedMs < mostMs; passedMs += stepMs) {
      await settled()
      if (isDone) return watched
      await this.pass(stepMs)
    }
    throw new Error(`it is not done after ${mostMs} ms`)
  }
}

/** Everything that can happen without time has happened: signatures take a few turns of the loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}
