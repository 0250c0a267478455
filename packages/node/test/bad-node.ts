/**
 * A storage node that answers badly: TLS, certificates and requests are as they should be, and an honest node behind it says
 * what the answer would be. What then goes over the socket is up to a `BadAnswer`.
 */
import type { TestContext } from "node:test"
import { createServer, type TLSSocket } from "node:tls"
import { type Identity, listen, parseAddress, TransportClient } from "@holdfast/network"
import {
  encodeAnswer,
  encodeCancel,
  encodeGoAway,
  type RequestHead,
  type TransportHeaders,
  TransportReader,
  transportName,
} from "@holdfast/protocol"
import { dataFrames } from "./raw.ts"

/** An honest answer that was to be sent. */
export interface HonestAnswer {
  readonly id: number
  readonly status: number
  readonly headers: TransportHeaders
  readonly body: Buffer
  /** All of its frames. */
  readonly frames: Buffer
}

/** What a server sends instead of the honest answer. */
export type BadAnswer = (socket: TLSSocket, honest: HonestAnswer, seen: { previous: HonestAnswer | undefined }) => void

/** A running one. */
export interface BadNode {
  readonly address: string
  /** Bytes written so far. */
  sentBytes(): number
  /** What to do from now on; undefined answers honestly. */
  bad: BadAnswer | undefined
}

/** Starts one with `identity` in front of the node at `behind`, which it asks as `client`. */
export async function startBadNode(
  t: TestContext,
  identity: Pick<Identity, "keyPem" | "certPem" | "caPem">,
  {
    behind,
    client,
    protocol = transportName,
  }: { readonly behind: string; readonly client: Identity; readonly protocol?: string },
): Promise<BadNode> {
  const transport = new TransportClient(client)
  const sockets = new Set<TLSSocket>()
  const seen = { previous: undefined as HonestAnswer | undefined }
  const { keyPem: key, certPem: cert, caPem: ca } = identity
  const serve = async (socket: TLSSocket, id: number, { endpoint, headers }: RequestHead, body: Uint8Array) => {
    const call = { ...parseAddress(behind), endpoint, headers, body: [body], maxBytes: 2 ** 25 }
    const answer = await transport.request(call)
    const honest = honestOf(id, answer.status, answer.headers, Buffer.from(answer.body))
    if (node.bad) node.bad(socket, honest, seen)
    else socket.write(honest.frames)
    seen.previous = honest
  }
  const server = createServer(
    { key, cert, ca, requestCert: true, minVersion: "TLSv1.3", ALPNProtocols: [protocol] },
    (socket) => {
      sockets.add(socket)
      socket.on("error", () => undefined)
      readRequests(socket, (id, head, body) => {
        serve(socket, id, head, body).catch(() => socket.destroy()) // the client left, or the test ends
      })
    },
  )
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
    transport.close()
  })
  const port = await listen(server, { host: "127.0.0.1", port: 0 })
  const node: BadNode = {
    address: `127.0.0.1:${port}`,
    sentBytes: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    bad: undefined,
  }
  return node
}

function readRequests(socket: TLSSocket, onRequest: (id: number, head: RequestHead, body: Uint8Array) => void): void {
  const reader = new TransportReader("client")
  let open: { id: number; head: RequestHead; pieces: Buffer[]; left: number } | undefined
  socket.on("data", (bytes: Buffer) => {
    for (const event of reader.read(bytes)) {
      if (event.type === "request") open = { ...event, pieces: [], left: event.head.bodyBytes }
      if (event.type === "data" && open) {
        open.pieces.push(Buffer.from(event.bytes))
        open.left -= event.bytes.length
      }
      if (open?.left === 0) {
        const { id, head, pieces } = open
        open = undefined
        onRequest(id, head, Buffer.concat(pieces))
      }
    }
  })
}

function honestOf(id: number, status: number, headers: TransportHeaders, body: Buffer): HonestAnswer {
  return { id, status, headers, body, frames: answerOf(id, body, status, headers) }
}

