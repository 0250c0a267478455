/**
 * The server's end of connections that carry requests in frames. Specification: docs/protocols/storage-transport.md. A connection
 * is read no faster than the bodies on it are taken, and holds no more of them than a few TLS records.
 */
import type { TLSSocket } from "node:tls"
import { discard, HoldfastError, isHoldfastError } from "@holdfast/core"
import {
  encodeCancel,
  encodeGoAway,
  requestsPerConnection,
  type TransportEvent,
  TransportReader,
} from "@holdfast/protocol"
import { type Exchange, ServerExchange } from "./exchange.ts"
import { FrameWriter } from "./writer.ts"

/** Answers one request; what it throws ends the connection. */
export type ServeExchange = (exchange: Exchange) => Promise<void>

/** Times that are looked at now and then. */
export interface TransportTimes {
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly answerTimeoutMs: number
  readonly checkEveryMs: number
}

/** Read ahead while a body waits for memory, so that one whose client leaves is heard of. */
const aheadBytes = 64 * 1024
/** What each piece costs beside its bytes: who sends a byte at a time would have us hold a hundred times that. */
const pieceBytes = 512

/** The connections of a server. */
export class TransportServer {
  readonly #serve: ServeExchange
  readonly #times: TransportTimes
  readonly #connections = new Set<ServerConnection>()
  readonly #timer: NodeJS.Timeout

