/** Requests in frames between a real client and a real server on loopback. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:net"
import { type TestContext, test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { concat, utf8 } from "@holdfast/core"
import { encodeCancel, encodeRequest, requestsPerConnection, transportName } from "@holdfast/protocol"
import {
  type AgentOptions,
  type Exchange,
  type Identity,
  keyIdOf,
  listen,
  RevokedKeys,
  type TlsServerOptions,
  TransportClient,
} from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const alice = { memberId: "alice", role: "client", tenant: "alice" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const
const never = new AbortController().signal

interface Grid {
  readonly port: number
  readonly alice: Identity
  readonly node: Identity
  /** Connections that requests came on. */
  readonly sockets: ReadonlySet<TLSSocket>
  client(options?: AgentOptions): TransportClient
}

/** A server that answers with `handle`, and clients of it. */
async function gridOf(
  t: TestContext,
  handle: (exchange: Exchange) => Promise<void>,
  options: TlsServerOptions = {},
): Promise<Grid> {
  const authority = await newAuthority(t)
  const [node, client] = [await newMember(authority, n1), await newMember(authority, alice)]
  const sockets = new Set<TLSSocket>()
  const onExchange = (exchange: Exchange) => {
    sockets.add(exchange.socket)
    return handle(exchange)
  }
  const port = await serve(t, node, (_, response) => response.end(), { ...options, onExchange })
  return {
    ...{ port, sockets, node, alice: client },
    client(more = {}) {
      const transport = new TransportClient(client, { expectedId: "n1", ...more })
      t.after(() => transport.close())
      return transport
    },
  }
}

async function bodyOf(exchange: Exchange): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  const take = (piece: Uint8Array) => void pieces.push(Uint8Array.from(piece))
  await exchange.receive(take, never)
  return concat(...pieces)
}

/** Answers with what was asked. */
async function echo(exchange: Exchange): Promise<void> {
  await exchange.answer({ status: 200, headers: { endpoint: exchange.endpoint }, parts: [await bodyOf(exchange)] })
}

