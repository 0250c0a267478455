/** Checks frames of the storage transport against interop/vectors/transport.json. */
import { assert, type ErrorCode, fromHex, HoldfastError, toHex } from "@holdfast/core"
import {
  dataHead,
  encodeAnswer,
  encodeCancel,
  encodeGoAway,
  encodeRequest,
  type TransportEvent,
  TransportReader,
} from "../transport.ts"

/** What one side sends. */
export interface TransportVector {
  readonly name: string
  readonly from: "client" | "node"
  /** Frames one after another, in hexadecimal. */
  readonly bytes: string
}

/** interop/vectors/transport.json. */
export interface TransportVectors {
  /** With what a reader finds; bytes are hexadecimal. */
  readonly good: readonly (TransportVector & { readonly events: readonly unknown[] })[]
  readonly bad: readonly (TransportVector & { readonly error: ErrorCode })[]
}

/** What `bytes` are to a reader that is given so many of them at once. Throws as `TransportReader` does. */
export function transportEvents({ from, bytes }: TransportVector, atOnce: number): unknown[] {
  const reader = new TransportReader(from)
  const all = fromHex(bytes)
  const events: unknown[] = []
  for (let at = 0; at < all.length; at += atOnce)
    for (const event of reader.read(all.subarray(at, at + atOnce))) join(events, shown(event))
  return events
}

/** Throws unless every vector is read as it says, in pieces of any size, and written again as it is. */
export function checkTransportVectors({ good, bad }: TransportVectors): void {
  for (const vector of good) {
    for (const atOnce of [1, 7, 1e9])
      assert(
        JSON.stringify(transportEvents(vector, atOnce)) === JSON.stringify(vector.events),
        `${vector.name}: events`,
      )
    const written = vector.events.map((event) => toHex(encoded(event as Shown))).join("")
    assert(written === vector.bytes, `${vector.name}: bytes`)
  }
  for (const vector of bad) {
    let code: string | undefined
    try {
      transportEvents(vector, 5)
    } catch (error) {
      code = error instanceof HoldfastError ? error.code : String(error)
    }
    assert(code === vector.error, `${vector.name}: ${code ?? "taken"}, not ${vector.error}`)
  }
}

type Shown = Exclude<TransportEvent, { type: "data" }> | { type: "data"; id: number; bytes: string }

function shown(event: TransportEvent): Shown {
  return event.type === "data" ? { ...event, bytes: toHex(event.bytes) } : event
}

/** Pieces of one body are one, however they came. */
function join(events: unknown[], event: Shown): void {
  const last = events.at(-1) as Shown | undefined
  if (event.type === "data" && last?.type === "data" && last.id === event.id)
    events.splice(-1, 1, { ...last, bytes: last.bytes + event.bytes })
  else events.push(event)
}

function encoded(event: Shown): Uint8Array {
  if (event.type === "request") return encodeRequest(event.id, event.head)
  if (event.type === "answer") return encodeAnswer(event.id, event.head)
  if (event.type === "cancel") return encodeCancel(event.id)
  if (event.type === "goaway") return encodeGoAway(event.reason)
  return fromHex(toHex(dataHead(event.id, event.bytes.length / 2)) + event.bytes)
}
