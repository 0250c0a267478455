/** A request of a client that has no whole answer yet. */
import { HoldfastError } from "@holdfast/core"
import type { AnswerHead, TransportHeaders } from "@holdfast/protocol"
import { type Pace, startPace } from "../tls/pace.ts"
import { type Address, aborted, unreachable } from "../tls/unreachable.ts"

/** A request with its bounds. */
export interface TransportCall extends Address {
  readonly endpoint: string
  readonly headers?: TransportHeaders
  readonly body: readonly Uint8Array[]
  /** Largest answer accepted. */
  readonly maxBytes: number
  /** Longest silence of the connection before the request fails. Default 30 s; a new connection must be there in a sixth. */
  readonly timeoutMs?: number
  /**
   * Longest time for the whole request, and a millisecond more for each 16 bytes that move on its connection meanwhile: whoever is
   * slower than 16 kB/s and needs longer is given up. Default 60 s.
   */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  /** Makes the array for the answer. */
  readonly allocate?: (length: number) => Uint8Array
}

/** A whole answer. */
export interface TransportResponse {
  readonly status: number
  readonly headers: TransportHeaders
  readonly body: Uint8Array
}

const bytesPerMs = 16
/** What an answer counts whose length is not known yet. */
const unknownBytes = 256 * 1024

/** How long a request waits when it says nothing else. */
export const usualTimeoutMs = 30_000

/** One request, from the call to its end. */
export class Pending {
  /** Its number on the connection; 0 before it is sent. */
  id = 0
  readonly call: TransportCall
  readonly result: Promise<TransportResponse>
  readonly bodyBytes: number
  /** Settled; the connection may still have something of it under way. */
  isOver = false
  /** Its body is being written, from the caller's memory: until it settles nobody may write there. */
  writing: Promise<unknown> | undefined
  #unsentBytes: number
  #head: AnswerHead | undefined
  #body: Uint8Array = new Uint8Array()
  #fill = 0
  #pace: Pace | undefined
  readonly #settled = Promise.withResolvers<TransportResponse>()
  readonly #onOver: (pending: Pending, isSilent: boolean) => void
  readonly #onAbort = () => this.fail(aborted(this.call.signal))

  /** `onOver` hears when it ends before its answer is whole; with true when the server was silent. */
  constructor(call: TransportCall, onOver: (pending: Pending, isSilent: boolean) => void) {
    this.call = call
    this.#onOver = onOver
    this.result = this.#settled.promise
    this.bodyBytes = call.body.reduce((total, part) => total + part.length, 0)
    this.#unsentBytes = this.bodyBytes
    call.signal?.addEventListener("abort", this.#onAbort, { once: true })
    if (call.signal?.aborted) this.#onAbort()
  }

  get hasAnswer(): boolean {
    return this.#head !== undefined
  }

  /** Bytes that this keeps a connection busy with, as far as that is known. */
  get loadBytes(): number {
    return this.#unsentBytes + (this.#head ? this.#head.bodyBytes - this.#fill : unknownBytes)
  }

  /** It goes out: its time begins. */
  start(id: number): void {
    const { timeoutMs = usualTimeoutMs } = this.call
    this.id = id
    this.#startPace((isSilent) => {
      const why = isSilent ? `it did not answer within ${timeoutMs} ms` : "it answers too slowly"
      this.fail(unreachable(this.call, why), isSilent)
    })
  }

  /** It is over here, and has as long again for the server to give it back. */
  awaitReturn(onLate: () => void): void {
    this.#startPace(onLate)
  }

  /** The server has no more to do with it. */
  stop(): void {
    this.#pace?.stop()
  }

  #startPace(onLate: (isSilent: boolean) => void): void {
    const { timeoutMs = usualTimeoutMs, deadlineMs = 60_000 } = this.call
    this.#pace?.stop()
    this.#pace = startPace({ baseMs: deadlineMs, bytesPerMs, silentMs: timeoutMs }, onLate)
  }

  /** The socket has taken bytes of it. */
  sent(bytes: number): void {
    this.#unsentBytes = Math.max(0, this.#unsentBytes - bytes)
  }

  /** Bytes moved on its connection, its own or others'. */
  moved(bytes: number): void {
    this.#pace?.add(bytes)
  }

  /** Its answer begins. Throws ERR_BAD_FORMAT when it has begun before, ERR_LIMIT when it is to be larger than can be right. */
  begin(head: AnswerHead): void {
    const { maxBytes, allocate = (length: number) => new Uint8Array(length) } = this.call
    if (this.#head) throw misplaced()
    if (head.bodyBytes > maxBytes)
      throw new HoldfastError("ERR_LIMIT", `The server's answer is larger than the ${maxBytes} bytes accepted here.`)
    this.#head = head
    this.#unsentBytes = 0
    if (!this.isOver) this.#body = allocate(head.bodyBytes)
  }

  /** Takes a piece of the answer. Throws ERR_BAD_FORMAT for more than was announced. */
  take(piece: Uint8Array): void {
    if (!this.#head || this.#fill + piece.length > this.#head.bodyBytes) throw misplaced()
    if (!this.isOver) this.#body.set(piece, this.#fill)
    this.#fill += piece.length
  }

  /** True once all of the answer is here and nothing of the request is being written; then it is settled. */
  finish(): boolean {
    const head = this.#head
    if (!head || this.#fill < head.bodyBytes || this.writing) return false
    if (!this.isOver) this.#settle(() => this.#settled.resolve({ ...head, body: this.#body }))
    return true
  }

  /** Ends it with an error; its caller hears of it when nothing of the body is being written any more. */
  fail(error: Error, isSilent = false): void {
    if (this.isOver) return
    const { writing = Promise.resolve() } = this
    const reject = () => this.#settled.reject(error)
    this.#settle(() => void writing.then(reject, reject))
    this.#body = new Uint8Array()
    this.#onOver(this, isSilent)
  }

  #settle(finish: () => void): void {
    this.isOver = true
    this.#pace?.stop()
    this.call.signal?.removeEventListener("abort", this.#onAbort)
    finish()
  }
}

/** The error for frames that are no answer to anything. */
export function misplaced(): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", "The server's answer is damaged: it is no answer to what was asked.")
}
