/** Watching registers at a storage node: a request that waits there, or from an older node one that reads. */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import {
  type Backend,
  type CallOptions,
  decodeHashes,
  encodeWaitRequest,
  longestWaitMs,
  readHashes,
  registersPerWait,
  type WatchedRegister,
} from "@holdfast/protocol"

/** Sends a request to wait. */
type Wait = (body: Uint8Array, answerBytes: number, options: CallOptions) => Promise<Uint8Array>

/** After an answer that the node cannot wait, or has no place for that, it is read for so many times before it is asked again. */
const readsBeforeTry = 50

/** `Backend.watchRegisters` of a node. */
export function watchRegisters(
  wait: Wait,
  backend: Pick<Backend, "readRegisters">,
): NonNullable<Backend["watchRegisters"]> {
  let readsLeft = 0
  return async (watched: readonly WatchedRegister[], options: CallOptions = {}) => {
    if (watched.length < 1 || watched.length > registersPerWait)
      throw new HoldfastError("ERR_INVALID_ARGUMENT", `One request watches 1 to ${registersPerWait} registers.`)
    if (readsLeft-- > 0) return readHashes(backend, watched, options)
    try {
      const answer = await wait(encodeWaitRequest({ waitMs: longestWaitMs, watched }), 32 * watched.length, options)
      return decodeHashes(answer, watched.length)
    } catch (error) {
      if (!isHoldfastError(error, "ERR_UNSUPPORTED_VERSION") && !hasNoPlace(error)) throw error
      readsLeft = readsBeforeTry
      return readHashes(backend, watched, options)
    }
  }
}

function hasNoPlace(error: unknown): boolean {
  return isHoldfastError(error, "ERR_SERVER_UNREACHABLE") && error.details.status === 503
}
