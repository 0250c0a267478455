/** Connections to a node on which a test writes frames as it likes. */
import { connect, type TLSSocket } from "node:tls"
import { type Identity, parseAddress } from "@holdfast/network"
import {
  dataHead,
  encodeRequest,
  mostDataBytes,
  type TransportEvent,
  type TransportHeaders,
  TransportReader,
  transportName,
} from "@holdfast/protocol"

/** A connection that agreed on frames, whatever the server is called; errors end it without a word. */
export function dialRaw(address: string, { keyPem: key, certPem: cert, caPem: ca }: Identity): TLSSocket {
  const to = { ...parseAddress(address), ALPNProtocols: [transportName] }
  const socket = connect({ ...to, key, cert, ca, checkServerIdentity: () => undefined })
  socket.on("error", () => undefined)
  return socket
}

/** The frame of a request whose body is announced with `bodyBytes`. */
export function requestFrame(
  id: number,
  endpoint: string,
  bodyBytes: number,
  headers: TransportHeaders = {},
): Uint8Array {
  return encodeRequest(id, { endpoint, headers, bodyBytes })
}

/** Data frames with all of `bytes`. */
export function dataFrames(id: number, bytes: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += mostDataBytes) {
    const piece = bytes.subarray(at, at + mostDataBytes)
    frames.push(dataHead(id, piece.length), piece)
  }
  return Buffer.concat(frames)
}

/** A request with its body. */
export function wholeRequest(id: number, endpoint: string, body: Uint8Array): Uint8Array {
  return Buffer.concat([requestFrame(id, endpoint, body.length), dataFrames(id, body)])
}

/** Calls `onEvent` with what the node sends. */
export function readEvents(socket: TLSSocket, onEvent: (event: TransportEvent) => void): void {
  const reader = new TransportReader("node")
  socket.on("data", (bytes: Buffer) => {
    for (const event of reader.read(bytes)) onEvent(event)
  })
}

/** What a node says first: the status of its answer, or "goaway" with the reason. Rejects when the connection ends before. */
export function firstWord(socket: TLSSocket): Promise<number | string> {
  return new Promise((resolve, reject) => {
    socket.once("close", () => reject(new Error("The connection ended without a word.")))
    readEvents(socket, (event) => {
      if (event.type === "answer") resolve(event.head.status)
      if (event.type === "goaway") resolve(`goaway ${event.reason}`)
    })
  })
}
