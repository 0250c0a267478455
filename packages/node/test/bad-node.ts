/**
 * A storage node that answers badly: TLS, certificates and requests are as they should be, and an honest node behind it says
 * what the answer would be. What then goes over the socket is up to a `BadAnswer`.
 */
import type { IncomingMessage } from "node:http"
import { createServer } from "node:https"
import type { TestContext } from "node:test"
import type { TLSSocket } from "node:tls"
import { gzipSync } from "node:zlib"
import { closeServer, createAgent, type Identity, listen, parseAddress, requestBytes } from "@holdfast/network"

/** What a server sends instead of the honest answer. */
export type BadAnswer = (socket: TLSSocket, honest: Buffer, seen: { previous: Buffer | undefined }) => void

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
  { behind, client }: { readonly behind: string; readonly client: Identity },
): Promise<BadNode> {
  const agent = createAgent(client)
  const sockets = new Set<TLSSocket>()
  const seen = { previous: undefined as Buffer | undefined }
  const { keyPem: key, certPem: cert, caPem: ca } = identity
  const serve = async (request: IncomingMessage) => {
    const socket = request.socket as TLSSocket
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const { method = "", url = "" } = request
    const body = Buffer.concat(pieces)
    const { "holdfast-grant": shown } = request.headers
    const headers = typeof shown === "string" ? { "holdfast-grant": shown } : {}
    const answer = await requestBytes(agent, { ...parseAddress(behind), method, path: url, headers, body })
    const honest = answerOf(Buffer.from(answer.body), `${answer.status} OK`)
    if (node.bad) node.bad(socket, honest, seen)
    else socket.write(honest)
    seen.previous = honest
  }
  const server = createServer({ key, cert, ca, requestCert: true, minVersion: "TLSv1.3" }, (request) => {
    serve(request).catch(() => request.destroy()) // the client left, or the test ends
  })
  server.on("secureConnection", (socket) => {
    sockets.add(socket)
    socket.on("error", () => undefined)
  })
  t.after(async () => {
    await closeServer(server, 10)
    agent.destroy()
  })
  const port = await listen(server, { host: "127.0.0.1", port: 0 })
  const node: BadNode = {
    address: `127.0.0.1:${port}`,
    sentBytes: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    bad: undefined,
  }
  return node
}