const ask = (port: number, ...body: Uint8Array[]) => ({
  ...{ host: "127.0.0.1", port, endpoint: "some/thing", body, maxBytes: 2 ** 25 },
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test("bodies of any size and in any parts come over whole, both ways, many at once", async (t) => {
  const { port, client, sockets } = await gridOf(t, echo)
  const transport = client()
  const sizes = [0, 1, 8, 32_767, 32_769, 262_144, 262_145, 600_000]
  const pattern = new Uint8Array(600_100).map((_, i) => i * 31 + (i >> 8))
  const some = (length: number, at: number) => pattern.slice(at, at + length)
  await Promise.all(
    sizes.flatMap((size, at) =>
      [1, 2, 5].map(async (parts) => {
        const body = Array.from({ length: parts }, (_, i) => some(Math.floor(size / (i + 1)), at + i))
        const { status, headers, body: answer } = await transport.request(ask(port, ...body))
        assert.deepEqual([status, headers.endpoint], [200, "some/thing"])
        assert.equal(Buffer.compare(answer, concat(...body)), 0, `${size} bytes in ${parts} parts`)
      }),
    ),
  )
  assert.ok(sockets.size <= 8)
})

test("small requests share a connection and overtake each other and a large answer", async (t) => {
  const [first, wait] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { port, client, sockets } = await gridOf(t, async (exchange) => {
    if (exchange.endpoint === "wait") await wait.promise
    if (exchange.endpoint === "large") first.resolve()
    const parts = exchange.endpoint === "large" ? [new Uint8Array(16 * 1024 * 1024)] : [utf8("small")]
    await exchange.answer({ status: 200, parts })
  })
  const transport = client({ maxSockets: 1 })
  const order: string[] = []
  const request = async (endpoint: string) => {
    await transport.request({ ...ask(port), endpoint })
    order.push(endpoint)
  }
  const [waiting, large] = [request("wait"), request("large")]
  await first.promise
  await request("small")
  wait.resolve()
  await Promise.all([waiting, large])
  assert.equal(order[0], "small")
  assert.equal(sockets.size, 1)
})

test("a request that is given up leaves its connection to others, and its handler hears of it", async (t) => {
  let ended = 0
  const { port, client, sockets } = await gridOf(t, async (exchange) => {
    if (exchange.endpoint !== "wait") return exchange.answer({ status: 200, parts: [new Uint8Array(10)] })
    await once(exchange.over, "abort")
    ended++
  })
  const transport = client()
  for (let round = 0; round < 40; round++) {
    const stop = new AbortController()
    const given = transport.request({ ...ask(port), endpoint: "wait", signal: stop.signal })
    await transport.request(ask(port))
    stop.abort()
    await assert.rejects(given, { code: "ERR_ABORTED" })
  }
  await until(() => ended === 40)
  assert.equal(sockets.size, 1)
})

test("a request that is given up in the middle of its body leaves its connection to others, and their requests go on", async (t) => {
  const wait = Promise.withResolvers<void>()
  let begun = Promise.withResolvers<void>()
  const { port, client, sockets } = await gridOf(t, async (exchange) => {
    if (exchange.endpoint === "wait") await wait.promise
    if (exchange.bodyBytes === 0) return exchange.answer({ status: 200, parts: [] })
    begun.resolve()
    await exchange.receive(() => undefined, never).catch(() => undefined)
  })
  const transport = client({ maxSockets: 1 })
  const waiting = transport.request({ ...ask(port), endpoint: "wait" })
  for (let round = 0; round < 10; round++) {
    begun = Promise.withResolvers<void>()
    const stop = new AbortController()
    const given = transport.request({ ...ask(port, new Uint8Array(64 * 1024 * 1024)), signal: stop.signal })
    await begun.promise
    stop.abort()
    await assert.rejects(given, { code: "ERR_ABORTED" })
    assert.equal((await transport.request(ask(port))).status, 200)
  }
  wait.resolve()
  assert.equal((await waiting).status, 200)
  assert.equal(sockets.size, 1)
})

test("what is put into the memory of a body after its request was given up never goes out in its place", async (t) => {
  let [read, secrets] = [0, 0]
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { port, client } = await gridOf(t, async (exchange) => {
    begun.resolve()
    await goOn.promise
    const take = (piece: Uint8Array) => {
      read += piece.length
      for (const byte of piece) if (byte === 0x5e) secrets++
      return undefined
    }
    await exchange.receive(take, never).catch(() => undefined)
  })
  const stop = new AbortController()
  const body = new Uint8Array(24 * 1024 * 1024)
  const given = client().request({ ...ask(port, body), signal: stop.signal })
  await begun.promise
  await new Promise((resolve) => setTimeout(resolve, 100)) // until the socket takes no more
  stop.abort()
  await assert.rejects(given, { code: "ERR_ABORTED" })
  body.fill(0x5e)
  goOn.resolve()
  await until(() => read > 0)
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.ok(read < body.length)
  assert.equal(secrets, 0)
})

test("an answer that comes before the body is whole ends the sending, and the connection goes on", async (t) => {
  const { port, client, sockets } = await gridOf(t, async (exchange) =>
    exchange.bodyBytes > 100 ? exchange.answer({ status: 413, parts: [utf8("too large")] }) : echo(exchange),
  )
  const transport = client()
  for (let round = 0; round < 20; round++) {
    const { status, body } = await transport.request(ask(port, new Uint8Array(4 * 1024 * 1024)))
    assert.deepEqual([status, Buffer.from(body).toString()], [413, "too large"])
    assert.equal((await transport.request(ask(port, utf8("abc")))).body.length, 3)
  }
  assert.equal(sockets.size, 1)
})

test("a request on a connection that the server closed meanwhile is sent again", async (t) => {
  const { port, client, sockets } = await gridOf(t, echo, { keepAliveTimeoutMs: 30, checkEveryMs: 5 })
  const transport = client()
  for (let round = 0; round < 30; round++) {
    assert.equal((await transport.request(ask(port, utf8("x")))).status, 200)
    await new Promise((resolve) => setTimeout(resolve, round * 2))
  }
  assert.ok(sockets.size > 1)
  for (const socket of sockets) socket.destroy()
  assert.equal((await transport.request(ask(port, utf8("x")))).status, 200)
})

test("a server that says nothing is given up: at the handshake, for one request, and for all on its connection", async (t) => {
  const { port, client } = await gridOf(t, async (exchange) => {
    if (exchange.endpoint !== "silent") return echo(exchange)
    await once(exchange.over, "abort")
  })
  const deaf = createServer((socket) => void socket.on("error", () => undefined))
  t.after(() => deaf.close())
  const deafPort = await listen(deaf, { host: "127.0.0.1", port: 0 })
  const unreachable = (within: number) => ({
    code: "ERR_SERVER_UNREACHABLE",
    message: new RegExp(`did not answer within ${within} ms`),
  })
  await assert.rejects(client().request({ ...ask(deafPort), timeoutMs: 600 }), unreachable(100))
  const transport = client()
  const silent = { ...ask(port), endpoint: "silent", timeoutMs: 600 }
  await assert.rejects(transport.request(silent), unreachable(600))
  assert.equal((await transport.request(ask(port))).status, 200)
})

test("an answer that is larger than can be right is refused before memory is taken for it", async (t) => {
  const { port, client } = await gridOf(t, (exchange) =>
    exchange.answer({ status: 200, parts: [new Uint8Array(2000)] }),
  )
  let allocated = 0
  const allocate = (length: number) => {
    allocated += length
    return new Uint8Array(length)
  }
  const transport = client()
  await assert.rejects(transport.request({ ...ask(port), maxBytes: 1999, allocate }), { code: "ERR_LIMIT" })
  assert.equal(allocated, 0)
  assert.equal((await transport.request({ ...ask(port), maxBytes: 2000, allocate })).body.length, 2000)
  assert.equal(allocated, 2000)
})

test("revoking a key ends its connections in the middle of an answer, at either end", async (t) => {
  for (const side of ["client", "node"] as const) {
    const atServer = new RevokedKeys()
    const asked = Promise.withResolvers<void>()
    const handle = async (exchange: Exchange) => {
      asked.resolve()
      await once(exchange.over, "abort")
    }
    const grid = await gridOf(t, handle, { revoked: atServer })
    const atClient = new RevokedKeys()
    const transport = grid.client({ revoked: atClient })
    const cut = assert.rejects(transport.request(ask(grid.port)), { code: "ERR_SERVER_UNREACHABLE" })
    await asked.promise
    if (side === "client") atServer.add([keyIdOf(grid.alice.certPem)])
    else atClient.add([keyIdOf(grid.node.certPem)])
    await cut
    await assert.rejects(transport.request(ask(grid.port)), { code: "ERR_REFUSED", message: /was revoked/ })
  }
})

test("a server says why it refuses a certificate, and a client refuses a server that is not the one expected", async (t) => {
  const { port, client, alice: identity } = await gridOf(t, echo)
  const other = await newAuthority(t)
  const foreign = { ...(await newMember(other, alice)), caPem: identity.caPem }
  for (const [credentials, message] of [
    [{ caPem: identity.caPem }, /asks for a certificate of its grid/],
    [foreign, /is not of its grid/],
  ] as const) {
    const transport = new TransportClient(credentials, { expectedId: "n1" })
    t.after(() => transport.close())
    await assert.rejects(transport.request(ask(port, new Uint8Array(1_000_000))), { code: "ERR_REFUSED", message })
  }
  const mistaken = client({ expectedId: "n2" })
  await assert.rejects(mistaken.request(ask(port)), { code: "ERR_REFUSED", message: /is n1, not n2/ })
})

test("a member with too many connections is told so, and those that it has go on", async (t) => {
  const goOn = Promise.withResolvers<void>()
  let asked = 0
  const handle = async (exchange: Exchange) => {
    asked++
    await goOn.promise
    await echo(exchange)
  }
  const { port, client } = await gridOf(t, handle, { maxConnectionsPerPeer: 2 })
  const answers = ["a", "b"].map((text) => client().request(ask(port, utf8(text))))
  await until(() => asked === 2)
  await assert.rejects(client().request(ask(port)), { code: "ERR_REFUSED", message: /too many connections/ })
  goOn.resolve()
  for (const answer of answers) assert.equal((await answer).body.length, 1)
})

test("who reads nothing, asks and gives up again and again is ended before much is queued for it", async (t) => {
  let asked = 0
  const { port, alice: identity } = await gridOf(t, async (exchange) => {
    asked++
    if (exchange.endpoint === "large") return exchange.answer({ status: 200, parts: [new Uint8Array(2 ** 26)] })
    await once(exchange.over, "abort")
  })
  const { keyPem: key, certPem: cert, caPem: ca } = identity
  const to = { host: "127.0.0.1", port, ALPNProtocols: [transportName], checkServerIdentity: () => undefined }
  const socket = connect({ ...to, key, cert, ca })
  t.after(() => socket.destroy())
  socket.on("error", () => undefined)
  await once(socket, "secureConnect")
  const begin = (id: number, endpoint: string) => encodeRequest(id, { endpoint, headers: {}, bodyBytes: 0 })
  socket.write(begin(1, "large"))
  for (let id = 2; id < 1000; id++) socket.write(concat(begin(id, "wait"), encodeCancel(id)))
  await until(() => asked > 1)
  socket.resume()
  await once(socket, "close")
  assert.ok(asked <= requestsPerConnection, `${asked} were taken`)
})
