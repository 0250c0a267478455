/**
 * A client's side of the storage protocol's transport: few connections to one server, each with many requests. The grid's
 * authority is the only trust, as in `createAgent`. Specification: docs/protocols/storage-transport.md.
 */
import type { SecureContext } from "node:tls"
import { isHoldfastError } from "@holdfast/core"
import { type AgentOptions, type Credentials, contextFor } from "../tls/expected.ts"
import { formatAddress } from "../tls/unreachable.ts"
import { ClientConnection, requestsAtOnce } from "./connection.ts"
import { type TransportCall, type TransportResponse, usualTimeoutMs } from "./pending.ts"

export type { TransportCall, TransportResponse } from "./pending.ts"

/** With so much on its way, a connection gets company. */
const busyBytes = 1024 * 1024

/** Keeps connections to one server open, and takes no other server in its place. */
export class TransportClient {
  readonly #options: AgentOptions
  readonly #connections = new Set<ClientConnection>()
  #context: SecureContext

  constructor(credentials: Credentials, options: AgentOptions = {}) {
    this.#options = options
    this.#context = contextFor(credentials)
  }

  /** New connections are made with these credentials. */
  renew(credentials: Credentials): void {
    this.#context = contextFor(credentials)
  }

  /**
   * Sends one request and gives the whole answer, whatever its status. One that dies on a connection that the server had just
   * closed is sent once more, on a new one, so callers use this for idempotent requests only. Throws ERR_SERVER_UNREACHABLE,
   * ERR_REFUSED, ERR_UNSUPPORTED_VERSION, ERR_BAD_FORMAT, ERR_LIMIT, ERR_ABORTED.
   */
  async request(call: TransportCall): Promise<TransportResponse> {
    const connection = this.#choose(call)
    const isOld = connection.hasAnswered
    try {
      return await connection.request(call)
    } catch (error) {
      const isClosed = isHoldfastError(error, "ERR_SERVER_UNREACHABLE") && error.details.code === "ECONNRESET"
      if (!isOld || !isClosed || call.signal?.aborted) throw error
      return this.#open(call).request(call)
    }
  }

  /** Ends all connections. */
  close(): void {
    for (const connection of this.#connections) connection.destroy()
    this.#connections.clear()
  }

  /** The connection with least to do, or a new one when that is busy and more may be opened. */
  #choose(call: TransportCall): ClientConnection {
    const address = formatAddress(call.host, call.port)
    let [best, count, least] = [undefined as ClientConnection | undefined, 0, Number.POSITIVE_INFINITY]
    for (const connection of this.#connections) {
      if (!connection.isUsable) this.#connections.delete(connection)
      else if (connection.address === address) {
        count++
        const load = connection.loadBytes + (connection.requests < requestsAtOnce ? 0 : 2 ** 40)
        if (load >= least) continue
        best = connection
        least = load
      }
    }
    return best && (least < busyBytes || count >= (this.#options.maxSockets ?? 8)) ? best : this.#open(call)
  }

  #open({ host, port, timeoutMs = usualTimeoutMs }: TransportCall): ClientConnection {
    const connection = new ClientConnection({
      ...{ host, port, secureContext: this.#context, expected: this.#options },
      connectMs: timeoutMs / 6,
    })
    this.#connections.add(connection)
    return connection
  }
}
