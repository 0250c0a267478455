/**
 * The storage protocol over HTTP. Specification: docs/protocols/storage-node.md. The tenant is what the client's
 * certificate says, never a parameter. Bodies are bounded while they are read.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Engine } from "@holdfast/backends/node"
import { BufferPool, discard, HoldfastError } from "@holdfast/core"
import { type Logger, peerOf, type Subject, writeBody } from "@holdfast/network"
import { ByteBudget } from "./budget.ts"
import type { NodeMetrics } from "./node-metrics.ts"
import { failureAnswer, type Route, routes } from "./routes.ts"

/** What the service works with. */
export interface ServiceParts {
  readonly engine: Engine
  readonly metrics: NodeMetrics
  readonly log: Logger
  readonly nowMs: () => number
  readonly quotaOf: (tenant: string) => number | undefined
  /** Memory for bodies and answers at once. Default 512 MiB. */
  readonly memoryBytes?: number | undefined
  /** True once the node takes no more requests: then each answer ends its connection. */
  readonly stopping: () => boolean
}

const usualMemoryBytes = 512 * 1024 * 1024
/** No tenant holds more than this part of the memory, so a slow one cannot keep the others out. */
const tenantPart = 1 / 4
/** Memory for bodies that is kept for the next ones. */
const idleBytes = 32 * 1024 * 1024

/** The handler of a storage node's requests. */
export function storageService(parts: ServiceParts): (request: IncomingMessage, response: ServerResponse) => void {
  const peers = new WeakMap<Socket, Subject>()
  const { memoryBytes = usualMemoryBytes } = parts
  const memory = new ByteBudget(memoryBytes)
  const bodies = new BufferPool({ maxIdleBytes: idleBytes })
  const memoryOf = new Map<string, ByteBudget>()
  const clientOf = (socket: Socket): Subject => {
    const peer = peers.get(socket) ?? peerOf(socket)
    peers.set(socket, peer)
    if (peer.role !== "client")
      throw new HoldfastError("ERR_REFUSED", `Only clients store here; this certificate is a ${peer.role}'s.`)
    return peer
  }
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const startMs = parts.nowMs()
    if (parts.stopping()) response.shouldKeepAlive = false
    const route = routes[request.url ?? ""]
    const releases: (() => void)[] = []
    response.once("close", () => {
      for (const release of releases) release()
      const endpoint = route ? request.url!.slice(4) : "unknown"
      const durationMs = parts.nowMs() - startMs
      parts.metrics.answered(endpoint, response.statusCode, durationMs)
      parts.log.debug("request", { endpoint, status: response.statusCode, durationMs })
    })
    try {
      const { tenant } = clientOf(request.socket)
      const length = checkRequest(request, route)
      const own = memoryOf.get(tenant) ?? new ByteBudget(memoryBytes * tenantPart)
      memoryOf.set(tenant, own)
      const bytes = Math.max(length, route!.answerBytes)
      for (const budget of [own, memory]) {
        const release = await budget.take(bytes)
        if (response.destroyed) return release()
        releases.push(release)
      }
      const quotaBytes = parts.quotaOf(tenant)
      const backend = await parts.engine.tenant(tenant, quotaBytes === undefined ? {} : { quotaBytes })
      const body = await readBody(request, bodies.take(length))
      // Not when the connection closes: that may be before the work is done.
      const answer = await route!.handle(backend, body).finally(() => bodies.give(body))
      if (parts.stopping()) response.shouldKeepAlive = false
      parts.metrics.moved(length, send(response, 200, answer))
    } catch (error) {
      fail(parts, request, response, error)
    }
  }
  return (request, response) => void serve(request, response)
}

/** The length of the body, once the request is one of ours. */
function checkRequest(request: IncomingMessage, route: Route | undefined): number {
  if (!route || route.method !== request.method) throw new HoldfastError("ERR_NOT_FOUND", "There is no such endpoint.")
  const text = request.headers["content-length"] ?? (route.method === "GET" ? "0" : "")
  if (!/^\d{1,12}$/.test(text)) throw new HoldfastError("ERR_BAD_FORMAT", "A request needs a content-length.")
  const length = Number(text)
  if (length > route.maxBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A body of ${length} bytes is over this endpoint's limit of ${route.maxBytes}.`,
    )
  return length
}

/** Fills `body`, as long as announced; events, since an async iterator costs more than the bytes of a small TLS record. */
function readBody(request: IncomingMessage, body: Uint8Array): Promise<Uint8Array> {
  let offset = 0
  return new Promise((resolve, reject) => {
    const cut = () => reject(new HoldfastError("ERR_BAD_FORMAT", "The body is cut short."))
    request.on("data", (chunk: Uint8Array) => {
      body.set(chunk, offset) // HTTP ends the body at its announced length
      offset += chunk.length
      discard(chunk)
    })
    request.once("end", () => (offset === body.length ? resolve(body) : cut()))
    request.once("error", cut)
    request.once("close", cut)
  })
}

function send(response: ServerResponse, status: number, parts: readonly Uint8Array[]): number {
  const length = parts.reduce((total, part) => total + part.length, 0)
  response.writeHead(status, { "content-type": "application/octet-stream", "content-length": length })
  void writeBody(response, parts)
  return length
}

/** Answers with what the client may know; the log has the rest. */
function fail({ log }: ServiceParts, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.destroyed || response.headersSent) return void response.destroy()
  const { status, code, body } = failureAnswer(error)
  const cause = error instanceof Error ? error.message : String(error)
  log[status === 500 ? "error" : "warn"]("request-failed", { endpoint: request.url?.slice(0, 64), status, code, cause })
  if (!request.complete) response.setHeader("connection", "close") // the rest of the body is not read
  send(response, status, [body])
}
