/** Leaves servers alone that cannot be reached, so that a dead one delays nothing but the first call. */
import { type Clock, isHoldfastError } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"

/** After a failure a server is left alone for so long, and twice as long after each further try. */
const firstPauseMs = 1000
const longestPauseMs = 60_000

/** The same backend; after ERR_SERVER_UNREACHABLE its calls fail with the same error at once, until the next try is due. */
export function withPatience(backend: Backend, clock: Clock): Backend {
  const call = circuit(clock)
  return {
    id: backend.id,
    putShares: (...args) => call(() => backend.putShares(...args)),
    getShares: (...args) => call(() => backend.getShares(...args)),
    hasShares: (...args) => call(() => backend.hasShares(...args)),
    listShares: (...args) => call(() => backend.listShares(...args)),
    removeShares: (...args) => call(() => backend.removeShares(...args)),
    readRegisters: (...args) => call(() => backend.readRegisters(...args)),
    proposeRegisters: (...args) => call(() => backend.proposeRegisters(...args)),
    usage: (...args) => call(() => backend.usage(...args)),
    close: () => backend.close(),
  }
}

/** A circuit breaker: closed, open after a failure, and half open for one call at a time when the pause is over. */
function circuit(clock: Clock): <T>(call: () => Promise<T>) => Promise<T> {
  let failure: unknown
  let retryMs = 0
  let pauseMs = firstPauseMs
  return async (call) => {
    const isTrial = failure !== undefined
    if (isTrial && clock.nowMs() < retryMs) throw failure
    if (isTrial) retryMs = clock.nowMs() + pauseMs
    try {
      const result = await call()
      failure = undefined
      pauseMs = firstPauseMs
      return result
    } catch (error) {
      if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE") && (isTrial || failure === undefined)) {
        failure = error
        retryMs = clock.nowMs() + pauseMs
        pauseMs = Math.min(longestPauseMs, 2 * pauseMs)
      }
      throw error
    }
  }
}
