/**
 * Gathers small calls into batches: what is asked while earlier requests are under way goes out together in the next.
 * A lone call is sent at once, so batching never adds waiting.
 */

/** How calls may be gathered. */
export interface CoalesceLimits {
  /** Requests under way at once. */
  readonly lanes: number
  readonly maxItems: number
  readonly maxBytes: number
}

interface Pending<Q, R> {
  readonly query: Q
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

/** A call for one item that `send` answers in batches. `sizeOf` counts an item's bytes against the limit. */
export function coalesce<Q, R>(
  send: (batch: readonly Q[]) => Promise<readonly R[]>,
  sizeOf: (query: Q) => number,
  bounds: CoalesceLimits,
): (query: Q) => Promise<R> {
  const queue: Pending<Q, R>[] = []
  let running = 0
  let scheduled = false

  const take = (): Pending<Q, R>[] => {
    const batch: Pending<Q, R>[] = []
    let bytes = 0
    while (queue.length > 0 && batch.length < bounds.maxItems) {
      const size = sizeOf(queue[0]!.query)
      if (batch.length > 0 && bytes + size > bounds.maxBytes) break
      bytes += size
      batch.push(queue.shift()!)
    }
    return batch
  }
  const runLane = async () => {
    for (let batch = take(); batch.length > 0; batch = take()) {
      try {
        const results = await send(batch.map((pending) => pending.query))
        for (const [i, pending] of batch.entries()) pending.resolve(results[i]!)
      } catch (error) {
        for (const pending of batch) pending.reject(error)
      }
    }
  }
  const start = () => {
    scheduled = false
    while (running < bounds.lanes && queue.length > 0) {
      running++
      void runLane().finally(() => running--)
    }
  }
  return (query) =>
    new Promise<R>((resolve, reject) => {
      queue.push({ query, resolve, reject })
      if (scheduled || running >= bounds.lanes) return
      scheduled = true
      queueMicrotask(start)
    })
}
