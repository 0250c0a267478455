/** Ending a wait when a signal aborts. */

/** What `work` gives; throws the signal's reason as soon as it aborts, whatever comes of the work then. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  work.catch(() => undefined) // nobody hears of it after that
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  signal.addEventListener("abort", stop, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener("abort", stop)
  }
}

/** True of what a call fails with because its caller stopped it, in this and in other layers' words. */
export function isAbort(error: unknown): boolean {
  const { name, code } = (error ?? {}) as { readonly name?: unknown; readonly code?: unknown }
  return name === "AbortError" || code === "ERR_ABORTED"
}
