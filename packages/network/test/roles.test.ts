import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { fromUtf8 } from "@holdfast/core"
import { type AccessRole, accessRoles, createAgent, parseRoles, peerOf, requestBytes, rolesOf } from "../src/index.ts"
import { decodeRoles, encodeRoles } from "../src/tls/roles.ts"
import { subjectOf } from "../src/tls/subject.ts"
import { newAuthority, newMember, serve } from "./fixtures.ts"

const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const

test("a server learns from the verified certificate which roles a client has, before and after its renewal", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    const peer = peerOf(request.socket)
    response.end(JSON.stringify([peer.tenant, ...rolesOf(peer)]))
  })
  const cases: readonly (readonly AccessRole[])[] = [["read"], ["append", "read"], ["read", "repair"], ["collect"]]
  for (const roles of cases) {
    const member = await newMember(authority, { ...alice, roles })
    const renewed = { ...member, certPem: await authority.renew(member.certPem, { ...alice, roles }) }
    for (const identity of [member, renewed]) {
      const agent = createAgent(identity, { expectedId: "n1" })
      const { body } = await requestBytes(agent, { host: "127.0.0.1", port, method: "GET", path: "/" })
      agent.destroy()
      assert.deepEqual(JSON.parse(fromUtf8(body)), ["acme", ...roles])
    }
  }
})

test("a certificate from before there were roles has all of them, and one for all of them looks like it", async (t) => {
  const authority = await newAuthority(t)
  const { certPem } = await newMember(authority, alice)
  const subject = subjectOf(new X509Certificate(certPem).toLegacyObject().subject)
  assert.deepEqual(subject, alice)
  assert.deepEqual([...rolesOf(subject!)], accessRoles)
})

test("nodes and coordinators have no roles, and none can be given to them", async (t) => {
  const authority = await newAuthority(t)
  for (const role of ["node", "coordinator"] as const) {
    assert.equal(rolesOf({ role }).size, 0)
    assert.equal(rolesOf({ role, roles: ["read"] }).size, 0)
    await assert.rejects(newMember(authority, { ...n1, role, roles: ["read"] }), { code: "ERR_INVALID_ARGUMENT" })
  }
  await assert.rejects(newMember(authority, { ...alice, roles: [] }), { code: "ERR_INVALID_ARGUMENT" })
})

test("a subject that is not exactly one of ours names nobody; of a newer authority's roles only the known ones count", () => {
  const of = (OU: unknown, O = "client") => subjectOf({ CN: "alice", O, OU })
  assert.deepEqual([...rolesOf(of(["acme", "roles:append,read"])!)], ["append", "read"])
  assert.deepEqual([...rolesOf(of(["acme", "roles:administer,read"])!)], ["read"])
  assert.equal(rolesOf(of(["acme", "roles:administer"])!).size, 0)
  const strange = [
    ...[["acme"], ["acme", "umbrella"], ["roles:read", "acme"], ["acme", "roles:read", "roles:collect"]],
    ...[["acme", "roles:"], ["acme", "roles:READ"], ["acme", "roles:read,"], ["acme", "roles:read\n"], [], undefined],
    ...[
      "roles:read",
      ["a/b", "roles:read"],
      ["acme", ["roles:read"]],
      ["acme", `roles:${"read,".repeat(16)}read`],
      { 0: "acme", 1: "roles:read" },
    ],
  ]
  for (const OU of strange) assert.equal(of(OU), undefined, JSON.stringify(OU))
  assert.equal(of(["acme", "roles:read"], "node"), undefined)
})

test("roles are read as people write them and written in one order", () => {
  assert.deepEqual(parseRoles("repair, read,read"), ["read", "repair"])
  for (const text of ["", "read,", "write", "Read", "read append"])
    assert.throws(() => parseRoles(text), { code: "ERR_INVALID_ARGUMENT" }, text)
  for (let bits = 1; bits < 16; bits++) {
    const roles = accessRoles.filter((_, i) => bits & (1 << i))
    assert.deepEqual(decodeRoles(encodeRoles(roles.toReversed())), roles)
  }
})