function answerOf(id: number, body: Uint8Array, status = 200, headers: TransportHeaders = {}, length = body.length) {
  return Buffer.concat([encodeAnswer(id, { status, headers, bodyBytes: length }), dataFrames(id, body)])
}

/** Writes `chunk` until the connection ends. */
function pour(socket: TLSSocket, chunk: string | Uint8Array): void {
  const write = () => {
    while (!socket.destroyed && socket.write(chunk)) {}
  }
  socket.on("drain", write)
  write()
}

/** Writes a byte at a time, for ever. */
function dribble(socket: TLSSocket, next: () => Uint8Array): void {
  const timer = setInterval(() => socket.write(next()), 20)
  socket.once("close", () => clearInterval(timer))
}

const page = Buffer.from("<html><body><h1>It works!</h1></body></html>")
const mebibyte = Buffer.alloc(1024 * 1024, 120)
const oneByte = new Uint8Array(1)

/** Answers that end in an error, with the codes that it may have. */
export const badAnswers: Readonly<Record<string, { readonly answer: BadAnswer; readonly codes: RegExp }>> = {
  "never answers": { answer: () => undefined, codes: /UNREACHABLE/ },
  "answers without end": {
    answer: (socket, { id }) => {
      socket.write(answerOf(id, new Uint8Array(), 200, {}, 4))
      pour(socket, dataFrames(id, new Uint8Array(0x10000)))
    },
    codes: /BAD_FORMAT/,
  },
  "announces far too much": {
    answer: (socket, { id }) => socket.write(answerOf(id, new Uint8Array(), 200, {}, 2 ** 40)),
    codes: /LIMIT/,
  },
  "announces what is no length": {
    answer: (socket, { id }) => socket.write(fields(3, id, "8318c8a020")), // [200, {}, -1]
    codes: /BAD_FORMAT/,
  },
  "answers with a list of nothings for each byte": {
    answer: (socket, { id }) => {
      const many = Buffer.alloc(16 * 1024 * 1024, 0x80)
      many.writeUInt8(0x9a)
      many.writeUInt32BE(many.length - 5, 1)
      socket.write(answerOf(id, many))
    },
    codes: /LIMIT|BAD_FORMAT/,
  },
  "answers a byte at a time": {
    answer: (socket, { id }) => {
      socket.write(answerOf(id, new Uint8Array(), 200, {}, 1000))
      dribble(socket, () => dataFrames(id, oneByte))
    },
    codes: /UNREACHABLE/,
  },
  "sends an answer's fields a byte at a time": {
    answer: (socket) => {
      socket.write(new Uint8Array([3, 0, 0x3f, 0xff, 0, 0, 0, 1]))
      dribble(socket, () => oneByte)
    },
    codes: /UNREACHABLE/,
  },
  "sends a frame's head and nothing more": {
    answer: (socket, { id, frames }) => socket.write(id === 1 ? frames.subarray(0, 5) : new Uint8Array()),
    codes: /UNREACHABLE/,
  },
  "sends fields that are too long": {
    answer: (socket) => {
      socket.write(new Uint8Array([3, 0, 0x40, 1, 0, 0, 0, 1]))
      pour(socket, mebibyte)
    },
    codes: /LIMIT/,
  },
  "sends a piece that is too long": {
    answer: (socket, { id }) => {
      socket.write(answerOf(id, new Uint8Array(), 200, {}, 100))
      socket.write(Buffer.concat([new Uint8Array([2, 4, 0, 1, 0, 0, 0, id])]))
      pour(socket, mebibyte)
    },
    codes: /LIMIT/,
  },
  "sends many headers": {
    answer: (socket, { id }) => {
      const names = Array.from({ length: 33 }, (_, i) => [`x${"abcdefgh"[i % 8]}${"abcdefgh"[i >> 3]}`, "y"])
      socket.write(encodeAnswer(id, { status: 200, headers: Object.fromEntries(names), bodyBytes: 0 }))
    },
    codes: /BAD_FORMAT/,
  },
  "resets the connection midway": {
    answer: (socket, { frames }) => {
      socket.write(frames.subarray(0, frames.length - 1), () => socket.destroy())
      socket.write = () => false // else another answer's first byte would complete this one
    },
    codes: /UNREACHABLE/,
  },
  "ends midway": {
    answer: (socket, { frames }) => socket.end(frames.subarray(0, frames.length - 1)),
    codes: /UNREACHABLE/,
  },
  "ends without an answer": { answer: (socket) => socket.end(), codes: /UNREACHABLE/ },
  "announces more than it sends": {
    answer: (socket, { id, body }) => socket.end(answerOf(id, body, 200, {}, body.length + 1)),
    codes: /UNREACHABLE/,
  },
  "announces less than it sends": {
    answer: (socket, { id, body }) => socket.write(answerOf(id, body, 200, {}, Math.max(0, body.length - 1))),
    codes: /BAD_FORMAT/,
  },
  "sends more than the answer": {
    answer: (socket, { id, body }) => socket.write(answerOf(id, Buffer.concat([body, oneByte]))),
    codes: /BAD_FORMAT/,
  },
  "sends data before its answer": {
    answer: (socket, { id }) => socket.write(dataFrames(id, oneByte)),
    codes: /BAD_FORMAT/,
  },
  "begins an answer twice": {
    answer: (socket, { id }) => {
      socket.write(answerOf(id, new Uint8Array(), 200, {}, 10))
      socket.write(answerOf(id, new Uint8Array(), 200, {}, 10))
    },
    codes: /BAD_FORMAT/,
  },
  "answers what nobody asked": {
    answer: (socket, { id, body }) => socket.write(answerOf(id + 1000, body)),
    codes: /BAD_FORMAT/,
  },
  "gives back what nobody gave up": { answer: (socket, { id }) => socket.write(encodeCancel(id)), codes: /BAD_FORMAT/ },
  "sends requests": {
    answer: (socket) => socket.write(new Uint8Array([1, 0, 0, 1, 0, 0, 0, 1, 0])),
    codes: /BAD_FORMAT/,
  },
  "sends everybody away": { answer: (socket) => socket.end(encodeGoAway("too-slow")), codes: /UNREACHABLE/ },
  "sends everybody away for a reason that is none": {
    answer: (socket) => socket.write(fields(5, 0, "a0")),
    codes: /BAD_FORMAT/,
  },
  "refuses everybody": { answer: (socket) => socket.end(encodeGoAway("revoked")), codes: /REFUSED/ },
  "fails with a web page": { answer: (socket, { id }) => socket.write(answerOf(id, page, 502)), codes: /REMOTE/ },
  "answers with a web page": {
    answer: (socket, { id }) => socket.write(answerOf(id, page)),
    codes: /BAD_FORMAT|LIMIT/,
  },
  "answers without content": { answer: (socket, { id }) => socket.write(answerOf(id, oneByte, 204)), codes: /REMOTE/ },
  "speaks no protocol": { answer: (socket) => socket.write("220 mail.example.org ESMTP\r\n"), codes: /BAD_FORMAT/ },
  "sends noise": { answer: (socket) => pour(socket, mebibyte), codes: /BAD_FORMAT/ },
  "answers nothing to everything": {
    answer: (socket, { id }) => socket.write(answerOf(id, Buffer.alloc(0))),
    codes: /BAD_FORMAT/,
  },
}

/** A frame of this type with these fields, in hexadecimal. */
function fields(type: number, id: number, hex: string): Uint8Array {
  const payload = Buffer.from(hex, "hex")
  return Buffer.concat([new Uint8Array([type, 0, 0, payload.length, 0, 0, 0, id]), payload])
}

/** Answers that look good but belong to something else; with what comes then, nothing is known but what is verified. */
export const misplacedAnswers: Readonly<Record<string, BadAnswer>> = {
  "answers the request before": (socket, honest, { previous }) =>
    socket.write(previous ? answerOf(honest.id, previous.body, previous.status, previous.headers) : honest.frames),
  "answers everything twice": (socket, { frames }) => {
    socket.write(frames)
    socket.write(frames)
  },
}
