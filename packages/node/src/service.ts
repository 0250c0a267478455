/**
 * What a storage node does with each request. Specification: docs/protocols/storage-node.md. The tenant is what the client's
 * certificate says, never a parameter. Bodies are bounded while they are read.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { TLSSocket } from "node:tls"
import type { Engine, NamespaceOptions } from "@holdfast/backends/directory"
import { type BufferPool, HoldfastError, ownValue } from "@holdfast/core"
import { type Answer, type Exchange, keyIdOf, type Logger, peerOf } from "@holdfast/network"
import { encodeFailure, transportName } from "@holdfast/protocol"
import { GrantReader, type Peer } from "./access.ts"
import { readBody } from "./body.ts"
import { FairMemory, type Holding } from "./memory.ts"
import type { NodeMetrics } from "./node-metrics.ts"
import { tellingNotTaken } from "./not-taken.ts"
import { answerBytesOf, failureAnswer, framedBytes, type Route, routes, saidIn, withoutPlaces } from "./routes.ts"
import { Waiting } from "./waiting.ts"
import { keepingRegistersOnly } from "./witness.ts"

/** What the service works with. */
export interface ServiceParts {
  readonly engine: Engine
  /** Where it keeps things, as its messages name it: clients hear nothing of it. */
  readonly dir: string
  readonly metrics: NodeMetrics
  readonly log: Logger
  readonly nowMs: () => number
  readonly namespaceOptions: (tenant: string) => NamespaceOptions
  /** It keeps registers and never shares. */
  readonly isWitness: boolean
  /** For bodies, and for what the engine reads. */
  readonly buffers: BufferPool
  /** Memory for bodies and answers at once. Default 512 MiB. */
  readonly memoryBytes?: number | undefined
  /** Aborts once the node takes no more requests. */
  readonly stopped: AbortSignal
}

const usualMemoryBytes = 512 * 1024 * 1024
/** What a request costs at least, whatever it carries. */
const leastBytes = 16 * 1024
/** What requests that wait may cost, beside the memory of the others. */
const waitingPart = 1 / 16
/** What is counted for a request whose client left before its answer, as other servers count it. */
const leftStatus = 499

