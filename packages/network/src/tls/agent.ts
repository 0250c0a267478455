/**
 * HTTPS requests to servers of the grid. The grid's authority is the only trust, and a server is known by the member
 * id in its certificate, so its address may change. Socket errors become ERR_SERVER_UNREACHABLE or ERR_REFUSED.
 */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http"
import type { Agent } from "node:https"
import { type PeerCertificate, TLSSocket } from "node:tls"
import { concat, discard, HoldfastError } from "@holdfast/core"
import { codeOf } from "@holdfast/core/node"
import { type AgentOptions, type Credentials, checkServer, contextFor } from "./expected.ts"
import { type Pace, startPace } from "./pace.ts"
import { throwIfRefused } from "./refusal.ts"
import { keyIdOf, type RevokedKeys } from "./revoked.ts"
import { type Address, aborted, explain, formatAddress, unreachable } from "./unreachable.ts"

/** Loaded when it is needed: most commands speak frames over TLS alone. */
const https = () => process.getBuiltinModule("node:https")

/** A request with its bounds. */
export interface RequestOptions extends Address {
  readonly method: string
  readonly path: string
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** Longest silence of the server before the request fails. Default 30 s; a new connection must be there in a sixth. */
  readonly timeoutMs?: number
  /**
   * Longest time for the whole request, and a millisecond more for each 16 bytes sent or received: whoever is slower than
   * 16 kB/s and needs longer is given up. Default 60 s.
   */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  /** Largest answer accepted. Default 16 MiB and a little. */
  readonly maxBytes?: number
}

/** A whole answer. */
export interface BytesResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

/** An agent that keeps connections to one server open and accepts no other server in its place. */
export function createAgent(credentials: Credentials, options: AgentOptions = {}): Agent {
  const { revoked } = options
  const agent = new (https().Agent)({
    keepAlive: true,
    maxSockets: options.maxSockets ?? 8,
    maxFreeSockets: options.maxSockets ?? 8,
    maxCachedSessions: 0, // a resumed session would skip the check of who the server is
    secureContext: contextFor(credentials),
    rejectUnauthorized: true,
    checkServerIdentity: (host: string, certificate: PeerCertificate) => checkServer(host, certificate, options),
  })
  if (revoked) endRevoked(agent, revoked)
  return agent
}

/** Ends connections to a server whose key is revoked while they are open. */
function endRevoked(agent: Agent, revoked: RevokedKeys): void {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (...args) => {
    const socket = connect(...args)
    if (socket instanceof TLSSocket)
      socket.once("secureConnect", () => {
        const certificate = socket.getPeerX509Certificate()
        if (certificate) revoked.watch(keyIdOf(certificate), socket)
      })
    return socket
  }
}

/**
 * Sends one request and reads the whole answer, whatever its status. A request that dies on a connection the server
 * had just closed for idleness is sent once more, on a new one, so callers use this for idempotent requests only.
 * Throws ERR_SERVER_UNREACHABLE, ERR_REFUSED, ERR_LIMIT, ERR_ABORTED.
 */
export async function requestBytes(agent: Agent, options: RequestOptions): Promise<BytesResponse> {
  let response = await attempt(agent, options)
  if (response === "stale") response = await attemptAnew(agent, options)
  if (response === "stale") throw unreachable(options, "it closed the connection")
  throwIfRefused(formatAddress(options.host, options.port), response.status, response.headers)
  return response
}

/** The other connections that the agent has kept are as old: a server that was started again knows none of them. */
async function attemptAnew(agent: Agent, options: RequestOptions): Promise<BytesResponse | "stale"> {
  const once = new (https().Agent)({ ...agent.options, keepAlive: false })
  once.createConnection = agent.createConnection.bind(agent) // with its checks of who the server is
  try {
    return await attempt(once, options)
  } finally {
    once.destroy()
  }
}

const bytesPerMs = 16

function attempt(agent: Agent, options: RequestOptions): Promise<BytesResponse | "stale"> {
  const { host, port, method, path, headers, body, timeoutMs = 30_000, deadlineMs = 60_000, signal } = options
  const length = body?.length ?? 0
  const maxBytes = options.maxBytes ?? 16 * 1024 * 1024 + 64 * 1024
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(aborted(signal))
      return
    }
    let call: ClientRequest | undefined
    let pace: Pace | undefined
    const onAbort = () => call?.destroy(aborted(signal))
    const settle = (finish: () => void) => {
      signal?.removeEventListener("abort", onAbort)
      pace?.stop()
      finish()
    }
    const fail = (cause: Error, answered: boolean) =>
      settle(() => {
        const closed = ["ECONNRESET", "EPIPE"].includes(codeOf(cause))
        if (closed && call?.reusedSocket && !answered) resolve("stale")
        else reject(explain(options, cause))
      })
    call = https().request(
      { agent, host, port, method, path, timeout: timeoutMs, headers: { ...headers, "content-length": `${length}` } },
      (response) => {
        readBody(response, { maxBytes, onBytes: (bytes) => pace?.add(bytes) }).then(
          (bytes) =>
            settle(() => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes })),
          (error: Error) => {
            call?.destroy()
            fail(error, true)
          },
        )
      },
    )
    call.on("error", (error) => fail(error, false))
    call.once("upgrade", (_response, socket) => {
      socket.destroy()
      fail(cutShort(), true)
    })
    call.once("socket", (socket) => {
      pace = startPace({ baseMs: deadlineMs, bytesPerMs }, () => call?.destroy(unreachable(options, tooSlow)))
      pace.add(length)
      if (!socket.connecting) return
      const late = () => call?.destroy(unreachable(options, `it did not answer within ${timeoutMs / 6} ms`))
      const timer = setTimeout(late, timeoutMs / 6)
      for (const event of ["secureConnect", "close"]) socket.once(event, () => clearTimeout(timer))
    })
    call.on("timeout", () => call?.destroy(unreachable(options, `it did not answer within ${timeoutMs} ms`)))
    signal?.addEventListener("abort", onAbort, { once: true })
    call.end(body)
  })
}

const tooSlow = "it answers too slowly"

interface Reading {
  readonly maxBytes: number
  readonly onBytes: (bytes: number) => void
}

/** Reads the body into one array; events, since an async iterator costs more than the bytes of a small TLS record. */
function readBody(response: IncomingMessage, { maxBytes, onBytes }: Reading): Promise<Uint8Array> {
  const announced = response.headers["content-length"]
  return new Promise((resolve, reject) => {
    const tooLarge = () =>
      reject(new HoldfastError("ERR_LIMIT", `The server's answer is larger than the ${maxBytes} bytes accepted here.`))
    if (Number(announced ?? 0) > maxBytes) return tooLarge()
    const body = announced === undefined ? undefined : new Uint8Array(Number(announced))
    const chunks: Uint8Array[] = []
    let total = 0
    response.on("data", (chunk: Uint8Array) => {
      const start = total
      total += chunk.length
      onBytes(chunk.length)
      if (body) {
        body.set(chunk, start) // HTTP ends the body at its announced length
        discard(chunk)
      } else if (total <= maxBytes) chunks.push(chunk)
      else tooLarge()
    })
    const cut = () => reject(cutShort())
    response.once("end", () => {
      if (body && total < body.length)
        cut() // some statuses have no body, whatever they announce
      else resolve(body ?? concat(...chunks))
    })
    response.once("error", reject)
    response.once("close", () => {
      if (!response.complete) cut()
    })
  })
}

function cutShort(): Error {
  return Object.assign(new Error("the answer was cut short"), { code: "ECONNRESET" })
}