  constructor(serve: ServeExchange, times: TransportTimes) {
    this.#serve = serve
    this.#times = times
    this.#timer = setInterval(() => {
      for (const connection of this.#connections) connection.check(times)
    }, times.checkEveryMs)
    this.#timer.unref()
  }

  /** Serves what comes on a connection that was admitted. */
  take(socket: TLSSocket): void {
    const connection = new ServerConnection(socket, this.#serve)
    this.#connections.add(connection)
    socket.setTimeout(this.#times.idleTimeoutMs, () => socket.destroy())
    socket.once("close", () => this.#connections.delete(connection))
  }

  /** Each connection ends once it has no request. */
  endIdle(): void {
    for (const connection of this.#connections) connection.goAway("")
  }

  /** Ends all connections. */
  destroyAll(): void {
    for (const connection of this.#connections) connection.socket.destroy()
  }

  /** Ends the looking at times. */
  stop(): void {
    clearInterval(this.#timer)
  }
}

class ServerConnection {
  readonly socket: TLSSocket
  readonly writer: FrameWriter
  readonly #serve: ServeExchange
  readonly #reader = new TransportReader("client")
  readonly #open = new Map<number, ServerExchange>()
  /** Come and not read yet. */
  readonly #ahead: Uint8Array[] = []
  #aheadBytes = 0
  #isBusy = false
  #lastId = 0
  /** Whose body is under way. */
  #incoming: ServerExchange | undefined
  #isLeaving = false
  /** It was told why; nothing is read any more. */
  #isOver = false
  #idleSinceMs = performance.now()
  #fieldsSinceMs: number | undefined

  constructor(socket: TLSSocket, serve: ServeExchange) {
    this.socket = socket
    this.#serve = serve
    this.writer = new FrameWriter(socket)
    socket.on("error", () => undefined) // its close says enough
    socket.on("data", (bytes: Buffer) => this.#receive(bytes))
    socket.once("end", () => socket.destroy())
    socket.once("close", () => {
      for (const exchange of this.#open.values()) exchange.end()
    })
  }

  /** Ends the connection, at once or after its last answer, and says why where that is known. */
  goAway(reason: string): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    void this.writer.send(encodeGoAway(reason))
    if (this.#open.size === 0) this.#leave()
  }

  /** Ends what takes too long. */
  check({ headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, answerTimeoutMs }: TransportTimes): void {
    if (this.#isOver) return
    const nowMs = performance.now()
    const isLate = (sinceMs: number | undefined, mostMs: number) => sinceMs !== undefined && sinceMs < nowMs - mostMs
    if (isLate(this.#fieldsSinceMs, headersTimeoutMs) || isLate(this.#incoming?.startMs, requestTimeoutMs))
      this.#fail("too-slow")
    else if ([...this.#open.values()].some(({ startMs }) => isLate(startMs, answerTimeoutMs))) this.socket.destroy()
    else if (this.#open.size === 0 && isLate(this.#idleSinceMs, keepAliveTimeoutMs)) this.goAway("")
  }

  #receive(bytes: Uint8Array): void {
    this.#ahead.push(bytes)
    this.#aheadBytes += bytes.length + pieceBytes
    if (!this.#isBusy) this.#readNext()
    if (this.#isBusy && this.#aheadBytes > aheadBytes) this.socket.pause()
  }

  #readNext(): void {
    for (let bytes = this.#ahead.shift(); bytes; bytes = this.#ahead.shift()) {
      this.#aheadBytes -= bytes.length + pieceBytes
      if (!this.#read(bytes, this.#reader.read(bytes))) return
    }
    if (this.socket.isPaused()) this.socket.resume()
  }

  /** True when all is read; else it goes on by itself. */
  #read(bytes: Uint8Array, events: Generator<TransportEvent>): boolean {
    try {
      for (let next = events.next(); !next.done; next = events.next()) {
        const taken = this.#take(next.value)
        if (!taken) continue
        this.#isBusy = true
        taken.then(
          () => {
            this.#isBusy = false
            if (!this.socket.destroyed && !this.#isOver && this.#read(bytes, events)) this.#readNext()
          },
          () => this.socket.destroy(),
        )
        return false
      }
    } catch (error) {
      this.#fail(isHoldfastError(error) ? "bad-frame" : "failed")
      return false
    }
    discard(bytes)
    this.#fieldsSinceMs = this.#reader.isWithinFields ? (this.#fieldsSinceMs ?? performance.now()) : undefined
    return true
  }

  #take(event: TransportEvent): Promise<void> | undefined {
    if (event.type === "request") this.#begin(new ServerExchange(this, event.id, event.head))
    else if (event.type === "cancel") this.#cancel(event.id)
    else if (event.type === "data") return this.#takePiece(event.id, event.bytes)
    return undefined
  }

  #begin(exchange: ServerExchange): void {
    if (this.#incoming || exchange.id <= this.#lastId || this.#open.size >= requestsPerConnection)
      throw new HoldfastError("ERR_BAD_FORMAT", "A request begins where none may.")
    this.#lastId = exchange.id
    this.#open.set(exchange.id, exchange)
    if (exchange.bodyBytes > 0) this.#incoming = exchange
    this.#finish(exchange).catch(() => this.socket.destroy())
  }

  /** Its number is in use until all is written that was queued for it: who reads nothing cannot make that grow. */
  async #finish(exchange: ServerExchange): Promise<void> {
    await this.#serve(exchange)
    exchange.end()
    if (exchange.isCancelled) await this.writer.send(encodeCancel(exchange.id))
    exchange.isServed = true
    if (exchange !== this.#incoming) this.#forget(exchange)
  }

  #takePiece(id: number, piece: Uint8Array): Promise<void> | undefined {
    const exchange = this.#incoming
    if (exchange?.id !== id || piece.length > exchange.missingBytes)
      throw new HoldfastError("ERR_BAD_FORMAT", "A piece of a body comes where none may.")
    const taken = exchange.takePiece(piece)
    if (exchange.missingBytes === 0) this.#endBody(exchange)
    return taken
  }

  /** Nothing more comes of the body: a request that is answered already is over. */
  #endBody(exchange: ServerExchange): void {
    this.#incoming = undefined
    if (exchange.isServed) this.#forget(exchange)
  }

  #cancel(id: number): void {
    const exchange = this.#open.get(id)
    if (!exchange) return // its answer and this crossed
    const isIncoming = exchange === this.#incoming
    if (!isIncoming || exchange.status === 0) exchange.cancel() // else the answer has begun, and only the body is given up
    if (isIncoming) this.#endBody(exchange)
  }

  #forget(exchange: ServerExchange): void {
    this.#open.delete(exchange.id)
    this.#idleSinceMs = performance.now()
    if (this.#isLeaving && this.#open.size === 0) this.#leave()
  }

  #leave(): void {
    void this.writer.send(new Uint8Array()).then(() => this.socket.end())
    setTimeout(() => this.socket.destroy(), 1_000).unref()
  }

  #fail(reason: string): void {
    this.#isOver = true
    this.socket.removeAllListeners("data").resume() // a reset for unread bytes could overtake the reason
    for (const exchange of this.#open.values()) exchange.end()
    void this.writer.send(encodeGoAway(reason))
    this.#leave()
  }
}
