/**
 * How requests and answers of the storage protocol lie on a connection: frames with a head of 8 bytes, many requests at once.
 * Specification: docs/protocols/storage-transport.md. What is read is bounded frame by frame, and no piece of a body is copied here.
 */
import { type CborValue, concat, decodeCbor, encodeCbor, FieldReader, HoldfastError } from "@holdfast/core"

/** The protocol as TLS names it (ALPN). */
export const transportName = "holdfast/3"
/** Bytes of a frame's head. */
const frameHeadBytes = 8
/** Most bytes of a body in one frame: a large body keeps no other waiting for longer than that takes. */
export const mostDataBytes = 256 * 1024
/** Most bytes of a frame that is not data. */
const mostFieldBytes = 16 * 1024
/** Most requests of one connection that are not over. */
export const requestsPerConnection = 16

const mostHeaders = 32
/** Largest body that can be announced; endpoints allow far less. */
const mostBodyBytes = 2 ** 40
const codes = { request: 1, data: 2, answer: 3, cancel: 4, goaway: 5 } as const
const typeOf = new Map(Object.entries(codes).map(([type, code]) => [code as number, type as FrameType]))
const namePattern = /^[a-z][a-z/-]{0,63}$/

/** What a frame can be. */
export type FrameType = keyof typeof codes

/** What is said beside a body. */
export type TransportHeaders = Readonly<Record<string, string>>

/** What a client asks; `bodyBytes` follow in data frames. */
export interface RequestHead {
  readonly endpoint: string
  readonly headers: TransportHeaders
  readonly bodyBytes: number
}

/** What a node answers; `bodyBytes` follow in data frames. */
export interface AnswerHead {
  readonly status: number
  readonly headers: TransportHeaders
  readonly bodyBytes: number
}

/** What a reader finds: frames, and of data frames the pieces as they come, which are views of what was read. */
export type TransportEvent =
  | { readonly type: "request"; readonly id: number; readonly head: RequestHead }
  | { readonly type: "answer"; readonly id: number; readonly head: AnswerHead }
  | { readonly type: "data"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "goaway"; readonly reason: string }

/** The frame that begins request `id`. */
export function encodeRequest(id: number, { endpoint, headers, bodyBytes }: RequestHead): Uint8Array {
  return frame("request", id, encodeCbor([endpoint, headers, bodyBytes]))
}

/** The frame that begins the answer to request `id`. */
export function encodeAnswer(id: number, { status, headers, bodyBytes }: AnswerHead): Uint8Array {
  return frame("answer", id, encodeCbor([status, headers, bodyBytes]))
}

/** Of a client: request `id` is over. Of a node: nothing more comes of its answer. */
export function encodeCancel(id: number): Uint8Array {
  return frameHead("cancel", id, 0)
}

/** Of a node: it takes no new requests on this connection. `reason` is a code, empty when it only stops. */
export function encodeGoAway(reason: string): Uint8Array {
  return frame("goaway", 0, encodeCbor(reason))
}

/** What stands before `length` bytes of a body, 1 to `mostDataBytes`. */
export function dataHead(id: number, length: number): Uint8Array {
  return frameHead("data", id, length)
}

function frame(type: FrameType, id: number, payload: Uint8Array): Uint8Array {
  if (payload.length > mostFieldBytes)
    throw new HoldfastError("ERR_LIMIT", `What is said beside a body takes more than ${mostFieldBytes} bytes.`)
  return concat(frameHead(type, id, payload.length), payload)
}

function frameHead(type: FrameType, id: number, length: number): Uint8Array {
  const head = new Uint8Array(frameHeadBytes)
  const view = new DataView(head.buffer)
  view.setUint32(0, length)
  view.setUint8(0, codes[type]) // lengths need three bytes
  view.setUint32(4, id)
  return head
}

interface OpenFrame {
  readonly type: FrameType
  readonly id: number
  readonly length: number
}

/** Reads the frames of one side of a connection. It holds at most one frame that is not data. */
export class TransportReader {
  readonly #allowed: ReadonlySet<FrameType>
  readonly #head = new Uint8Array(frameHeadBytes)
  #headFill = 0
  #frame: OpenFrame | undefined
  #payload = new Uint8Array()
  #fill = 0

