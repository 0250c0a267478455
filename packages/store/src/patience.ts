/** Leaves servers alone that cannot be reached, so that a dead one delays one try for each pause only. */
import { type Clock, isAbort, isHoldfastError } from "@holdfast/core"
import { type Backend, wrapBackend } from "@holdfast/protocol"

/** After a failure a server is left alone for so long, and twice as long after each further try. */
const firstPauseMs = 1000
const longestPauseMs = 60_000

/** The same backend; after ERR_SERVER_UNREACHABLE its calls fail with the same error at once, until the next try is due. */
export function withPatience(backend: Backend, clock: Clock): Backend {
  const { call, isBack } = circuit(clock)
  return wrapBackend(backend, async ({ name, send }) => {
    if (name !== "watchRegisters") return call(send)
    // Who waits has a patience of its own, and nobody should have to wait for it; but its answer says that the server is back.
    const hashes = await send()
    isBack()
    return hashes
  })
}

/** A circuit breaker: closed, open after a failure, half open when the pause is over: one call tries, others wait for it. */
function circuit(clock: Clock): {
  readonly call: <T>(call: () => Promise<T>) => Promise<T>
  /** Something else was answered by the server. */
  readonly isBack: () => void
} {
  let failure: unknown
  let retryMs = 0
  let pauseMs = firstPauseMs
  let trial: Promise<unknown> | undefined
  const isBack = () => {
    failure = undefined
    pauseMs = firstPauseMs
  }
  const guarded = async <T>(call: () => Promise<T>) => {
    while (trial) await trial.catch(() => undefined)
    const isTrial = failure !== undefined
    if (isTrial && clock.nowMs() < retryMs) throw failure
    const work = call()
    if (isTrial) trial = work
    try {
      const result = await work
      isBack()
      return result
    } catch (error) {
      if (isAbort(error)) throw error // it says nothing of the server
      if (!isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) failure = undefined
      else if (isTrial || failure === undefined) {
        failure = error
        retryMs = clock.nowMs() + pauseMs
        pauseMs = Math.min(longestPauseMs, 2 * pauseMs)
      }
      throw error
    } finally {
      if (trial === work) trial = undefined
    }
  }
  return { call: guarded, isBack }
}
