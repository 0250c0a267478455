/** Attempts that take turns: as many as are needed at first, another when one fails or is late, until enough have succeeded. */
import type { Clock } from "@holdfast/core"

/** An attempt, and how long to wait for it before another is begun beside it. */
export interface Attempt<T> {
  /** Gives undefined when it fails; what it throws ends everything. */
  readonly run: () => Promise<T | undefined>
  readonly patienceMs: number
}

/** What the first `needed` attempts to succeed give; undefined when too many fail. */
export async function firstSome<T>(
  attempts: readonly Attempt<T>[],
  needed: number,
  clock: Clock,
): Promise<T[] | undefined> {
  if (attempts.length < needed) return undefined
  const stop = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<T[] | undefined>()
  const results: T[] = []
  let [begun, failed] = [0, 0]
  const begin = (): void => {
    const attempt = attempts[begun]
    if (!attempt || results.length >= needed) return
    begun++
    let isReplaced = false
    /** Each attempt makes room for one other only, whether it fails or is late. */
    const replace = () => {
      if (isReplaced) return
      isReplaced = true
      begin()
    }
    attempt.run().then((result) => {
      if (result !== undefined) results.push(result)
      else failed++
      if (results.length === needed) resolve([...results])
      else if (attempts.length - failed < needed) resolve(undefined)
      else if (result === undefined) replace()
    }, reject)
    clock.sleep(attempt.patienceMs, stop.signal).then(replace, () => undefined)
  }
  for (let i = 0; i < needed; i++) begin()
  return promise.finally(() => stop.abort())
}
