/**
 * HTTPS servers of the grid: TLS 1.3 only, client certificates of the grid's authority, every size, count and time
 * bounded. Who calls is what the verified certificate says, never a parameter.
 */
import { constants } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer, type Server } from "node:https"
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import { codeOf, ioError } from "./files.ts"
import type { IdentityFiles } from "./identity.ts"
import { type Subject, subjectOf } from "./subject.ts"

/** Bounds and hooks of a server. */
export interface TlsServerOptions {
  /** Refuses a connection without a valid client certificate. Default true; with false, ask `peerOf` yourself. */
  readonly requireClientCertificate?: boolean
  /** Default 1024. */
  readonly maxConnections?: number
  /** Default 16 KiB. */
  readonly maxHeaderBytes?: number
  /** Longest time for a request's headers. Default 10 s. */
  readonly headersTimeoutMs?: number
  /** Longest time for a whole request to arrive. Default 120 s. */
  readonly requestTimeoutMs?: number
  /** How long an idle connection is kept. Default 60 s. */
  readonly keepAliveTimeoutMs?: number
  /** Hears of connections refused in the handshake; the reason is a code without secrets. */
  readonly onRefused?: (reason: string) => void
}

/** What a server's TLS shows and trusts; it may be replaced while the server runs. */
export function contextOf({ keyPem, certPem, caPem }: IdentityFiles) {
  return {
    key: keyPem,
    cert: certPem + caPem, // with the authority, whose fingerprint a joining member checks
    ca: caPem,
    minVersion: "TLSv1.3" as const,
    secureOptions: constants.SSL_OP_NO_TICKET, // every connection proves its certificate anew
  }
}

/** Creates a server with `identity`; it does not listen yet. */
export function createTlsServer(
  identity: IdentityFiles,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  options: TlsServerOptions = {},
): Server {
  const server = createServer(
    {
      ...contextOf(identity),
      requestCert: true,
      rejectUnauthorized: options.requireClientCertificate ?? true,
      handshakeTimeout: 10_000,
      maxHeaderSize: options.maxHeaderBytes ?? 16 * 1024,
      headersTimeout: options.headersTimeoutMs ?? 10_000,
      requestTimeout: options.requestTimeoutMs ?? 120_000,
      keepAliveTimeout: options.keepAliveTimeoutMs ?? 60_000,
      connectionsCheckingInterval: 5_000,
      noDelay: true,
    },
    handler,
  )
  server.maxConnections = options.maxConnections ?? 1024
  server.maxHeadersCount = 64
  server.on("tlsClientError", (error, socket) => {
    options.onRefused?.(codeOf(error) || "TLS_ERROR")
    socket.destroy()
  })
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    else socket.destroy()
  })
  return server
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
