import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { readdir, stat } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { connect, createServer as createTlsListener } from "node:tls"
import { concat, fromUtf8, utf8 } from "@holdfast/core"
import {
  createAgent,
  createAuthority,
  createKeyAndRequest,
  expiresSoon,
  loadIdentity,
  openAuthority,
  parseAddress,
  peerOf,
  requestBytes,
  saveIdentity,
} from "../src/index.ts"
import { newAuthority, newMember, serve, temporaryDirectory } from "./fixtures.ts"

const host = "127.0.0.1"
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const n1 = { memberId: "n1", role: "node", tenant: "grid" } as const
const get = { host, method: "GET", path: "/" } as const

test("the server learns id, role and tenant from the verified certificate", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    response.end(JSON.stringify(peerOf(request.socket)))
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  const { status, body } = await requestBytes(agent, { ...get, port })
  assert.equal(status, 200)
  assert.deepEqual(JSON.parse(fromUtf8(body)), alice)
})

test("a body in parts arrives whole and connections are kept", async (t) => {
  const authority = await newAuthority(t)
  const ports = new Set<number | undefined>()
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    ports.add(request.socket.remotePort)
    request.pipe(response)
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1", maxSockets: 1 })
  t.after(() => agent.destroy())
  const big = new Uint8Array(3_000_000).fill(7)
  for (let i = 0; i < 3; i++) {
    const { body } = await requestBytes(agent, {
      ...get,
      method: "POST",
      port,
      body: concat(utf8("ab"), big, utf8("c")),
    })
    assert.equal(body.length, big.length + 3)
    assert.equal(fromUtf8(body.subarray(-1)), "c")
  }
  assert.equal(ports.size, 1)
})

test("a server with another member id is refused before anything is sent", async (t) => {
  const authority = await newAuthority(t)
  let requests = 0
  const port = await serve(t, await newMember(authority, n1), (_request, response) => {
    requests++
    response.end()
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n2" })
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED", message: /is n1, not n2/ })
  assert.equal(requests, 0)
})

test("a client's certificate cannot serve, even under the expected id", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, { ...alice, memberId: "n1" }), (_request, response) => {
    response.end()
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED" })
})

test("a server of another authority is refused", async (t) => {
  const port = await serve(t, await newMember(await newAuthority(t), n1), (_request, response) => {
    response.end()
  })
  const agent = createAgent(await newMember(await newAuthority(t), alice), { expectedId: "n1" })
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_REFUSED" })
})

test("TLS 1.2 is refused", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (_request, response) => {
    response.end()
  })
  const { keyPem, certPem } = await newMember(authority, alice)
  const outcome = await new Promise<string>((resolve) => {
    const socket = connect({
      host,
      port,
      ca: authority.caPem,
      key: keyPem,
      cert: certPem,
      maxVersion: "TLSv1.2",
      checkServerIdentity: () => undefined,
    })
    socket.on("secureConnect", () => resolve("connected"))
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"))
  })
  assert.equal(outcome, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION")
})

test("nothing listening, a server that is not TLS, silence, size and cancelling each have their own error", async (t) => {
  const authority = await newAuthority(t)
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  const port = await serve(t, await newMember(authority, n1), (request, response) => {
    if (request.url === "/big") response.end(new Uint8Array(2000))
    if (request.url === "/endless") for (let i = 0; i < 20; i++) response.write(new Uint8Array(100))
  })
  const plain = createServer((socket) =>
    socket
      .on("error", () => undefined)
      .resume()
      .end("hello, this is not TLS\n"),
  )
  await new Promise<void>((resolve) => plain.listen(0, host, resolve))
  const { port: plainPort } = plain.address() as { port: number }

  await assert.rejects(requestBytes(agent, { ...get, port: plainPort }), { code: "ERR_REFUSED" })
  await new Promise((resolve) => plain.close(resolve))
  await assert.rejects(requestBytes(agent, { ...get, port: plainPort }), {
    code: "ERR_SERVER_UNREACHABLE",
    message: /nothing listens there/,
  })
  await assert.rejects(requestBytes(agent, { ...get, port, timeoutMs: 50 }), { code: "ERR_SERVER_UNREACHABLE" })
  await assert.rejects(requestBytes(agent, { ...get, port, path: "/big", maxBytes: 1999 }), { code: "ERR_LIMIT" })
  await assert.rejects(requestBytes(agent, { ...get, port, path: "/endless", maxBytes: 1999 }), { code: "ERR_LIMIT" })
  await assert.rejects(requestBytes(agent, { ...get, port, signal: AbortSignal.timeout(50) }), { code: "ERR_ABORTED" })
  await assert.rejects(requestBytes(agent, { ...get, port, signal: AbortSignal.abort() }), { code: "ERR_ABORTED" })
})

