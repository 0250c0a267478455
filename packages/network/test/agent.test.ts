/** What becomes of requests on connections that were kept open. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { type AgentOptions, createAgent, requestBytes } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const get = { host, method: "GET", path: "/" } as const
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const

/** A server that ends each connection at its second request, and a client that has kept `kept` of them, checked as `expected`. */
async function restarted(t: TestContext, kept: number, expected: AgentOptions = { expectedId: "n1" }) {
  const authority = await newAuthority(t)
  const seen = new WeakSet<object>()
  const waiting: (() => void)[] = []
  let connections = 0
  const server = { refusesNew: false, connections: () => connections }
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    if (seen.has(request.socket) || server.refusesNew) return void request.socket.destroy()
    seen.add(request.socket)
    connections++
    waiting.push(() => response.end())
    if (connections >= kept) for (const answer of waiting.splice(0)) answer()
  })
  const agent = createAgent(await newMember(authority, alice), expected)
  t.after(() => agent.destroy())
  const ask = () => requestBytes(agent, { ...get, port })
  await Promise.all(Array.from({ length: kept }, ask))
  return { ask, server, agent }
}

for (const kept of [1, 2, 8])
  test(`a request that dies on a connection that was kept is sent on a new one, when ${kept} were kept`, async (t) => {
    const { ask, server, agent } = await restarted(t, kept)
    for (let i = 0; i < 3; i++) assert.equal((await ask()).status, 200)
    assert.equal(server.connections(), kept + Math.min(3, kept + 3))
    assert.equal(Object.keys(agent.requests).length, 0)
  })

test("a request whose second connection is closed too fails as one that reached nobody", async (t) => {
  const { ask, server } = await restarted(t, 2)
  server.refusesNew = true
  await assert.rejects(ask(), { code: "ERR_SERVER_UNREACHABLE", message: /closed the connection/ })
})

test("the new connection is checked as the others were", async (t) => {
  const expected = { expectedId: "n1" }
  const { ask } = await restarted(t, 2, expected)
  expected.expectedId = "n2" // as when another server has come to this address
  await assert.rejects(ask(), { code: "ERR_REFUSED" })
})

test("an answer on a connection that was kept may take longer than a new connection", async (t) => {
  const authority = await newAuthority(t)
  const timeoutMs = 1_200
  let requests = 0
  const port = await serve(t, await newMember(authority, n1), (_request, response) => {
    if (++requests === 1) response.end()
    else setTimeout(() => response.end(), timeoutMs / 3)
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  await requestBytes(agent, { ...get, port })
  assert.equal((await requestBytes(agent, { ...get, port, timeoutMs })).status, 200)
  assert.equal(requests, 2)
})
