/** One request at a server and its answer, over a connection that carries many. */
import type { TLSSocket } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import { encodeAnswer, type RequestHead, type TransportHeaders } from "@holdfast/protocol"
import type { FrameWriter } from "./writer.ts"

/** What a server answers. */
export interface Answer {
  readonly status: number
  readonly headers?: TransportHeaders
  readonly parts: readonly Uint8Array[]
  /** Hears of bytes that the client has taken. */
  readonly onTaken?: (bytes: number) => void
}

/** Takes a piece of a body, which is valid until then; the connection is read on when the promise, if any, is fulfilled. */
export type TakePiece = (piece: Uint8Array) => Promise<void> | undefined

/** One request, as whoever answers it sees it. */
export interface Exchange {
  /** The connection, whose certificate says who asks. */
  readonly socket: TLSSocket
  readonly endpoint: string
  readonly headers: TransportHeaders
  /** Length of the body, as announced and kept. */
  readonly bodyBytes: number
  /** The answer's status; 0 before there is one. */
  readonly status: number
  /** Aborts when nobody hears the answer any more, or it is taken. */
  readonly over: AbortSignal
  /** Hands over the body, once. Rejects with ERR_BAD_FORMAT when it is cut short, with what `take` or the signal fails with. */
  receive(take: TakePiece, signal: AbortSignal): Promise<void>
  /** Answers; what has not come of the body by then is not kept. Resolves when the client has taken the answer, or left. */
  answer(answer: Answer): Promise<void>
  /** Ends the connection: there is no other way to take back an answer that has begun. */
  destroy(): void
}

interface Receiver {
  readonly take: TakePiece
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What carries an exchange. */
interface Carrier {
  readonly socket: TLSSocket
  readonly writer: FrameWriter
}

/** An exchange with the side that its connection sees. */
export class ServerExchange implements Exchange {
  readonly id: number
  readonly endpoint: string
  readonly headers: TransportHeaders
  readonly bodyBytes: number
  readonly startMs = performance.now()
  status = 0
  /** Whoever answers has done so, or given up. */
  isServed = false
  /** The client said that it wants no answer, before it had one. */
  isCancelled = false
  /** Bytes of the body that have not come. */
  missingBytes: number
  readonly #carrier: Carrier
  readonly #over = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  #receiver: Receiver | undefined
  #isDiscarding = false

  constructor(carrier: Carrier, id: number, { endpoint, headers, bodyBytes }: RequestHead) {
    this.#carrier = carrier
    this.id = id
    this.endpoint = endpoint
    this.headers = headers
    this.bodyBytes = bodyBytes
    this.missingBytes = bodyBytes
  }

  get socket(): TLSSocket {
    return this.#carrier.socket
  }

  get over(): AbortSignal {
    return this.#over.signal
  }

  receive(take: TakePiece, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.over.aborted) return reject(cutShort())
      const onAbort = () => this.#refuseBody(signal.reason)
      const settle = (finish: () => void) => {
        signal.removeEventListener("abort", onAbort)
        finish()
      }
      this.#receiver = {
        take,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      }
      signal.addEventListener("abort", onAbort)
      if (signal.aborted) onAbort()
      this.#ready.resolve()
      if (this.bodyBytes === 0) this.#receiver.resolve()
    })
  }

  async answer({ status, headers = {}, parts, onTaken }: Answer): Promise<void> {
    if (this.over.aborted || this.status !== 0) return
    this.status = status
    this.#discard()
    const bodyBytes = parts.reduce((total, part) => total + part.length, 0)
    const head = encodeAnswer(this.id, { status, headers, bodyBytes })
    await this.#carrier.writer.write({ id: this.id, head, parts, onTaken, isOver: () => this.over.aborted })
    this.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Takes a piece of the body; when that gives a promise, nothing more may come before it is settled. */
  takePiece(piece: Uint8Array): Promise<void> | undefined {
    this.missingBytes -= piece.length
    if (this.#isDiscarding) return undefined
    if (!this.#receiver) return this.#ready.promise.then(() => this.#hand(piece))
    return this.#hand(piece)
  }

  /** The client wants no answer. */
  cancel(): void {
    if (this.over.aborted) return
    this.isCancelled = true
    this.end()
  }

  /** Nobody hears an answer any more, and nothing comes of the body. */
  end(): void {
    if (this.over.aborted) return
    this.#over.abort()
    this.#refuseBody(cutShort())
  }

  #hand(piece: Uint8Array): Promise<void> | undefined {
    if (this.#isDiscarding || !this.#receiver) return undefined
    const isLast = this.missingBytes === 0
    const { take, resolve } = this.#receiver
    const taken = take(piece)
    if (taken)
      return taken.then(
        () => isLast && resolve(),
        (error: unknown) => this.#refuseBody(error),
      ) as Promise<void>
    if (isLast) resolve()
    return undefined
  }

  #refuseBody(error: unknown): void {
    this.#receiver?.reject(error)
    this.#discard()
  }

  #discard(): void {
    this.#isDiscarding = true
    this.#receiver = undefined
    this.#ready.resolve()
  }
}

function cutShort(): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", "The body is cut short.")
}