  /** A reader of what the other side may send. */
  constructor(from: "client" | "node") {
    this.#allowed = new Set(from === "client" ? ["request", "data", "cancel"] : ["answer", "data", "cancel", "goaway"])
  }

  /** True in the middle of a frame that is not data: a peer has no reason to pause there. */
  get isWithinFields(): boolean {
    return this.#headFill > 0 || (this.#frame !== undefined && this.#frame.type !== "data")
  }

  /**
   * What lies in the next bytes; whoever stops in the middle goes on with the same iterator. Throws ERR_BAD_FORMAT for what is no
   * frame of this side, and ERR_LIMIT for one that is too long, before memory is taken for it; nothing can be read after that.
   */
  *read(bytes: Uint8Array): Generator<TransportEvent, void, undefined> {
    let at = 0
    while (at < bytes.length) {
      if (!this.#frame) {
        at = this.#readHead(bytes, at)
        if (!this.#frame) return
        if (this.#open().length > 0) continue
      }
      const { type, id, length } = this.#open()
      const piece = bytes.subarray(at, at + length - this.#fill)
      at += piece.length
      if (type !== "data") this.#payload.set(piece, this.#fill)
      this.#fill += piece.length
      const isWhole = this.#fill === length
      if (isWhole) this.#frame = undefined
      if (type === "data") yield { type, id, bytes: piece }
      else if (isWhole) yield eventOf(type, id, this.#payload)
    }
  }

  #open(): OpenFrame {
    return this.#frame!
  }

  #readHead(bytes: Uint8Array, from: number): number {
    const piece = bytes.subarray(from, from + frameHeadBytes - this.#headFill)
    this.#head.set(piece, this.#headFill)
    this.#headFill += piece.length
    if (this.#headFill === frameHeadBytes) {
      this.#headFill = 0
      this.#frame = frameOf(this.#head, this.#allowed)
      this.#fill = 0
      if (this.#frame.type !== "data") this.#payload = new Uint8Array(this.#frame.length)
    }
    return from + piece.length
  }
}

function frameOf(head: Uint8Array, allowed: ReadonlySet<FrameType>): OpenFrame {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const type = typeOf.get(view.getUint8(0))
  if (!type || !allowed.has(type)) throw damaged("an unknown type")
  const length = view.getUint32(0) & 0xffffff
  const id = view.getUint32(4)
  if ((id === 0) !== (type === "goaway")) throw damaged("a wrong request number")
  const most = type === "data" ? mostDataBytes : mostFieldBytes
  if (length > most) throw new HoldfastError("ERR_LIMIT", `A frame of ${length} bytes is over the limit of ${most}.`)
  if (type === "cancel" ? length > 0 : length === 0) throw damaged("a wrong length")
  return { type, id, length }
}

function eventOf(type: Exclude<FrameType, "data">, id: number, payload: Uint8Array): TransportEvent {
  if (type === "cancel") return { type, id }
  const value = decodeCbor(payload, "frame", { maxItems: 2 * mostHeaders + 8 })
  if (type === "goaway") {
    if (typeof value !== "string" || value.length > 64) throw damaged("no reason")
    return { type, reason: value }
  }
  const fields = new FieldReader(value, "frame")
  if (type === "request") {
    const endpoint = fields.text(64)
    if (!namePattern.test(endpoint)) throw damaged("no endpoint")
    return { type, id, head: { endpoint, ...restOf(fields) } }
  }
  return { type, id, head: { status: fields.integer(100, 599), ...restOf(fields) } }
}

function restOf(fields: FieldReader): { headers: TransportHeaders; bodyBytes: number } {
  const headers = headersOf(fields.any())
  const bodyBytes = fields.integer(0, mostBodyBytes)
  fields.end()
  return { headers, bodyBytes }
}

function headersOf(value: CborValue): TransportHeaders {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw damaged("no headers")
  const entries = Object.entries(value as Readonly<Record<string, CborValue>>)
  if (entries.length > mostHeaders) throw damaged("too many headers")
  const headers: Record<string, string> = Object.create(null)
  for (const [name, text] of entries) {
    if (!namePattern.test(name) || typeof text !== "string") throw damaged("a header that is none")
    headers[name] = text
  }
  return headers
}

function damaged(what: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `The connection is damaged: a frame has ${what}.`)
}
