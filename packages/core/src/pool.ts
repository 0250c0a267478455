/** Bounded concurrency: never more than `limit` tasks at once, and back-pressure on whoever adds more. */

/** A counting semaphore. */
export class Semaphore {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.#free = limit
  }

  /** Waits for a place, runs `task`, gives the place back. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}

/**
 * Applies `work` to each item, at most `limit` at once; results in the items' order. Begins nothing more after the first error, which it
 * throws at once: what is under way then goes on, and nobody hears of it.
 */
export async function mapPool<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  let failed = false
  const lane = async () => {
    while (!failed && next < items.length) {
      const index = next++
      try {
        results[index] = await work(items[index]!, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  return results
}

/** The same, but throws once nothing is under way: what was given may then be used for something else. */
export async function mapPoolToEnd<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  let failure: { readonly error: unknown } | undefined
  const results = await mapPool(items, limit, async (item, index) => {
    if (failure) return undefined
    try {
      return await work(item, index)
    } catch (error) {
      failure ??= { error }
      return undefined
    }
  })
  if (failure) throw failure.error
  return results as R[]
}

/**
 * Maps an async sequence with up to `limit` items in work, yielding results in order. The source is pulled only when
 * there is room, so memory is bounded by `limit` items.
 */
export async function* mapOrdered<T, R>(
  source: AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, void> {
  const running: Promise<R>[] = []
  try {
    for await (const item of source) {
      const result = work(item)
      result.catch(() => undefined) // reported when its turn comes
      running.push(result)
      if (running.length >= limit) yield await running.shift()!
    }
    while (running.length > 0) yield await running.shift()!
  } finally {
    await Promise.allSettled(running)
  }
}