test("a server of the grid that speaks no HTTP, and one that closes every connection, are told as such", async (t) => {
  const authority = await newAuthority(t)
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  const { keyPem, certPem, caPem } = await newMember(authority, n1)
  const options = { key: keyPem, cert: certPem, ca: caPem, requestCert: true, minVersion: "TLSv1.3" } as const
  let answer = "SSH-2.0-some\r\n"
  let connections = 0
  const server = createTlsListener(options, (socket) => {
    connections++
    socket.on("error", () => undefined).once("data", () => socket.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  await assert.rejects(requestBytes(agent, { ...get, port }), {
    code: "ERR_BAD_FORMAT",
    message: /does not answer as a server of a grid does \(HPE_/,
  })
  answer = ""
  connections = 0
  await assert.rejects(requestBytes(agent, { ...get, port }), { code: "ERR_SERVER_UNREACHABLE" })
  assert.ok(connections <= 2, `${connections} connections`)
})

test("headers over the bound are refused", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (_request, response) => {
    response.end()
  })
  const agent = createAgent(await newMember(authority, alice), { expectedId: "n1" })
  t.after(() => agent.destroy())
  const { status } = await requestBytes(agent, { ...get, port, headers: { "x-long": "x".repeat(17_000) } })
  assert.equal(status, 431)
})

test("a body comes in chunks or in one piece, and in no coding that nobody asked for", async (t) => {
  const authority = await newAuthority(t)
  const port = await serve(t, await newMember(authority, n1), (request, response) => void request.pipe(response))
  const { keyPem: key, certPem: cert } = await newMember(authority, alice)
  const answerTo = async (coding: string) => {
    const socket = connect({ host, port, key, cert, ca: authority.caPem, checkServerIdentity: () => undefined })
    let answer = ""
    socket.on("data", (part: Buffer) => {
      answer += part.toString()
    })
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\nab\r\n0\r\n\r\n`,
    )
    await new Promise((resolve) => socket.on("error", () => undefined).on("close", resolve))
    return answer
  }
  assert.match(await answerTo("chunked"), /^HTTP\/1.1 200 [\s\S]*ab/)
  assert.equal(await answerTo("gzip, chunked"), "")
})

test("an identity directory is 0700, its files 0600, it loads again, and is never overwritten", async (t) => {
  const dir = join(await temporaryDirectory(t), "deep", "alice")
  const member = await newMember(await newAuthority(t), alice)
  await saveIdentity(dir, member)
  assert.equal((await stat(dir)).mode & 0o777, 0o700)
  assert.deepEqual((await readdir(dir)).sort(), ["ca.pem", "cert.pem", "key.pem"])
  for (const name of await readdir(dir)) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600)
  assert.deepEqual(await loadIdentity(dir), member)
  await assert.rejects(saveIdentity(dir, member), { code: "ERR_ALREADY_EXISTS" })
  await assert.rejects(loadIdentity(join(dir, "nowhere")), { code: "ERR_NOT_FOUND" })
})

test("an identity is refused when it expired, and told when it soon will; mixed-up files are damaged", async (t) => {
  const authority = await newAuthority(t)
  const dir = join(await temporaryDirectory(t), "alice")
  const member = await newMember(authority, alice)
  await saveIdentity(dir, member)
  assert.equal(expiresSoon(member), false)
  assert.equal(expiresSoon(member, member.notAfterMs - 86_400_000), true)
  await assert.rejects(loadIdentity(dir, member.notAfterMs), { code: "ERR_REFUSED" })
  const other = await newMember(authority, alice)
  const mixed = join(await temporaryDirectory(t), "mixed")
  await saveIdentity(mixed, { ...member, keyPem: other.keyPem })
  await assert.rejects(loadIdentity(mixed), { code: "ERR_BAD_FORMAT" })
})

test("the authority's key is 0600, it opens again, and decides every name itself", async (t) => {
  const dir = join(await temporaryDirectory(t), "ca")
  const made = await createAuthority(dir, "test grid")
  for (const name of await readdir(dir)) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600)
  const opened = await openAuthority(dir)
  assert.deepEqual(opened.fingerprint, made.fingerprint)
  await assert.rejects(createAuthority(dir, "again"), { code: "ERR_ALREADY_EXISTS" })

  const { csrPem } = await createKeyAndRequest()
  const certificate = new X509Certificate(
    await opened.sign(csrPem, { ...n1, serverNames: ["n1.example.org", "192.0.2.1", "2001:db8::1"] }),
  )
  assert.equal(certificate.subject, "CN=n1\nO=node\nOU=grid")
  assert.match(certificate.subjectAltName ?? "", /DNS:n1.example.org, IP Address:192.0.2.1, IP Address:2001:DB8/)
  const validDays = (certificate.validToDate.getTime() - Date.now()) / 86_400_000
  assert.ok(validDays > 364 && validDays < 366)
  assert.equal(certificate.ca, false)
})

test("requests that are damaged, or names that are not names, are not signed", async (t) => {
  const authority = await newAuthority(t)
  const { csrPem } = await createKeyAndRequest()
  const der = Buffer.from(csrPem.replace(/-----.*-----|\n/g, ""), "base64")
  der[der.length - 3]! ^= 1
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----`
  for (const bad of ["", "x", forged, csrPem.repeat(50)])
    await assert.rejects(authority.sign(bad, alice), { code: "ERR_BAD_FORMAT" })
  for (const memberId of ["", "a/b", "a,O=coordinator", "é", "x".repeat(65)])
    await assert.rejects(authority.sign(csrPem, { ...alice, memberId }), { code: "ERR_INVALID_ARGUMENT" })
  await assert.rejects(authority.sign(csrPem, { ...n1, serverNames: ["a b"] }), { code: "ERR_INVALID_ARGUMENT" })
})

test("addresses are host:port", () => {
  assert.deepEqual(parseAddress("n1.example.org:8440"), { host: "n1.example.org", port: 8440 })
  assert.deepEqual(parseAddress("[::1]:1"), { host: "::1", port: 1 })
  for (const bad of [
    "",
    "host",
    "host:0",
    "host:65536",
    "a b:1",
    "::1:80",
    "[host]:1",
    "[1:2]:1",
    "http://h:1",
    "h:1/x",
  ])
    assert.throws(() => parseAddress(bad), { code: "ERR_INVALID_ARGUMENT" }, bad)
})
