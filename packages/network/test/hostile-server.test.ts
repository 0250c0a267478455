/** Requests in frames to servers that follow the handshake and nothing else, and to lines that stand still. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { connect as connectPlain, createServer as createPlainServer, type Server } from "node:net"
import { type TestContext, test } from "node:test"
import { createServer, type TLSSocket } from "node:tls"
import {
  encodeAnswer,
  encodeCancel,
  encodeGoAway,
  type TransportEvent,
  TransportReader,
  transportName,
} from "@holdfast/protocol"
import { listen, TransportClient } from "../src/index.ts"
import { FrameWriter } from "../src/transport/writer.ts"
import { newAuthority, newMember } from "./fixtures.ts"

/** A server of the grid that does `answer` with what comes, and a client of it with one connection. */
async function hostile(t: TestContext, answer: (event: TransportEvent, socket: TLSSocket) => void) {
  const authority = await newAuthority(t)
  const node = await newMember(authority, { memberId: "n1", role: "node", tenant: "grid" })
  const alice = await newMember(authority, { memberId: "alice", role: "client", tenant: "alice" })
  const { keyPem: key, certPem: cert, caPem: ca } = node
  const tls = { key, cert, ca, requestCert: true, ALPNProtocols: [transportName] }
  const sockets = new Set<TLSSocket>()
  const server = createServer(tls, (socket) => {
    sockets.add(socket)
    const reader = new TransportReader("client")
    socket.on("error", () => undefined)
    socket.on("data", (bytes: Buffer) => {
      for (const event of reader.read(bytes)) answer(event, socket)
    })
  })
  const transport = new TransportClient(alice, { expectedId: "n1", maxSockets: 1 })
  t.after(() => {
    transport.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const port = await listen(server, { host: "127.0.0.1", port: 0 })
  const bounds = { timeoutMs: 600, deadlineMs: 1_200, maxBytes: 100 }
  const ask = (bodyBytes: number, signal?: AbortSignal) => ({
    ...{ host: "127.0.0.1", port, endpoint: "some/thing", body: [new Uint8Array(bodyBytes)], ...bounds },
    ...(signal && { signal }),
  })
  return { transport, ask }
}

const nothing = (id: number) => encodeAnswer(id, { status: 200, headers: {}, bodyBytes: 0 })

/** Writes a frame again and again. */
function flood(socket: TLSSocket, frame: Uint8Array): void {
  const frames = Buffer.concat(Array.from({ length: 100 }, () => frame))
  const timer = setInterval(() => socket.write(frames), 5)
  socket.once("close", () => clearInterval(timer))
}

for (const ending of ["its time", "its caller"] as const)
  test(`a request that is answered while its server takes nothing of its body any more is ended by ${ending}, with those behind it`, {
    timeout: 20_000,
  }, async (t) => {
    const stop = new AbortController()
    const answered = Promise.withResolvers<void>()
    const { transport, ask } = await hostile(t, (event, socket) => {
      if (event.type !== "request") return
      socket.pause()
      // By then the line is full: what is written waits for the server to take it.
      setTimeout(() => socket.write(nothing(event.id), () => answered.resolve()), 200)
    })
    const first = transport.request(ask(2 ** 25, stop.signal))
    const second = transport.request(ask(10))
    const ended = [
      assert.rejects(first, { code: ending === "its time" ? "ERR_SERVER_UNREACHABLE" : "ERR_ABORTED" }),
      assert.rejects(second, { code: "ERR_SERVER_UNREACHABLE" }),
    ]
    await answered.promise
    if (ending === "its caller") stop.abort()
    await Promise.all(ended)
  })

test("frames that are no part of an answer buy no time: who sends them without end is given up at once", {
  timeout: 20_000,
}, async (t) => {
  const floods: Readonly<Record<string, Uint8Array>> = {
    "numbers that were over": encodeCancel(1),
    "goodbyes without a reason": encodeGoAway(""),
  }
  for (const [what, frame] of Object.entries(floods)) {
    const { transport, ask } = await hostile(t, (event, socket) => {
      if (event.type !== "request") return
      if (event.id === 1) socket.write(nothing(1))
      else flood(socket, frame)
    })
    assert.equal((await transport.request(ask(0))).status, 200)
    await assert.rejects(transport.request(ask(0)), { code: "ERR_BAD_FORMAT" }, what)
  }
})

test("a number that was given up may come back once, though its answer had come whole", {
  timeout: 20_000,
}, async (t) => {
  const { transport, ask } = await hostile(t, (event, socket) => {
    if (event.type === "cancel") socket.write(Buffer.concat([nothing(event.id), encodeCancel(event.id)]))
    if (event.type === "request" && event.id % 2 === 0) socket.write(nothing(event.id))
  })
  for (let round = 0; round < 5; round++) {
    const stop = new AbortController()
    const given = transport.request(ask(0, stop.signal))
    const other = transport.request(ask(0))
    assert.equal((await other).status, 200)
    stop.abort()
    await assert.rejects(given, { code: "ERR_ABORTED" })
  }
})

test("memory of which a line that stands still has yet to take something is never said to be free", async (t) => {
  for (const sizeBytes of [33_000, 45_000, 60_000, 300_000]) {
    let foreign = 0
    const read = Promise.withResolvers<void>()
    const server: Server = createPlainServer({ pauseOnConnect: true })
    t.after(() => server.close())
    const port = await listen(server, { host: "127.0.0.1", port: 0 })
    const socket = connectPlain({ host: "127.0.0.1", port })
    socket.on("error", () => undefined) // the rest of the last body is written to a socket that has ended
    const [[peer]] = (await Promise.all([once(server, "connection"), once(socket, "connect")])) as [
      [typeof socket],
      unknown,
    ]
    const writer = new FrameWriter(socket)
    for (let id = 1, isTaken = true; isTaken; id++) {
      isTaken = false
      const body = new Uint8Array(sizeBytes)
      void writer.write({ id, head: nothing(id), parts: [body], isOver: () => false }).then(() => {
        isTaken = true
        body.fill(0x5e) // what its owner does with it next
      })
      for (let turn = 0; turn < 200 && !isTaken; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
      if (!isTaken) socket.end()
    }
    const reader = new TransportReader("node")
    peer.on("data", (bytes: Buffer) => {
      for (const event of reader.read(bytes)) if (event.type === "data" && event.bytes.includes(0x5e)) foreign++
    })
    peer.on("end", () => read.resolve())
    peer.resume()
    await read.promise
    assert.equal(foreign, 0, `of bodies of ${sizeBytes} bytes`)
    socket.destroy()
    peer.destroy()
  }
})