/** What answers a storage node's requests. */
export function storageService(parts: ServiceParts): (exchange: Exchange) => Promise<void> {
  const peers = new WeakMap<TLSSocket, Peer>()
  const grants = new GrantReader()
  const { memoryBytes = usualMemoryBytes } = parts
  const memory = new FairMemory({
    totalBytes: memoryBytes,
    unitBytes: framedBytes,
    nowMs: () => performance.now(),
    later: (ms, run) => void setTimeout(run, ms).unref(),
  })
  const { buffers: bodies } = parts
  const waiting = new Waiting({
    totalBytes: memoryBytes * waitingPart,
    stopped: parts.stopped,
    later: (ms, run) => {
      const timer = setTimeout(run, ms).unref()
      return () => clearTimeout(timer)
    },
    onCount: (count) => parts.metrics.waiting(count),
  })
  const clientOf = (socket: TLSSocket): Peer => {
    const peer = peers.get(socket) ?? { ...peerOf(socket), keyId: keyIdOf(socket.getPeerX509Certificate()!) }
    peers.set(socket, peer)
    if (peer.role !== "client")
      throw new HoldfastError("ERR_REFUSED", `Only clients store here; this certificate is a ${peer.role}'s.`)
    return peer
  }
  return async (exchange) => {
    const startMs = parts.nowMs()
    const { endpoint, headers, bodyBytes, over } = exchange
    const route = ownValue(routes, endpoint)
    let holding: Holding | undefined
    let isWorking = false
    onOver(over, () => {
      if (!isWorking) holding?.release()
      const known = { endpoint: route ? endpoint : "unknown", status: exchange.status || leftStatus }
      const durationMs = parts.nowMs() - startMs
      parts.metrics.answered(known.endpoint, known.status, durationMs)
      parts.log.debug("request", { ...known, durationMs })
    })
    try {
      const peer = clientOf(exchange.socket)
      const { tenant } = peer
      checkRequest(exchange, route)
      const ended = new AbortController()
      const asker = { tenant, member: peer.memberId }
      holding = memory.open(asker, () => {
        if (exchange.status !== 0) exchange.destroy()
        ended.abort(tooSlow())
      })
      if (over.aborted) return holding.release() // nobody will hear of its end
      await holding.grow(leastBytes)
      const namespace = await parts.engine.tenant(tenant, parts.namespaceOptions(tenant))
      const access = await grants.accessOf(peer, headers.grant, namespace)
      const whole = namespace.backendOf(access)
      const backend = tellingNotTaken(parts.isWitness ? keepingRegistersOnly(whole) : whole, {
        onNotTaken(notTaken) {
          parts.metrics.notTaken(notTaken)
          parts.log.warn("not-taken", { tenant, ...notTaken })
        },
        told: (message) => withoutPlaces(message, parts.dir),
      })
      const said = saidIn(headers)
      await namespace.noteSeen(access.account)
      const body = await readBody(exchange, { bodies, holding, signal: ended.signal })
      await holding.grow(bodyBytes + answerBytesOf(route!, backend, body))
      ended.signal.throwIfAborted()
      if (holding.isReleased) return bodies.give(body) // its connection closed while it waited
      const { wishOf, handle } = route!
      const work = async (): Promise<readonly Uint8Array[]> => {
        // Not when the request is over: who asks and gives up again and again would have more in work than there is memory.
        if (!wishOf) {
          isWorking = true
          return handle(backend, body, said).finally(() => {
            isWorking = false
            bodies.give(body)
            if (over.aborted) holding?.release()
          })
        }
        const own = Uint8Array.from(body)
        bodies.give(body)
        holding?.release() // while it waits others need the memory
        const answer = await waiting.run(asker, wishOf(own), (until) =>
          handle(backend, own, { ...said, signal: over, until }),
        )
        await grants.accessOf(peer, headers.grant, namespace) // it may have been taken back meanwhile
        return answer
      }
      const answer = await work()
      const droppedAtMs = headers.grant === undefined ? undefined : backend.droppedAtMs()
      const more = droppedAtMs === undefined ? {} : { dropped: String(droppedAtMs) }
      parts.metrics.moved(bodyBytes, lengthOf(answer))
      await send(exchange, { status: 200, headers: more, parts: answer }, holding)
      for (const part of answer) bodies.give(part)
    } catch (error) {
      await fail(parts, exchange, error)
    }
  }
}

/** Answers whoever still speaks HTTP: clients from before frames show people the message. */
export function refuseOlder(request: IncomingMessage, response: ServerResponse): void {
  const message = "This server speaks a newer protocol. Update Holdfast on this machine."
  const body = encodeFailure("ERR_UNSUPPORTED_VERSION", message)
  request.resume()
  response.writeHead(426, { "content-length": body.length, upgrade: transportName, connection: "close, upgrade" })
  response.end(body)
}

/** Runs `end` once `over` aborts, and no later than it has. */
function onOver(over: AbortSignal, end: () => void): void {
  if (over.aborted) end()
  else over.addEventListener("abort", end, { once: true })
}

/** Throws unless the request is one of ours. */
function checkRequest({ bodyBytes }: Exchange, route: Route | undefined): void {
  if (!route) throw new HoldfastError("ERR_NOT_FOUND", "There is no such endpoint.")
  if (bodyBytes > route.maxBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A body of ${bodyBytes} bytes is over this endpoint's limit of ${route.maxBytes}.`,
    )
}

function tooSlow(): HoldfastError {
  const message = "The request came too slowly while others waited for its memory. Send less at once."
  return new HoldfastError("ERR_REMOTE", message, { status: 408 })
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((total, part) => total + part.length, 0)
}

function send(exchange: Exchange, answer: Answer, holding?: Holding): Promise<void> {
  const length = lengthOf(answer.parts)
  holding?.set(Math.max(leastBytes, length))
  holding?.expect(length)
  return exchange.answer({ ...answer, onTaken: (bytes) => holding?.moved(bytes) })
}

/** Answers with what the client may know; the log has the rest. */
async function fail({ log, dir }: ServiceParts, exchange: Exchange, error: unknown): Promise<void> {
  if (exchange.over.aborted) return
  if (exchange.status !== 0) return exchange.destroy()
  const { status, code, body } = failureAnswer(error, dir)
  const cause = error instanceof Error ? error.message : String(error)
  log[status === 500 ? "error" : "warn"]("request-failed", { endpoint: exchange.endpoint, status, code, cause })
  await send(exchange, { status, parts: [body] })
}
