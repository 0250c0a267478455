/** Whom an authority certifies, and whom a certificate of it makes: what is not exactly one of ours names nobody. */
import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:https"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createAgent, createAuthority, createKeyAndRequest, peerOf, requestBytes } from "../src/index.ts"
import { isServerName, requestedKey } from "../src/tls/authority.ts"
import { checkSubject, isName, isRole, subjectOf } from "../src/tls/subject.ts"
import { loadX509, signingAlgorithm } from "../src/tls/x509.ts"
import { newAuthority, newMember, serve, temporaryDirectory } from "./fixtures.ts"

const host = "127.0.0.1"
const get = { host, method: "GET", path: "/" } as const
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const

test("a name and a role are texts, and none that a list of them would be taken for", () => {
  for (const name of ["a", "A-1._b", "x".repeat(64)]) assert.ok(isName(name))
  for (const name of ["", "-a", "a b", "x".repeat(65), "a\n", ["a"], { toString: () => "a" }, 1, null, undefined])
    assert.ok(!isName(name), JSON.stringify(name))
  for (const role of ["node", "client", "coordinator"]) assert.ok(isRole(role))
  for (const role of ["", "admin", "Node", ["node"], undefined]) assert.ok(!isRole(role))
})

test("a subject with anything missing, doubled or strange names nobody", () => {
  const fields = { CN: "alice", O: "client", OU: "acme" }
  assert.deepEqual(subjectOf(fields), alice)
  for (const nobody of [undefined, null, "alice", 7, () => fields]) assert.equal(subjectOf(nobody), undefined)
  for (const field of ["CN", "O", "OU"])
    for (const value of [undefined, "", "a b", ["alice", "bob"], ["client"], [], 7])
      assert.equal(subjectOf({ ...fields, [field]: value }), undefined, `${field} ${JSON.stringify(value)}`)
  const listLike = { 0: "acme", 1: "roles:read", length: 2 }
  for (const OU of [listLike, ["acme", "roles:read", "more"], ["acme", undefined], [["acme"], "roles:read"]])
    assert.equal(subjectOf({ ...fields, OU }), undefined, JSON.stringify(OU))
  assert.deepEqual(subjectOf({ ...fields, OU: ["acme", "roles:read"] }), { ...alice, roles: ["read"] })
})

test("nobody is certified under a name, tenant or role that could not be read back", () => {
  checkSubject(alice)
  checkSubject({ ...alice, roles: ["read"] })
  const bad = [{ memberId: "" }, { memberId: "a/b" }, { tenant: "" }, { tenant: "a b" }, { role: "admin" as "node" }]
  for (const change of [...bad, { roles: [] }])
    assert.throws(() => checkSubject({ ...alice, ...change }), { code: "ERR_INVALID_ARGUMENT" }, JSON.stringify(change))
  for (const role of ["node", "coordinator"] as const)
    assert.throws(() => checkSubject({ ...n1, role, roles: ["read"] }), { code: "ERR_INVALID_ARGUMENT" })
})

test("only a short request for a P-256 key that its own key signed is certified", async () => {
  const x509 = await loadX509()
  const requestFor = async (algorithm: RsaHashedKeyGenParams | (EcKeyGenParams & { hash: string })) => {
    const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      ...{ name: "CN=any", keys, signingAlgorithm: algorithm },
    })
    return { pem: request.toString("pem"), raw: new Uint8Array(request.rawData) }
  }
  const good = (await createKeyAndRequest()).csrPem
  await requestedKey(good)
  const ecdsa = { name: "ECDSA", hash: "SHA-256" }
  const rsa = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  }
  const { raw } = await requestFor(signingAlgorithm as EcKeyGenParams & { hash: string })
  raw[raw.length - 1]! ^= 1 // of the signature
  const bad = {
    "another curve": (await requestFor({ ...ecdsa, namedCurve: "P-384" })).pem,
    RSA: (await requestFor(rsa)).pem,
    "another signature": x509.PemConverter.encode(raw.buffer, "CERTIFICATE REQUEST"),
    long: `${good}${"\n".repeat(8192)}`,
    none: "none",
  }
  for (const [name, pem] of Object.entries(bad))
    await assert.rejects(requestedKey(pem), { code: "ERR_BAD_FORMAT" }, name)
})

