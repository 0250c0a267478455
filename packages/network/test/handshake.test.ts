/** What a handshake of our own servers and clients never does, whatever the other end is ready for. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer, type ServerOptions } from "node:https"
import { type TestContext, test } from "node:test"
import { connect } from "node:tls"
import { type AgentOptions, createAgent, type Identity, keyIdOf, RevokedKeys, requestBytes } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const
const coordinator = { memberId: "c1", role: "coordinator", tenant: "grid" } as const
const get = { host, method: "GET", path: "/" } as const

/** A server that is not of our making, with a certificate of the grid. It closes each connection after its answer. */
async function serveOtherwise(
  t: TestContext,
  { keyPem: key, certPem, caPem }: Identity,
  options: ServerOptions = {},
): Promise<{ readonly port: number; readonly connections: () => number }> {
  let connections = 0
  const server = createServer({ key, cert: certPem + caPem, ca: caPem, ...options }, (_request, response) => {
    response.setHeader("connection", "close").end("answer")
  })
  server.on("secureConnection", () => connections++)
  server.listen(0, host)
  await once(server, "listening")
  t.after(() => server.close())
  return { port: (server.address() as { port: number }).port, connections: () => connections }
}

function agentOf(t: TestContext, identity: Identity, options: AgentOptions) {
  const agent = createAgent(identity, options)
  t.after(() => agent.destroy())
  return agent
}

test("a server whose key was revoked between two connections is refused, though it offers to go on with the session", async (t) => {
  const authority = await newAuthority(t)
  const server = await newMember(authority, n1)
  const { port } = await serveOtherwise(t, server, { sessionTimeout: 300 })
  const revoked = new RevokedKeys()
  const agent = agentOf(t, await newMember(authority, alice), { expectedId: "n1", revoked })
  for (let i = 0; i < 2; i++) assert.equal((await requestBytes(agent, { ...get, port })).status, 200)
  revoked.add([keyIdOf(server.certPem)])
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED" })
})

test("a client speaks TLS 1.3 and nothing older", async (t) => {
  const authority = await newAuthority(t)
  const { port, connections } = await serveOtherwise(t, await newMember(authority, n1), { maxVersion: "TLSv1.2" })
  const agent = agentOf(t, await newMember(authority, alice), { expectedId: "n1" })
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED" })
  assert.equal(connections(), 0)
})

test("a node is not taken for a coordinator, nor a coordinator for a node, whatever its id", async (t) => {
  const authority = await newAuthority(t)
  const client = await newMember(authority, alice)
  for (const [is, wanted] of [
    [n1, "coordinator"],
    [coordinator, "node"],
  ] as const) {
    let requests = 0
    const port = await serve(t, await newMember(authority, is), (_request, response) => {
      requests++
      response.end()
    })
    const right = agentOf(t, client, { expectedRole: is.role })
    assert.equal((await requestBytes(right, { ...get, port })).status, 200)
    for (const more of [{}, { expectedId: is.memberId }]) {
      const agent = agentOf(t, client, { expectedRole: wanted, ...more })
      await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED" })
    }
    assert.equal(requests, 1)
  }
})

test("a server with the right name and another key than the one that is known is refused", async (t) => {
  const authority = await newAuthority(t)
  const [known, other] = [await newMember(authority, n1), await newMember(authority, n1)]
  const port = await serve(t, other, (_request, response) => void response.end())
  const client = await newMember(authority, alice)
  const agent = (expectedKey: string) => agentOf(t, client, { expectedId: "n1", expectedKey })
  assert.equal((await requestBytes(agent(keyIdOf(other.certPem)), { ...get, port })).status, 200)
  await assert.rejects(requestBytes(agent(keyIdOf(known.certPem)), { ...get, port }), { code: "ERR_REFUSED" })
})

test("a server goes on with no session that it gave: each connection proves its certificate anew", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (_request, response) => void response.end("answer"))
  const { keyPem: key, certPem: cert, caPem: ca } = await newMember(authority, alice)
  const sessions: Buffer[] = []
  for (let i = 0; i < 2; i++) {
    const session = sessions[0]
    const socket = connect({
      ...{ host, port, key, cert, ca, checkServerIdentity: () => undefined, ...(session && { session }) },
    })
    t.after(() => socket.destroy())
    socket.on("session", (given: Buffer) => sessions.push(given))
    await once(socket, "secureConnect")
    assert.ok(!socket.isSessionReused())
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await once(socket.resume(), "close")
  }
  assert.ok(sessions.length > 0, "there was one to go on with")
})
