/** A client's connection to a storage node: many requests at once, each answer written once, into the array of whoever asked. */
import type { OnReadOpts } from "node:net"
import { connect, type SecureContext, type TLSSocket, type ConnectionOptions as TlsOptions } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import {
  encodeCancel,
  encodeRequest,
  requestsPerConnection,
  type TransportEvent,
  TransportReader,
  transportName,
} from "@holdfast/protocol"
import { type AgentOptions, checkServer } from "../tls/expected.ts"
import { refusedFor } from "../tls/refusal.ts"
import { keyIdOf } from "../tls/revoked.ts"
import { type Address, explain, formatAddress, unreachable } from "../tls/unreachable.ts"
import { misplaced, Pending, type TransportCall, type TransportResponse } from "./pending.ts"
import { FrameWriter } from "./writer.ts"

/** What is read at once; each connection has one such array, and each turn of the loop fills it once. */
const readBytes = 256 * 1024

/** Half of what a node allows: it counts a request until it hears that the answer was taken, which is later than that is so. */
export const requestsAtOnce = requestsPerConnection / 2

/** How long a request that is given up waits for the line to take the piece of its body that is being written. */
const lastPieceMs = 500

/** How a connection is made. */
export interface ConnectionOptions extends Address {
  readonly secureContext: SecureContext
  readonly expected: AgentOptions
  /** Longest time until the server has proved who it is. */
  readonly connectMs: number
}

/** One connection. */
export class ClientConnection {
  readonly address: string
  readonly #at: Address
  readonly #socket: TLSSocket
  readonly #writer: FrameWriter
  readonly #reader = new TransportReader("node")
  /** Sent, and neither answered nor given back by the server. */
  readonly #open = new Map<number, Pending>()
  readonly #queue: Pending[] = []
  readonly #opened: Promise<void>
  #isSending = false
  #slot: (() => void) | undefined
  #lastId = 0
  /** How many times more the server may give a number back: once for each that was given up. */
  #mayReturn = 0
  #isClosed = false
  #isLeft = false
  #hasAnswered = false

  constructor(options: ConnectionOptions) {
    this.#at = { host: options.host, port: options.port }
    this.address = formatAddress(options.host, options.port)
    this.#socket = this.#connect(options)
    this.#writer = new FrameWriter(this.#socket)
    this.#opened = this.#secured(options)
    this.#opened.catch((error: Error) => this.#end(error))
    this.#socket.on("error", (error) => this.#end(explain(this.#at, error)))
    this.#socket.once("end", () => this.#end(this.#cutOff()))
    this.#socket.once("close", () => this.#end(this.#cutOff()))
  }

  /** False once it takes no more requests. */
  get isUsable(): boolean {
    return !this.#isClosed && !this.#isLeft
  }

  /** It has served before: when it fails, the server may have closed it for idleness. */
  get hasAnswered(): boolean {
    return this.#hasAnswered
  }

  /** Requests on it. */
  get requests(): number {
    return this.#open.size + this.#queue.length
  }

