import assert from "node:assert/strict"
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import { type TestContext, test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import type { Identity, TlsServerOptions } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const

/** A server that answers each whole body with its length, and how to reach it with bare TLS. */
async function target(t: TestContext, options: TlsServerOptions = {}) {
  const authority = await newAuthority(t)
  const client = await newMember(authority, alice)
  let requests = 0
  const port = await serve(
    t,
    await newMember(authority, n1),
    (request, response: ServerResponse) => {
      requests++
      let total = 0
      request.on("data", (chunk: Uint8Array) => (total += chunk.length))
      request.on("end", () => response.end(String(total)))
    },
    options,
  )
  const dial = (identity: Identity = client) => {
    const { keyPem: key, certPem: cert, caPem: ca } = identity
    const socket = connect({ host, port, ca, key, cert, checkServerIdentity: () => undefined })
    t.after(() => socket.destroy())
    socket.on("error", () => undefined)
    return socket
  }
  return { port, dial, requests: () => requests }
}

/** All that comes until the other side ends. */
async function untilEnd(socket: TLSSocket): Promise<string> {
  let text = ""
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")))
  await new Promise((resolve) => socket.once("close", resolve))
  return text
}

const head = "POST / HTTP/1.1\r\nHost: x\r\n"

test("requests whose length can be read in two ways are refused and never reach a handler", async (t) => {
  const { dial, requests } = await target(t)
  const smuggled = [
    `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    `${head}Transfer-Encoding: xchunked\r\n\r\nhello`,
    `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `${head}Content-Length: +5\r\n\r\nhello`,
    `${head}Content-Length : 5\r\n\r\nhello`,
    `${head} Content-Length: 5\r\n\r\nhello`,
    `POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello`,
  ]
  for (const text of smuggled) {
    const socket = dial()
    socket.write(text, "latin1")
    const answers = (await untilEnd(socket)).split("HTTP/1.1 ")
    assert.ok(answers.length <= 2 && !/^2/.test(answers[1] ?? ""), text)
  }
  assert.equal(requests(), 0)
})

test("headers and bodies that come drop by drop are cut off in time", async (t) => {
  const { dial, requests } = await target(t, { headersTimeoutMs: 200, requestTimeoutMs: 400, checkEveryMs: 20 })
  for (const [start, most] of [
    [head, 3_000],
    [`${head}Content-Length: 1000\r\n\r\n`, 3_000],
  ] as const) {
    const socket = dial()
    await once(socket, "secureConnect")
    const startedMs = performance.now()
    socket.write(start)
    const drops = setInterval(() => socket.write("a"), 20)
    const answer = await untilEnd(socket).finally(() => clearInterval(drops))
    assert.match(answer, /^HTTP\/1.1 408 /)
    assert.ok(performance.now() - startedMs < most)
  }
  assert.equal(requests(), 1, "only the one whose headers were whole")
})

test("connections without a request, and silent ones within a request, are ended", async (t) => {
  const { dial } = await target(t, { keepAliveTimeoutMs: 100, idleTimeoutMs: 200, checkEveryMs: 20 })
  const kept = dial()
  kept.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
  assert.match(await untilEnd(kept), /^HTTP\/1.1 200 /)
  const silent = dial()
  silent.write(`${head}Content-Length: 10\r\n\r\nabc`)
  await untilEnd(silent)
  const mute = dial()
  await once(mute, "secureConnect")
  await untilEnd(mute)
})

test("too many headers, and headers that are too long, do not get through", async (t) => {
  const { dial, requests } = await target(t)
  const long = dial()
  long.write(`${head}X-Long: ${"x".repeat(17_000)}\r\n\r\n`)
  assert.match(await untilEnd(long), /^HTTP\/1.1 431 /)
  assert.equal(requests(), 0)
})

test("an answer that is taken byte by byte is cut off in time", async (t) => {
  const authority = await newAuthority(t)
  const answer = new Uint8Array(64 * 1024 * 1024)
  let cut: (isFinished: boolean) => void
  const ended = new Promise<boolean>((resolve) => (cut = resolve))
  const handler = (_request: unknown, response: ServerResponse) =>
    void response.once("close", () => cut(response.writableFinished)).end(answer)
  const port = await serve(t, await newMember(authority, n1), handler, { answerTimeoutMs: 300, checkEveryMs: 20 })
  const { keyPem: key, certPem: cert, caPem: ca } = await newMember(authority, alice)
  const socket = connect({ host, port, ca, key, cert, checkServerIdentity: () => undefined })
  t.after(() => socket.destroy())
  socket.on("error", () => undefined)
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
  socket.on("data", () => {
    socket.pause()
    setTimeout(() => socket.resume(), 20)
  })
  assert.equal(await ended, false)
})

test("connections of one member over its bound are refused", async (t) => {
  const each = await target(t, { maxConnectionsPerPeer: 2 })
  const mine = [each.dial(), each.dial()]
  await Promise.all(mine.map((socket) => once(socket, "secureConnect")))
  assert.match(await untilEnd(each.dial()), /^HTTP\/1.1 401 [\s\S]*holdfast-refused: too-many-connections/)
})

test("who sends many requests without waiting for answers is cut off", async (t) => {
  const authority = await newAuthority(t)
  let requests = 0
  const port = await serve(t, await newMember(authority, n1), () => void requests++)
  const { keyPem: key, certPem: cert, caPem: ca } = await newMember(authority, alice)
  const socket = connect({ host, port, ca, key, cert, checkServerIdentity: () => undefined })
  socket.on("error", () => undefined)
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000))
  await untilEnd(socket)
  assert.equal(requests, 8)
})