test("servers are certified for addresses and DNS names, and for nothing else", async (t) => {
  const longest = `${"a".repeat(63)}.`.repeat(3).concat("a".repeat(61))
  for (const name of ["a", "n1.example.org", "A-1.b", "127.0.0.1", "::1", longest]) assert.ok(isServerName(name), name)
  for (const name of ["", "-a", "a-", "a..b", ".a", "a.", "a b", "a/b", "*.example.org", "a\n", `${longest}a`])
    assert.ok(!isServerName(name), name)
  const authority = await newAuthority(t)
  const { csrPem } = await createKeyAndRequest()
  const named = await authority.sign(csrPem, { ...n1, serverNames: ["n1.example.org", "127.0.0.1"] })
  assert.equal(new X509Certificate(named).subjectAltName, "DNS:n1.example.org, IP Address:127.0.0.1")
  await assert.rejects(authority.sign(csrPem, { ...n1, serverNames: ["*"] }), { code: "ERR_INVALID_ARGUMENT" })
  const plain = await authority.sign(csrPem, alice)
  assert.equal(subjectOf(new X509Certificate(plain).toLegacyObject().subject)?.roles, undefined)
})

/** An authority, and certificates of it whose subject is none of ours. */
async function loose(t: TestContext) {
  const dir = join(await temporaryDirectory(t), "ca")
  const authority = await createAuthority(dir, "test grid")
  const x509 = await loadX509()
  const pkcs8 = x509.PemConverter.decodeFirst(await readFile(join(dir, "ca-key.pem"), "utf8"))
  const signingKey = await crypto.subtle.importKey("pkcs8", pkcs8, signingAlgorithm, false, ["sign"])
  const { csrPem, keyPem } = await createKeyAndRequest()
  const certificate = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: "01", subject: "CN=somebody", issuer: new x509.X509Certificate(authority.caPem).subjectName },
    ...{ notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 600_000) },
    ...{ publicKey: await requestedKey(csrPem), signingKey, signingAlgorithm },
    extensions: [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
    ],
  })
  return { authority, nobody: { keyPem, certPem: `${certificate.toString("pem")}\n`, caPem: authority.caPem } }
}

test("whoever has a certificate of the authority that names nobody is served nothing, and trusted with nothing", async (t) => {
  const { authority, nobody } = await loose(t)
  const refusals: unknown[] = []
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    try {
      peerOf(request.socket)
    } catch (error) {
      refusals.push((error as { code?: unknown }).code)
    }
    response.end()
  })
  const asNobody = createAgent(nobody, { expectedId: "n1" })
  t.after(() => asNobody.destroy())
  await requestBytes(asNobody, { ...get, port })
  assert.deepEqual(refusals, ["ERR_REFUSED"])
  let requests = 0
  const server = createServer({ key: nobody.keyPem, cert: nobody.certPem + nobody.caPem }, (_request, response) => {
    requests++
    response.end()
  })
  t.after(() => server.close())
  server.listen(0, host)
  await once(server, "listening")
  const at = { ...get, port: (server.address() as { port: number }).port }
  const client = await newMember(authority, alice)
  for (const options of [{}, { expectedRole: "node" as const }, { expectedId: "somebody" }]) {
    const agent = createAgent(client, options)
    t.after(() => agent.destroy())
    await assert.rejects(requestBytes(agent, at), { code: "ERR_REFUSED" })
  }
  assert.equal(requests, 0)
})

test("where strangers are let in, a certificate that was not verified names nobody", async (t) => {
  const authority = await newAuthority(t)
  const seen: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    try {
      seen.push(peerOf(request.socket).memberId)
    } catch (error) {
      seen.push((error as { code: string }).code)
    }
    response.end()
  }
  const port = await serve(t, await newMember(authority, n1), answer, { requireClientCertificate: false })
  const foreign = await newMember(await newAuthority(t), alice)
  const ended = await newMember(authority, { ...alice, nowMs: Date.now() - 400 * 86_400_000 })
  const { caPem } = authority
  for (const credentials of [await newMember(authority, alice), { caPem }, { ...foreign, caPem }, ended]) {
    const agent = createAgent(credentials, { expectedId: "n1" })
    t.after(() => agent.destroy())
    await requestBytes(agent, { ...get, port }).catch((error: { code: string }) => seen.push(error.code))
  }
  assert.deepEqual(seen, ["alice", "ERR_REFUSED", "ERR_REFUSED", "ERR_REFUSED"])
})
