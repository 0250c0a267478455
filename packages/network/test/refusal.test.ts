import assert from "node:assert/strict"
import { once } from "node:events"
import { test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { createAgent, type Identity, keyIdOf, RevokedKeys, requestBytes } from "../src/index.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const host = "127.0.0.1"
const dayMs = 86_400_000
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const
const get = { host, method: "GET", path: "/" } as const

/** Speaks TLS with `identity` and leaves HTTP to the test. */
async function dial(port: number, { keyPem, certPem, caPem }: Identity): Promise<TLSSocket> {
  const options = { host, port, ca: caPem, key: keyPem, cert: certPem, checkServerIdentity: () => undefined }
  const socket = connect(options)
  socket.on("error", () => undefined)
  await once(socket, "secureConnect")
  return socket
}

test("a server says why it refuses a certificate, and no handler runs", async (t) => {
  const authority = await newAuthority(t)
  const reasons: string[] = []
  let requests = 0
  const mallory = await newMember(authority, { ...alice, memberId: "mallory" })
  const revoked = new RevokedKeys()
  revoked.add([keyIdOf(mallory.certPem)])
  const handler = () => void requests++
  const port = await serve(t, await newMember(authority, n1), handler, {
    revoked,
    onRefused: (why) => reasons.push(why),
  })
  const { caPem } = authority
  const foreign = await newMember(await newAuthority(t), alice)
  const cases = [
    { why: "no-certificate", credentials: { caPem }, message: /Join the grid/ },
    { why: "other-authority", credentials: { ...foreign, caPem }, message: /not of its grid/ },
    { why: "ended", credentials: await newMember(authority, { ...alice, nowMs: Date.now() - 400 * dayMs }) },
    { why: "not-yet-valid", credentials: await newMember(authority, { ...alice, nowMs: Date.now() + dayMs }) },
    { why: "revoked", credentials: mallory, message: /was revoked/ },
  ]
  for (const { why, credentials, message = /refused us/ } of cases) {
    const agent = createAgent(credentials, { expectedId: "n1" })
    t.after(() => agent.destroy())
    for (const body of [new Uint8Array(0), new Uint8Array(3_000_000)])
      await assert.rejects(requestBytes(agent, { ...get, method: "POST", port, body }), (error: Error) => {
        assert.deepEqual(
          { ...error },
          {
            name: "HoldfastError",
            code: "ERR_REFUSED",
            details: { address: `${host}:${port}`, reason: why, proven: true, ofCertificate: true },
          },
        )
        return message.test(error.message)
      })
  }
  assert.deepEqual(
    [...new Set(reasons)],
    cases.map(({ why }) => why),
  )
  assert.equal(requests, 0)
})

test("a client says why it refuses a server: other authority, ended, not yet valid, wrong role, wrong id, revoked", async (t) => {
  const authority = await newAuthority(t)
  const client = await newMember(authority, alice)
  const revoked = await newMember(authority, n1)
  let requests = 0
  const cases = [
    { server: await newMember(await newAuthority(t), n1), reason: "server-unproven" },
    { server: await newMember(authority, { ...n1, nowMs: Date.now() - 400 * dayMs }), reason: "server-ended" },
    { server: await newMember(authority, { ...n1, nowMs: Date.now() + dayMs }), reason: "server-not-yet-valid" },
    { server: await newMember(authority, { ...alice, memberId: "n1" }), reason: "server-unproven" },
    { server: await newMember(authority, { ...n1, memberId: "n2" }), reason: undefined, message: /is n2, not n1/ },
    { server: revoked, reason: "server-revoked" },
  ]
  for (const { server, reason, message = /nothing was sent to it/ } of cases) {
    const port = await serve(t, server, (_request, response) => {
      requests++
      response.end()
    })
    const agent = createAgent(client, { expectedId: "n1", revoked: new RevokedKeys([keyIdOf(revoked.certPem)]) })
    t.after(() => agent.destroy())
    await assert.rejects(
      requestBytes(agent, { ...get, port }),
      (error: Error & { code?: string; details?: { reason?: string } }) => {
        assert.deepEqual([error.code, error.details?.reason], ["ERR_REFUSED", reason])
        return message.test(error.message)
      },
    )
  }
  assert.equal(requests, 0)
})

test("revoking a key ends its open connections, in the middle of an answer too, and no others", async (t) => {
  const authority = await newAuthority(t)
  const revoked = new RevokedKeys()
  const [bob, eve] = [await newMember(authority, { ...alice, memberId: "bob" }), await newMember(authority, alice)]
  const handler = (_request: unknown, response: import("node:http").ServerResponse) => void response.write("begun")
  const port = await serve(t, await newMember(authority, n1), handler, { revoked })
  const [idle, busy, other] = [await dial(port, eve), await dial(port, eve), await dial(port, bob)]
  t.after(() => other.destroy())
  for (const socket of [busy, other]) {
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await once(socket, "data")
  }
  idle.resume()
  const ended = Promise.all([once(idle, "close"), once(busy, "close")])
  revoked.add([keyIdOf(eve.certPem)])
  await ended
  assert.equal(other.destroyed, false)
  const agent = createAgent(eve, { expectedId: "n1" })
  t.after(() => agent.destroy())
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED", message: /was revoked/ })
})