function answerOf(body: Buffer, status = "200 OK", more = "", length = body.length): Buffer {
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${more}Content-Length: ${length}\r\n\r\n`), body])
}

function bodyOf(answer: Buffer): Buffer {
  return answer.subarray(answer.indexOf("\r\n\r\n") + 4)
}

/** Writes `chunk` until the connection ends. */
function pour(socket: TLSSocket, chunk: string | Buffer): void {
  const write = () => {
    while (!socket.destroyed && socket.write(chunk)) {}
  }
  socket.on("drain", write)
  write()
}

/** Writes a byte at a time, for ever. */
function dribble(socket: TLSSocket, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => socket.write(bytes.subarray(at % bytes.length, (at++ % bytes.length) + 1)), 20)
  socket.once("close", () => clearInterval(timer))
}

const page = Buffer.from("<html><body><h1>It works!</h1></body></html>")
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
const mebibyte = Buffer.alloc(1024 * 1024, 120)

/** Answers that end in an error, with the codes that it may have. */
export const badAnswers: Readonly<Record<string, { readonly answer: BadAnswer; readonly codes: RegExp }>> = {
  "never answers": { answer: () => undefined, codes: /UNREACHABLE/ },
  "answers without end": {
    answer: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      pour(socket, Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(0x10000), Buffer.from("\r\n")]))
    },
    codes: /LIMIT/,
  },
  "announces far too much": {
    answer: (socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 50}\r\n\r\n`),
    codes: /LIMIT/,
  },
  "announces what is no length": {
    answer: (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    codes: /BAD_FORMAT/,
  },
  "answers with a list of nothings for each byte": {
    answer: (socket) => {
      const many = Buffer.alloc(16 * 1024 * 1024, 0x80)
      many.writeUInt8(0x9a)
      many.writeUInt32BE(many.length - 5, 1)
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      const piece = 256 * 1024
      for (let at = 0; at < many.length; at += piece)
        socket.write(
          Buffer.concat([Buffer.from(`${piece.toString(16)}\r\n`), many.subarray(at, at + piece), Buffer.from("\r\n")]),
        )
      socket.write("0\r\n\r\n")
    },
    codes: /LIMIT|BAD_FORMAT/,
  },
  "answers a byte at a time": {
    answer: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
      dribble(socket, Buffer.alloc(1))
    },
    codes: /UNREACHABLE/,
  },
  "sends its headers a byte at a time": {
    answer: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nX-Slow: ")
      dribble(socket, Buffer.from("y"))
    },
    codes: /UNREACHABLE/,
  },
  "promises an answer for ever": {
    answer: (socket) => dribble(socket, Buffer.from("HTTP/1.1 100 Continue\r\n\r\n")),
    codes: /UNREACHABLE|BAD_FORMAT/,
  },
  "sends headers without end": {
    answer: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n")
      pour(socket, `X-Header: ${"x".repeat(500)}\r\n`)
    },
    codes: /BAD_FORMAT/,
  },
  "sends a huge header": {
    answer: (socket) => socket.write(`HTTP/1.1 200 OK\r\nX-Header: ${"x".repeat(1024 * 1024)}\r\n\r\n`),
    codes: /BAD_FORMAT/,
  },
  "resets the connection midway": {
    answer: (socket, honest) => socket.write(honest.subarray(0, honest.length - 1), () => socket.destroy()),
    codes: /UNREACHABLE/,
  },
  "ends midway": {
    answer: (socket, honest) => socket.end(honest.subarray(0, honest.length - 1)),
    codes: /UNREACHABLE/,
  },
  "ends without an answer": { answer: (socket) => socket.end(), codes: /UNREACHABLE/ },
  "announces more than it sends": {
    answer: (socket, honest) => socket.end(answerOf(bodyOf(honest), "200 OK", "", bodyOf(honest).length + 1)),
    codes: /UNREACHABLE/,
  },
  "announces less than it sends": {
    answer: (socket, honest) =>
      socket.write(answerOf(bodyOf(honest), "200 OK", "", Math.max(0, bodyOf(honest).length - 1))),
    codes: /BAD_FORMAT/,
  },
  "sends more than the answer": {
    answer: (socket, honest) => socket.write(answerOf(Buffer.concat([bodyOf(honest), Buffer.from("x")]))),
    codes: /BAD_FORMAT/,
  },
  "fails with a web page": {
    answer: (socket) => socket.write(answerOf(page, "502 Bad Gateway", "Content-Type: text/html\r\n")),
    codes: /REMOTE/,
  },
  "answers with a web page": {
    answer: (socket) => socket.write(answerOf(page, "200 OK", "Content-Type: text/html\r\n")),
    codes: /BAD_FORMAT|LIMIT/,
  },
  "sends elsewhere": {
    answer: (socket) => socket.write(answerOf(page, "307 Temporary Redirect", "Location: https://127.0.0.1:1/\r\n")),
    codes: /REMOTE/,
  },
  "answers without content": {
    answer: (socket) => socket.write("HTTP/1.1 204 No Content\r\nContent-Length: 1000\r\n\r\n"),
    codes: /REMOTE|UNREACHABLE/,
  },
  "changes the protocol": {
    answer: (socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    codes: /UNREACHABLE/,
  },
  "compresses a bomb": {
    answer: (socket) => {
      socket.write(answerOf(bomb, "200 OK", "Content-Encoding: gzip\r\n"))
    },
    codes: /BAD_FORMAT|LIMIT/,
  },
  "speaks no HTTP": { answer: (socket) => socket.write("220 mail.example.org ESMTP\r\n"), codes: /BAD_FORMAT/ },
  "sends noise": { answer: (socket) => pour(socket, mebibyte), codes: /BAD_FORMAT/ },
  "answers nothing to everything": { answer: (socket) => socket.write(answerOf(Buffer.alloc(0))), codes: /BAD_FORMAT/ },
}

/** Answers that look good but belong to something else; with what comes then, nothing is known but what is verified. */
export const misplacedAnswers: Readonly<Record<string, BadAnswer>> = {
  "answers the request before": (socket, honest, { previous }) => socket.write(previous ?? honest),
  "answers everything twice": (socket, honest) => {
    socket.write(honest)
    socket.write(honest)
  },
}