  /** Bytes that it has yet to move, as far as that is known. */
  get loadBytes(): number {
    let load = 0
    for (const pending of this.#open.values()) load += pending.loadBytes
    for (const pending of this.#queue) load += pending.loadBytes
    return load
  }

  /** Sends a request once those before it are sent, and gives its answer. */
  request(call: TransportCall): Promise<TransportResponse> {
    const pending = new Pending(call, (one, isSilent) => this.#giveUp(one, isSilent))
    if (!pending.isOver) {
      this.#queue.push(pending)
      this.#socket.ref()
      void this.#sendAll()
    }
    return pending.result
  }

  /** Ends it and what is on it. */
  destroy(): void {
    this.#end(this.#cutOff())
  }

  #connect({ host, port, secureContext, expected }: ConnectionOptions): TLSSocket {
    const options: TlsOptions & { readonly onread: OnReadOpts } = {
      ...{ host, port, secureContext },
      rejectUnauthorized: true,
      ALPNProtocols: [transportName, "http/1.1"], // so that an older server proves who it is before we believe that it is older
      checkServerIdentity: (name, certificate) => checkServer(name, certificate, expected),
      onread: {
        buffer: new Uint8Array(readBytes),
        callback: (length, buffer) => {
          this.#receive(buffer.subarray(0, length))
          return true
        },
      },
    }
    return connect(options)
  }

  #secured({ connectMs, expected }: ConnectionOptions): Promise<void> {
    const socket = this.#socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    return new Promise((resolve, reject) => {
      const late = () => reject(unreachable(this.#at, `it did not answer within ${connectMs} ms`))
      const timer = setTimeout(late, connectMs).unref()
      socket.once("close", () => {
        clearTimeout(timer)
        reject(this.#cutOff())
      })
      socket.once("secureConnect", () => {
        clearTimeout(timer)
        const certificate = socket.getPeerX509Certificate()
        if (certificate) expected.revoked?.watch(keyIdOf(certificate), socket)
        if (socket.alpnProtocol === transportName) resolve()
        else reject(older(this.address))
      })
    })
  }

  async #sendAll(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    try {
      await this.#opened
      while (this.#queue.length > 0)
        if (this.#open.size < requestsAtOnce) await this.#send(this.#queue.shift()!)
        else
          await new Promise<void>((resolve) => {
            this.#slot = resolve
          })
    } catch {
      // whoever waits for it was told as the connection ended
    } finally {
      this.#isSending = false
    }
  }

  async #send(pending: Pending): Promise<void> {
    const { endpoint, headers = {}, body } = pending.call
    const id = ++this.#lastId
    pending.start(id)
    this.#open.set(id, pending)
    const { bodyBytes } = pending
    const writing = this.#writer.write({
      id,
      head: encodeRequest(id, { endpoint, headers, bodyBytes }),
      parts: body,
      isOver: () => pending.isOver || pending.hasAnswer,
      onTaken: (bytes) => {
        pending.sent(bytes)
        this.#moved(bytes)
      },
    })
    pending.writing = writing
    const isWhole = await writing
    pending.writing = undefined
    if (pending.isOver) this.#mayReturn++
    if (pending.isOver || !isWhole) await this.#writer.send(encodeCancel(id)) // nobody wants the rest, or the answer
    this.#finish(pending) // its time ran until now: a server that answers and takes no more must not keep anybody waiting
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const event of this.#reader.read(bytes)) this.#take(event)
    } catch (error) {
      this.#end(error as Error)
    }
  }

  /** What one request moves takes time of the others: the line is as slow for all of them. */
  #moved(bytes: number): void {
    for (const pending of this.#open.values()) pending.moved(bytes)
  }

  /** Only what a server may send, and no more of it than it may, buys it time. */
  #take(event: TransportEvent): void {
    if (event.type === "request") return // no reader of a node's frames gives one
    if (event.type === "goaway") {
      this.#leave(event.reason)
      return
    }
    const pending = this.#open.get(event.id)
    if (event.type === "cancel") {
      if (event.id > this.#lastId || (pending && !pending.isOver) || this.#mayReturn-- === 0) throw misplaced()
      if (pending) this.#forget(pending)
      return
    }
    if (!pending) throw misplaced()
    if (event.type === "answer") pending.begin(event.head)
    else pending.take(event.bytes)
    this.#moved(event.type === "answer" ? 1 : event.bytes.length)
    this.#finish(pending)
  }

  #finish(pending: Pending): void {
    if (this.#open.get(pending.id) !== pending || !pending.finish()) return
    this.#hasAnswered = true
    this.#forget(pending)
  }

  #forget(pending: Pending): void {
    this.#open.delete(pending.id)
    pending.stop()
    this.#slot?.()
    this.#slot = undefined
    if (this.requests > 0) return
    if (this.#isLeft) this.#socket.end()
    else this.#socket.unref()
  }

  /** The server takes no new requests here; what it has it answers, unless it says why not. */
  #leave(reason: string): void {
    if (this.#isLeft && reason === "") throw misplaced()
    this.#isLeft = true
    if (reason !== "") this.#end(refusedFor(this.address, reason) ?? ended(this.#at, reason))
    else if (this.requests === 0) this.#socket.end()
  }

  /** A request ended before its answer: the server is told, unless it is as good as dead. */
  #giveUp(pending: Pending, isSilent: boolean): void {
    if (this.#isClosed) return
    if (pending.id === 0) {
      const at = this.#queue.indexOf(pending)
      if (at >= 0) this.#queue.splice(at, 1)
      if (this.requests === 0) this.#socket.unref()
      return
    }
    const end = () => this.#end(this.#cutOff())
    pending.awaitReturn(end)
    if (isSilent) end()
    else if (pending.writing) {
      // What is written lies in memory that its caller wants back: the line takes it soon, or is given up.
      const timer = setTimeout(end, lastPieceMs)
      const stop = () => clearTimeout(timer)
      pending.writing.then(stop, stop)
    } else {
      this.#mayReturn++
      void this.#writer.send(encodeCancel(pending.id))
    }
  }

  #cutOff(): HoldfastError {
    const reset = Object.assign(new Error("the connection was cut"), { code: "ECONNRESET" })
    return explain(this.#at, reset)
  }

  #end(error: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.destroy()
    const all = [...this.#open.values(), ...this.#queue]
    this.#open.clear()
    this.#queue.length = 0
    this.#slot?.()
    for (const pending of all) {
      pending.stop()
      pending.fail(error)
    }
  }
}

function ended(at: Address, reason: string): HoldfastError {
  const why = reason === "too-slow" ? "our request came too slowly" : `it ended the connection (${reason})`
  return unreachable(at, why, Object.assign(new Error(why), { code: "ECONNRESET" }))
}

function older(address: string): HoldfastError {
  return new HoldfastError(
    "ERR_UNSUPPORTED_VERSION",
    `The server at ${address} speaks an older protocol than this Holdfast. Update Holdfast there.`,
    { address },
  )
}
