/**
 * Lists of a bucket that lag behind what lies there, as services with eventually consistent lists have them: what was put is not
 * listed for a while, what was removed still is, and each change shows in its own time. What is asked for by its key is as it is.
 */
import type { Random } from "./random.ts"

interface Change<T> {
  readonly key: string
  /** When lists begin to show it. */
  readonly shownMs: number
  readonly before: T | undefined
}

/** What lists do not show yet. */
export class LaggingLists<T> {
  readonly #random: Random
  readonly #lags: (key: string) => boolean
  #changes: Change<T>[] = []
  /** Changes show after so long at most. */
  mostMs: number

  constructor(random: Random, { mostMs, lags }: { readonly mostMs: number; readonly lags: (key: string) => boolean }) {
    this.#random = random
    this.#lags = lags
    this.mostMs = mostMs
  }

  /** To be told before an object is put or removed. */
  note(key: string, before: T | undefined, nowMs: number): void {
    if (this.mostMs === 0 || !this.#lags(key)) return
    const delayMs = this.#random.pick([0, 0.001, 0.01, 0.3, 1]) * this.#random.fraction() * this.mostMs
    this.#changes.push({ key, shownMs: nowMs + delayMs, before })
  }

  /** `objects` as a list shows them now. */
  shown(objects: ReadonlyMap<string, T>, nowMs: number): ReadonlyMap<string, T> {
    if (this.#changes.length === 0) return objects
    // A later change of a key may show before an earlier one: then it is the later that counts.
    const latest = new Map<string, number>()
    for (const [i, { key, shownMs }] of this.#changes.entries()) if (shownMs <= nowMs) latest.set(key, i)
    this.#changes = this.#changes.filter(({ key }, i) => i > (latest.get(key) ?? -1))
    const shown = new Map(objects)
    for (const { key, before } of this.#changes.toReversed())
      if (before === undefined) shown.delete(key)
      else shown.set(key, before)
    return shown
  }

  /** From now on lists show all. */
  catchUp(): void {
    this.#changes = []
    this.mostMs = 0
  }
}
