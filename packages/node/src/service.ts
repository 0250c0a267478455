/**
 * The storage protocol over HTTP. Specification: docs/protocols/storage-node.md. The tenant is what the client's
 * certificate says, never a parameter. Bodies are bounded while they are read.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { Engine, NamespaceOptions } from "@holdfast/backends/directory"
import { BufferPool, HoldfastError, ownValue } from "@holdfast/core"
import { keyIdOf, type Logger, peerOf, writeBody } from "@holdfast/network"
import { GrantReader, legacyAccess, type Peer } from "./access.ts"
import { readBody } from "./body.ts"
import { legacyRoutes } from "./legacy-routes.ts"
import { FairMemory, type Holding } from "./memory.ts"
import type { NodeMetrics } from "./node-metrics.ts"
import { tellingNotTaken } from "./not-taken.ts"
import { answerBytesOf, failureAnswer, framedBytes, type Route, routes, saidIn } from "./routes.ts"
import { Waiting } from "./waiting.ts"
import { keepingRegistersOnly } from "./witness.ts"

/** What the service works with. */
export interface ServiceParts {
  readonly engine: Engine
  readonly metrics: NodeMetrics
  readonly log: Logger
  readonly nowMs: () => number
  readonly namespaceOptions: (tenant: string) => NamespaceOptions
  /** It keeps registers and never shares. */
  readonly isWitness: boolean
  /** Memory for bodies and answers at once. Default 512 MiB. */
  readonly memoryBytes?: number | undefined
  /** Aborts once the node takes no more requests: then each answer ends its connection. */
  readonly stopped: AbortSignal
}

const versions: Readonly<Record<string, Readonly<Record<string, Route>>>> = { "/v1/": legacyRoutes, "/v2/": routes }

const usualMemoryBytes = 512 * 1024 * 1024
/** What a request costs at least, whatever it carries. */
const leastBytes = 16 * 1024
/** What requests that wait may cost, beside the memory of the others. */
const waitingPart = 1 / 16
/** Memory for bodies that is kept for the next ones. */
const idleBytes = 32 * 1024 * 1024

/** The handler of a storage node's requests. */
export function storageService(parts: ServiceParts): (request: IncomingMessage, response: ServerResponse) => void {
  const peers = new WeakMap<Socket, Peer>()
  const grants = new GrantReader()
  const { memoryBytes = usualMemoryBytes } = parts
  const memory = new FairMemory({
    totalBytes: memoryBytes,
    unitBytes: framedBytes,
    nowMs: () => performance.now(),
    later: (ms, run) => void setTimeout(run, ms).unref(),
  })
  const bodies = new BufferPool({ maxIdleBytes: idleBytes })
  const waiting = new Waiting({
    totalBytes: memoryBytes * waitingPart,
    stopped: parts.stopped,
    later: (ms, run) => {
      const timer = setTimeout(run, ms).unref()
      return () => clearTimeout(timer)
    },
    onCount: (count) => parts.metrics.waiting(count),
  })
  const clientOf = (socket: Socket): Peer => {
    const peer = peers.get(socket) ?? {
      ...peerOf(socket),
      keyId: keyIdOf((socket as TLSSocket).getPeerX509Certificate()!),
    }
    peers.set(socket, peer)
    if (peer.role !== "client")
      throw new HoldfastError("ERR_REFUSED", `Only clients store here; this certificate is a ${peer.role}'s.`)
    return peer
  }
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const startMs = parts.nowMs()
    if (parts.stopped.aborted) response.shouldKeepAlive = false
    const [version, path] = [request.url?.slice(0, 4) ?? "", request.url?.slice(4) ?? ""]
    const route = ownValue(ownValue(versions, version), path)
    let holding: Holding | undefined
    response.once("close", () => {
      holding?.release()
      const endpoint = route ? path : "unknown"
      const durationMs = parts.nowMs() - startMs
      parts.metrics.answered(endpoint, response.statusCode, durationMs)
      parts.log.debug("request", { endpoint, status: response.statusCode, durationMs })
    })
    try {
      const peer = clientOf(request.socket)
      const { tenant } = peer
      const length = checkRequest(request, route)
      const ended = new AbortController()
      const asker = { tenant, member: peer.memberId }
      holding = memory.open(asker, () => {
        if (response.headersSent) response.destroy()
        ended.abort(tooSlow())
      })
      if (response.destroyed) return holding.release() // nobody will hear of its close
      await holding.grow(leastBytes)
      const namespace = await parts.engine.tenant(tenant, parts.namespaceOptions(tenant))
      const grant = version === "/v1/" ? undefined : headerOf(request, "holdfast-grant")
      const access = version === "/v1/" ? legacyAccess(peer) : await grants.accessOf(peer, grant, namespace)
      const whole = namespace.backendOf(access)
      const backend = tellingNotTaken(parts.isWitness ? keepingRegistersOnly(whole) : whole, (notTaken) => {
        parts.metrics.notTaken(notTaken)
        parts.log.warn("not-taken", { tenant, ...notTaken })
      })
      const said = saidIn((name) => headerOf(request, name))
      await namespace.noteSeen(access.account)
      const body = await readBody(request, { length, bodies, holding, signal: ended.signal })
      await holding.grow(length + answerBytesOf(route!, backend, body))
      ended.signal.throwIfAborted()
      if (holding.isReleased) return bodies.give(body) // its connection closed while it waited
      const { wishOf, handle } = route!
      const work = async (): Promise<readonly Uint8Array[]> => {
        // Not when the connection closes: that may be before the work is done.
        if (!wishOf) return handle(backend, body, said).finally(() => bodies.give(body))
        const own = Uint8Array.from(body)
        bodies.give(body)
        holding?.release() // while it waits others need the memory
        const answer = await withConnection(response, (signal) =>
          waiting.run(asker, wishOf(own), (until) => handle(backend, own, { ...said, signal, until })),
        )
        await grants.accessOf(peer, grant, namespace) // it may have been taken back meanwhile
        return answer
      }
      const answer = await work()
      if (parts.stopped.aborted) response.shouldKeepAlive = false
      const droppedAtMs = grant === undefined ? undefined : backend.droppedAtMs()
      if (droppedAtMs !== undefined) response.setHeader("holdfast-dropped", String(droppedAtMs))
      parts.metrics.moved(length, send(response, 200, answer, holding))
    } catch (error) {
      fail(parts, request, response, error)
    }
  }
  return (request, response) => void serve(request, response)
}

/** Runs `work`, and ends it with the connection. */
async function withConnection<T>(response: ServerResponse, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const gone = new AbortController()
  const onClose = () => gone.abort(new HoldfastError("ERR_ABORTED", "The connection is closed."))
  if (response.destroyed) onClose()
  response.once("close", onClose)
  try {
    return await work(gone.signal)
  } finally {
    response.off("close", onClose)
  }
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join() : value
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

function tooSlow(): HoldfastError {
  const message = "The request came too slowly while others waited for its memory. Send less at once."
  return new HoldfastError("ERR_REMOTE", message, { status: 408 })
}

function send(response: ServerResponse, status: number, parts: readonly Uint8Array[], holding?: Holding): number {
  const length = parts.reduce((total, part) => total + part.length, 0)
  holding?.set(Math.max(leastBytes, length))
  holding?.expect(length)
  response.writeHead(status, { "content-type": "application/octet-stream", "content-length": length })
  void writeBody(response, parts, (bytes) => holding?.moved(bytes))
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
