import assert from "node:assert/strict"
import { once } from "node:events"
import type { IncomingMessage, ServerResponse } from "node:http"
import { connect as connectTcp, type Socket } from "node:net"
import { type TestContext, test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { type Identity, prefixesOf, type TlsServerOptions } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const question = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

async function target(t: TestContext, options: TlsServerOptions) {
  const authority = await newAuthority(t)
  const server = await newMember(authority, { memberId: "n1", role: "node", tenant: "grid" })
  const answer = (_: IncomingMessage, response: ServerResponse) => void response.end("yes")
  const port = await serve(t, server, answer, options)
  const tracked = <S extends Socket>(socket: S): S => {
    t.after(() => socket.destroy())
    socket.on("error", () => undefined)
    return socket
  }
  return {
    member: (memberId: string, tenant: string) => newMember(authority, { memberId, role: "client", tenant }),
    /** A connection that shows a certificate, or none. */
    dial: (identity: Pick<Identity, "caPem"> & Partial<Identity>, localAddress = host): TLSSocket => {
      const { keyPem: key, certPem: cert, caPem: ca } = identity
      const socket = tracked(connectTcp({ host, port, localAddress }))
      return tracked(connect({ socket, ca, key, cert, checkServerIdentity: () => undefined }))
    },
    /** A connection that never begins TLS. */
    idle: async (localAddress: string): Promise<Socket> => {
      const socket = tracked(connectTcp({ host, port, localAddress }))
      socket.resume()
      await once(socket, "connect")
      return socket
    },
  }
}

async function answered(socket: TLSSocket): Promise<boolean> {
  socket.write(question)
  const end = once(socket, "close").then(() => false)
  return Promise.race([end, once(socket, "data").then(([chunk]) => /^HTTP\/1.1 200/.test(String(chunk)))])
}

/** Waits until `socket` is ended, if it is to be. */
async function isEnded(socket: Socket): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return true
  await Promise.race([once(socket, "close"), new Promise((resolve) => setTimeout(resolve, 100))])
  return socket.destroyed || socket.readableEnded
}

test("the oldest stranger of the most crowded network ends for a new one, and no other", async (t) => {
  const { idle } = await target(t, { maxUnproven: 8 })
  const few = await idle("127.0.9.2") // the oldest of all, alone in its network
  const crowd = [await idle("127.0.1.2"), await idle("127.0.1.3"), await idle("127.0.1.2")]
  const more = [await idle("127.0.2.2"), await idle("127.0.2.3"), await idle("127.0.3.2"), await idle("127.0.3.3")]
  assert.equal(await isEnded(crowd[0]!), false, "as many as there are places")
  const last = await idle("127.0.4.2")
  assert.equal(await isEnded(crowd[0]!), true)
  for (const socket of [few, crowd[1]!, crowd[2]!, ...more, last]) assert.equal(await isEnded(socket), false)
})

test("one address may have all strangers' places, until others come, whose places it does not get back", async (t) => {
  const { idle } = await target(t, { maxUnproven: 4 })
  const crowd = []
  for (let i = 0; i < 4; i++) crowd.push(await idle("127.0.1.2")) // an office that comes back after a restart
  assert.deepEqual(await Promise.all(crowd.map(isEnded)), [false, false, false, false])
  const near = await idle("127.0.1.3") // of the same wide network
  const far = await idle("127.0.2.2")
  assert.deepEqual(await Promise.all(crowd.map(isEnded)), [true, true, false, false])
  for (let i = 0; i < 8; i++) await idle("127.0.1.2")
  assert.deepEqual(await Promise.all([near, far].map(isEnded)), [false, false])
})

test("whoever shows no certificate in time is ended, and members stay whatever strangers come", async (t) => {
  const { idle, dial, member } = await target(t, { maxUnproven: 4, proveTimeoutMs: 300, maxConnections: 2 })
  const alice = await member("alice", "acme")
  const kept = dial(alice)
  assert.equal(await answered(kept), true)
  for (let i = 0; i < 40; i++) await idle(`127.0.${i}.2`)
  assert.equal(await answered(kept), true)
  assert.equal(await answered(dial(alice)), true, "the second place is still hers")
  const late = await idle("127.0.0.2")
  await once(late, "close")
  assert.equal(await answered(kept), true)
})

test("strangers who may ask have places of their own, and are ended after a while", async (t) => {
  const options = { requireClientCertificate: false, maxStrangers: 4, strangerTimeoutMs: 300, maxConnections: 1 }
  const { dial, member } = await target(t, options)
  const alice = await member("alice", "acme")
  const strangers = []
  for (let i = 0; i < 8; i++) strangers.push(dial({ caPem: alice.caPem }, `127.0.${i}.2`))
  await Promise.all(strangers.map((socket) => once(socket, "secureConnect")))
  assert.equal(await answered(dial(alice)), true)
  const open = dial({ caPem: alice.caPem })
  assert.equal(await answered(open), true, "a stranger among them is answered")
  await once(open, "close")
})

test("a tenant with fewer connections gets one of the tenant that has most, when all are taken", async (t) => {
  const { dial, member } = await target(t, { maxConnections: 4 })
  const [greedy, other, modest] = [await member("g1", "greedy"), await member("g2", "greedy"), await member("m1", "m")]
  const sockets = [dial(greedy), dial(greedy), dial(greedy), dial(other)]
  for (const socket of sockets) assert.equal(await answered(socket), true)
  assert.equal(await answered(dial(greedy)), false, "the greedy tenant itself gets no more")
  const first = dial(modest)
  assert.equal(await answered(first), true)
  assert.equal(await answered(dial(modest)), true)
  assert.equal(await answered(dial(modest)), false, "it has half by now")
  assert.deepEqual(await Promise.all(sockets.map(isEnded)), [false, true, true, false], "the newest of who has most")
  assert.equal(await answered(first), true)
})

test("a member gets a connection of its tenant's busiest member, when its tenant may have no more", async (t) => {
  const { dial, member } = await target(t, { maxConnections: 8, maxConnectionsPerTenant: 4 })
  const [busy, colleague] = [await member("g1", "acme"), await member("g2", "acme")]
  const sockets = [dial(busy), dial(busy), dial(busy), dial(busy)]
  for (const socket of sockets) assert.equal(await answered(socket), true)
  assert.equal(await answered(dial(busy)), false)
  const two = [dial(colleague), dial(colleague)]
  for (const socket of two) assert.equal(await answered(socket), true)
  assert.equal(await answered(dial(colleague)), false, "it has half by now")
  assert.deepEqual(await Promise.all(sockets.map(isEnded)), [false, false, true, true])
  assert.deepEqual(await Promise.all(two.map(isEnded)), [false, false])
})

test("prefixes of addresses are those that one subscriber and one site have", () => {
  assert.deepEqual(prefixesOf("::ffff:10.1.2.3"), { narrow: "10.1.2.3", wide: "10.1.2" })
  const expected = { narrow: "2001:db8:0:1", wide: "2001:db8:0" }
  for (const address of [
    "2001:db8:0:1::7",
    "2001:DB8::1:0:0:0:7",
    "2001:0db8:0000:0001:a:b:c:d",
    "2001:db8::1:0:0:1.2.3.4",
  ])
    assert.deepEqual(prefixesOf(address), expected, address)
  assert.deepEqual(prefixesOf("fe80::1%eth0"), { narrow: "fe80:0:0:0", wide: "fe80:0:0" })
  assert.deepEqual(prefixesOf("::1"), { narrow: "0:0:0:0", wide: "0:0:0" })
  assert.deepEqual(prefixesOf(undefined), { narrow: "?", wide: "?" })
})
