/** What becomes of requests on connections that were kept open. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createAgent, requestBytes } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const get = { host, method: "GET", path: "/" } as const
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const

test("a request whose connections were all closed meanwhile fails as one that reached nobody", async (t) => {
  const authority = await newAuthority(t)
  const seen = new WeakSet<object>()
  let release: (() => void) | undefined
  let waiting = 0
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    if (seen.has(request.socket)) return void request.socket.destroy()
    seen.add(request.socket)
    if (++waiting < 2) release = () => response.end()
    else {
      response.end()
      release!()
    }
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  await Promise.all([requestBytes(agent, { ...get, port }), requestBytes(agent, { ...get, port })])
  await assert.rejects(requestBytes(agent, { ...get, port }), {
    code: "ERR_SERVER_UNREACHABLE",
    message: /closed the connection/,
  })
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
