/**
 * HTTPS servers of the grid: TLS 1.3 only, client certificates of the grid's authority, every size, count and time
 * bounded. Who calls is what the verified certificate says, never a parameter.
 */
import { constants } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Server } from "node:https"
import type { Socket } from "node:net"
import { type SecureContextOptions, TLSSocket } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import { codeOf, ioError } from "@holdfast/core/node"
import { transportName } from "@holdfast/protocol"
import { type ServeExchange, TransportServer, type TransportTimes } from "../transport/server.ts"
import { type AdmissionOptions, admitConnections } from "./admission.ts"
import type { IdentityFiles } from "./identity.ts"
import { keyIdOf, type RevokedKeys } from "./revoked.ts"
import { type Subject, subjectOf } from "./subject.ts"

/** Bounds and hooks of a server. */
export interface TlsServerOptions extends AdmissionOptions {
  /** Default 16 KiB. */
  readonly maxHeaderBytes?: number
  /** Longest time for a request's headers. Default 10 s. */
  readonly headersTimeoutMs?: number
  /** Longest time for a whole request to arrive. Default 120 s. */
  readonly requestTimeoutMs?: number
  /** How long a connection without a request is kept. Default 60 s. */
  readonly keepAliveTimeoutMs?: number
  /** Longest silence within a request or answer. Default 120 s. */
  readonly idleTimeoutMs?: number
  /** Longest time from a request's headers to the end of its answer, however it trickles. Default 300 s. */
  readonly answerTimeoutMs?: number
  /** How often these times are looked at. Default 5 s. */
  readonly checkEveryMs?: number
  /** Answers requests that come in frames; without it only HTTP is spoken. */
  readonly onExchange?: ServeExchange
}

/** Our clients send one request after another; who sends many at once only wants the memory that each takes. */
const maxPipelined = 8

/** Creates a server with `identity`; it does not listen yet. */
export function createTlsServer(
  identity: IdentityFiles,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  options: TlsServerOptions = {},
): Server {
  const working = new Map<ServerResponse, number>()
  const times = timesOf(options)
  const { createServer } = process.getBuiltinModule("node:https") // who only asks servers does not load it
  const server = createServer(
    {
      ...contextOf(identity),
      requestCert: true,
      rejectUnauthorized: false, // `guard` refuses, and says why
      handshakeTimeout: options.proveTimeoutMs ?? 5_000,
      maxHeaderSize: options.maxHeaderBytes ?? 16 * 1024,
      headersTimeout: times.headersTimeoutMs,
      requestTimeout: times.requestTimeoutMs,
      keepAliveTimeout: times.keepAliveTimeoutMs,
      connectionsCheckingInterval: times.checkEveryMs,
      noDelay: true,
      ...(options.onExchange && { ALPNProtocols: [transportName, "http/1.1"] }),
    },
    plainRequests(handler, working),
  )
  admitConnections(server, options, options.onExchange && transportOf(server, options.onExchange, times))
  endLate(server, working, times)
  server.maxHeadersCount = 64
  server.setTimeout(times.idleTimeoutMs)
  if (options.revoked) endRevoked(server, options.revoked)
  server.on("tlsClientError", (error, socket) => {
    options.onRefused?.(codeOf(error) || "TLS_ERROR")
    socket.destroy()
  })
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const status = statusOfClientError[error.code ?? ""] ?? "400 Bad Request"
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    else socket.destroy()
    setTimeout(() => socket.destroy(), 1_000).unref()
  })
  return server
}

/** The times of a server, whatever is spoken on its connections. */
function timesOf(options: TlsServerOptions): TransportTimes {
  return {
    headersTimeoutMs: options.headersTimeoutMs ?? 10_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 120_000,
    keepAliveTimeoutMs: options.keepAliveTimeoutMs ?? 60_000,
    idleTimeoutMs: options.idleTimeoutMs ?? 120_000,
    answerTimeoutMs: options.answerTimeoutMs ?? 300_000,
    checkEveryMs: options.checkEveryMs ?? 5_000,
  }
}

