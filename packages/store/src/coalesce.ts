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

/** A call for one item. Throws the signal's reason as soon as it aborts. */
export type Coalesced<Q, R> = (query: Q, signal?: AbortSignal) => Promise<R>

interface Pending<Q, R> {
  readonly query: Q
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
  /** Its caller may stop waiting. */
  readonly canLeave: boolean
  /** Nobody waits for it any more. */
  isLeft: boolean
  /** Ends the request that it is in, when the others of that are left too. */
  onLeft: () => void
}

/**
 * A call for one item that `send` answers in batches. `sizeOf` counts an item's bytes against the limit. What nobody waits for any
 * more is not sent; a request is aborted when nobody waits for any of its items.
 */
export function coalesce<Q, R>(
  send: (batch: readonly Q[], signal: AbortSignal | undefined) => Promise<readonly R[]>,
  sizeOf: (query: Q) => number,
  bounds: CoalesceLimits,
): Coalesced<Q, R> {
  const queue: Pending<Q, R>[] = []
  let running = 0
  let scheduled = false

  const take = (): Pending<Q, R>[] => {
    const batch: Pending<Q, R>[] = []
    let bytes = 0
    while (queue.length > 0 && batch.length < bounds.maxItems) {
      const size = sizeOf(queue[0]!.query)
      if (batch.length > 0 && bytes + size > bounds.maxBytes) break
      const pending = queue.shift()!
      if (pending.isLeft) continue
      bytes += size
      batch.push(pending)
    }
    return batch
  }
  const runLane = async () => {
    for (let batch = take(); batch.length > 0; batch = take()) {
      const stop = new AbortController()
      for (const pending of batch) pending.onLeft = () => batch.every(({ isLeft }) => isLeft) && stop.abort()
      try {
        const queries = batch.map((pending) => pending.query)
        const results = await send(queries, batch.every(({ canLeave }) => canLeave) ? stop.signal : undefined)
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
  return (query, signal) =>
    new Promise<R>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      queue.push(pendingOf(query, { resolve, reject }, signal))
      if (scheduled || running >= bounds.lanes) return
      scheduled = true
      queueMicrotask(start)
    })
}

function pendingOf<Q, R>(
  query: Q,
  { resolve, reject }: Pick<Pending<Q, R>, "resolve" | "reject">,
  signal: AbortSignal | undefined,
): Pending<Q, R> {
  const leave = () => {
    pending.isLeft = true
    reject(signal!.reason)
    pending.onLeft()
  }
  const ended =
    <T>(end: (value: T) => void) =>
    (value: T) => {
      signal?.removeEventListener("abort", leave)
      end(value)
    }
  const ends = { resolve: ended(resolve), reject: ended(reject) }
  const pending: Pending<Q, R> = { query, ...ends, canLeave: !!signal, isLeft: false, onLeft: () => undefined }
  signal?.addEventListener("abort", leave, { once: true })
  return pending
}
