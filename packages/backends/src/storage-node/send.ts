/** One request of the storage protocol over what carries it: sent again where that is safe, failures as errors that name the node. */
import { type ErrorCode, HoldfastError, isHoldfastError } from "@holdfast/core"
import { decodeFailure, type TransportHeaders } from "@holdfast/protocol"

/** One request to the node. */
export interface NodeCall {
  readonly endpoint: string
  readonly headers: TransportHeaders
  readonly body: readonly Uint8Array[]
  /** Largest answer that can be right. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

/** The node's answer. */
export interface NodeAnswer {
  readonly status: number
  readonly headers?: TransportHeaders
  readonly body: Uint8Array
}

/** How to reach a node. */
export interface NodeBackendOptions {
  /** The node's member id. */
  readonly id: string
  /** host:port, for messages. */
  readonly address: string
  /** The account's grant to this device. Without one the node lets itself be read only. */
  readonly grant?: Uint8Array
  /** Sends one request; throws ERR_SERVER_UNREACHABLE or ERR_REFUSED. Every request may be sent twice. */
  readonly request: (call: NodeCall) => Promise<NodeAnswer>
  /** Hears when what the account holds here is taken away, with each answer while its administrator has dropped it. */
  readonly onDropped?: ((atMs: number) => void) | undefined
  /** Gives back what `request` holds. */
  readonly close?: () => void | Promise<void>
}

/** Sends a request and gives the body of its answer. Throws ERR_REMOTE and what the node or the way to it fails with. */
export async function send(options: NodeBackendOptions, call: NodeCall): Promise<Uint8Array> {
  const where = `${options.id} (${options.address})`
  let answer: NodeAnswer
  try {
    answer = await requestTwice(options, call)
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    const details = { ...error.details, server: options.id }
    throw new HoldfastError(error.code, `Server ${where}: ${error.message}`, details, { cause: error })
  }
  const dropped = Number(answer.headers?.dropped)
  if (Number.isSafeInteger(dropped) && dropped > 0) options.onDropped?.(dropped)
  if (answer.status === 200) return answer.body
  if (answer.status === 404)
    throw new HoldfastError(
      "ERR_UNSUPPORTED_VERSION",
      `Server ${where} runs an older Holdfast, which does not know this request. Update Holdfast there.`,
      { server: options.id },
    )
  throw failureOf(options.id, where, answer)
}

/** Sends a request again when the connection was reset under it: every request of this protocol may be repeated. */
async function requestTwice(options: NodeBackendOptions, call: NodeCall): Promise<NodeAnswer> {
  try {
    return await options.request(call)
  } catch (error) {
    const code = isHoldfastError(error, "ERR_SERVER_UNREACHABLE") ? error.details.code : undefined
    if ((code !== "ECONNRESET" && code !== "EPIPE") || call.signal?.aborted) throw error
    return options.request(call)
  }
}

const codes: Record<number, ErrorCode> = {
  401: "ERR_REFUSED",
  403: "ERR_REFUSED",
  408: "ERR_SERVER_UNREACHABLE",
  413: "ERR_LIMIT",
  503: "ERR_SERVER_UNREACHABLE",
  507: "ERR_SERVER_FULL",
}

function failureOf(server: string, where: string, { status, body }: NodeAnswer): HoldfastError {
  let said = `it answered with status ${status}`
  let code = codes[status] ?? "ERR_REMOTE"
  try {
    const failure = decodeFailure(body)
    said = failure.message.replace(/[^\x20-\x7e]/g, "?") // may go to a terminal
    // One status stands for both; what else a server calls its failure is its own affair.
    if (status === 507 && failure.code === "ERR_QUOTA_EXCEEDED") code = failure.code
  } catch (error) {
    if (!isHoldfastError(error)) throw error
  }
  return new HoldfastError(code, `Server ${where} failed: ${said}`, { server, status })
}
