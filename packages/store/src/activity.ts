/**
 * How often to look at what tells nobody of changes: soon again while the session works or something changed just now, ever more rarely
 * while nothing happens.
 */
import { type Env, untilAborted } from "@holdfast/core"

/** Pauses between two looks. */
const shortestPauseMs = 500
const longestPauseMs = 30_000
/** A pause is this part of how long nothing has happened. */
const idlePart = 1 / 30
/** Pauses differ by so much up and down, so that many clients do not come at once. */
const jitter = 0.25

/** When a session did something last. */
export class Activity {
  readonly #env: Env
  #lastMs: number
  /** Those who would sleep through the beginning of something. */
  readonly #sleeping = new Set<() => void>()

  constructor(env: Env) {
    this.#env = env
    this.#lastMs = env.clock.nowMs()
  }

  /** The session does something, or learns of a change. */
  touch(): void {
    this.#lastMs = this.#env.clock.nowMs()
    for (const wake of this.#sleeping) wake()
  }

  /** Resolves when it is time to look again, or when the signal aborts. */
  async pause(signal: AbortSignal): Promise<void> {
    const idleMs = Math.max(0, this.#env.clock.nowMs() - this.#lastMs)
    const pauseMs = Math.min(longestPauseMs, Math.max(shortestPauseMs, idleMs * idlePart))
    const stop = new AbortController()
    const wake = () => stop.abort()
    if (pauseMs > 2 * shortestPauseMs) this.#sleeping.add(wake)
    signal.addEventListener("abort", wake)
    if (signal.aborted) wake()
    await quietSleep(this.#env, pauseMs, stop.signal)
    signal.removeEventListener("abort", wake)
    this.#sleeping.delete(wake)
  }
}

/** Sleeps about so long; less when the signal aborts. */
export async function quietSleep({ clock, crypto }: Env, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return
  const factor = 1 - jitter + (2 * jitter * crypto.random(1)[0]!) / 255
  try {
    await clock.sleep(ms * factor, signal)
  } catch (error) {
    if (!signal?.aborted) throw error
  }
}

/** The result of `work`; undefined as soon as the signal aborts, whatever comes of it then. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await untilAborted(work, signal)
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}