/** What serves connections that agreed on frames; it ends with the server. */
function transportOf(server: Server, serve: ServeExchange, times: TransportTimes): TransportServer {
  const transport = new TransportServer(serve, times)
  const [closeIdle, closeAll] = [server.closeIdleConnections.bind(server), server.closeAllConnections.bind(server)]
  server.closeIdleConnections = () => {
    transport.endIdle()
    closeIdle()
  }
  server.closeAllConnections = () => {
    transport.destroyAll()
    closeAll()
  }
  server.once("close", () => transport.stop())
  return transport
}

const statusOfClientError: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
}

/** What a server's TLS shows and trusts; it may be replaced while the server runs. */
export function contextOf({ keyPem, certPem, caPem }: IdentityFiles): SecureContextOptions {
  return {
    key: keyPem,
    cert: certPem + caPem, // with the authority, whose fingerprint a joining member checks
    ca: caPem,
    minVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET, // every connection proves its certificate anew
  }
}

/** Ends connections whose key is revoked while they are open. */
function endRevoked(server: Server, revoked: RevokedKeys): void {
  server.on("secureConnection", (socket: TLSSocket) => {
    const certificate = socket.getPeerX509Certificate()
    if (certificate) revoked.watch(keyIdOf(certificate), socket)
  })
}

/** Keeps away what only serves to confuse or to exhaust: requests piled up on a connection, codings nobody asked for. */
function plainRequests(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  working: Map<ServerResponse, number>,
): typeof handler {
  const unanswered = new WeakMap<Socket, number>()
  return (request, response) => {
    const { socket } = request
    const count = (unanswered.get(socket) ?? 0) + 1
    const coding = request.headers["transfer-encoding"]
    if (count > maxPipelined || (coding !== undefined && coding !== "chunked")) return void socket.destroy()
    unanswered.set(socket, count)
    working.set(response, performance.now())
    response.once("close", () => {
      unanswered.set(socket, unanswered.get(socket)! - 1)
      working.delete(response)
    })
    handler(request, response)
  }
}

/** Who takes an answer byte by byte holds its memory only so long. */
function endLate(
  server: Server,
  working: ReadonlyMap<ServerResponse, number>,
  { answerTimeoutMs, checkEveryMs }: TransportTimes,
): void {
  const timer = setInterval(() => {
    const latest = performance.now() - answerTimeoutMs
    for (const [response, startedMs] of working) if (startedMs < latest) response.destroy()
  }, checkEveryMs)
  timer.unref()
  server.once("close", () => clearInterval(timer))
}

/** The member at the other end. Throws ERR_REFUSED unless its certificate was verified and names a member. */
export function peerOf(socket: Socket): Subject {
  if (!(socket instanceof TLSSocket) || !socket.authorized)
    throw new HoldfastError(
      "ERR_REFUSED",
      "This needs a certificate of this grid. Join the grid with an invitation first.",
    )
  const subject = subjectOf(socket.getPeerCertificate().subject)
  if (!subject) throw new HoldfastError("ERR_REFUSED", "The client's certificate does not name a member of this grid.")
  return subject
}

/** Starts to listen; port 0 takes a free one. Throws ERR_IO, naming the address. */
export function listen(
  server: { listen(port: number, host: string): unknown } & import("node:events").EventEmitter & {
      address(): unknown
    },
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => {
      const hint = codeOf(cause) === "EADDRINUSE" ? " (another program uses this port; choose another)" : ""
      reject(ioError(`Could not listen on ${host}:${port}${hint}`, cause))
    }
    server.once("error", failed)
    server.once("listening", () => {
      server.off("error", failed)
      resolve((server.address() as { port: number }).port)
    })
    server.listen(port, host)
  })
}

/** Stops listening, lets running requests finish for `graceMs` (default 5 s), then cuts what is left. */
export async function closeServer(
  server: { close(done: () => void): unknown; closeIdleConnections(): void; closeAllConnections(): void },
  graceMs = 5_000,
): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
  clearTimeout(timer)
}
