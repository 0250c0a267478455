/** Tells of each request to a place: how long it took, how much went and came, and whether it failed. */
import { type Clock, isHoldfastError } from "@holdfast/core"
import { type Backend, wrapBackend } from "@holdfast/protocol"

/** One request to a place. */
export interface TracedRequest {
  /** `Backend.id` of the place. */
  readonly server: string
  /** The call of `Backend`. */
  readonly name: string
  /** How many things were asked for or sent together. */
  readonly items: number
  /** Bytes of shares, values and ids that went and came; what carries them is not counted. */
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly ms: number
  /** The code of what it failed with; absent when it did not. */
  readonly error?: string
}

/** The same backend; `onRequest` hears of each call when it has ended. */
export function traced(backend: Backend, clock: Clock, onRequest: (request: TracedRequest) => void): Backend {
  return wrapBackend(backend, async ({ name, args: [given], send }) => {
    const startMs = clock.nowMs()
    const told = {
      ...{ server: backend.id, name },
      items: Array.isArray(given) ? given.length : 1,
      sentBytes: bytesIn(given),
    }
    const ms = () => Math.max(0, clock.nowMs() - startMs)
    try {
      const result = await send()
      onRequest({ ...told, receivedBytes: bytesIn(result), ms: ms() })
      return result
    } catch (error) {
      const code = isHoldfastError(error) ? error.code : "ERR_INTERNAL"
      onRequest({ ...told, receivedBytes: 0, ms: ms(), error: code })
      throw error
    }
  })
}

/** Bytes of arrays in what was sent or came: by themselves, in lists, or as fields of what is in lists. */
function bytesIn(value: unknown, depth = 0): number {
  if (value instanceof Uint8Array) return value.length
  if (typeof value !== "object" || value === null || depth > 2) return 0
  return Object.values(value).reduce((sum: number, one) => sum + bytesIn(one, depth + 1), 0)
}
