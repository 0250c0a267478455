import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { cp, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join as joinPath } from "node:path"
import { test } from "node:test"
import { connect } from "node:tls"
import { fromUtf8, utf8 } from "@holdfast/core"
import {
  announce,
  createAgent,
  createAuthority,
  createKeyAndRequest,
  fetchGrid,
  fetchMembers,
  join,
  keyIdOf,
  loadGrid,
  loadIdentity,
  openAuthority,
  parseAddress,
  renewIdentity,
  requestBytes,
} from "@holdfast/network"
import { decodeInvite, encodeInvite } from "@holdfast/protocol"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import { createInvite } from "../src/index.ts"
import { start, temporaryDirectory } from "./fixtures.ts"

const member = { role: "client", tenant: "acme" } as const
const node = { role: "node", tenant: "grid" } as const

test("a node and a client join with one string each, the node announces, the client sees it in the signed grid", async (t) => {
  const { dir, address } = await start(t)
  const base = await temporaryDirectory(t)
  const [nodeDir, clientDir] = [joinPath(base, "node"), joinPath(base, "client")]
  const joined = await join(await createInvite({ dir, ...node }), { dir: nodeDir, name: "n1", serverNames: ["::1"] })
  assert.equal(joined.role, "node")
  assert.equal((await join(await createInvite({ dir, ...member }), { dir: clientDir, name: "alice" })).role, "client")
  const before = (await loadGrid(clientDir)).serial
  const { serial } = await announce(nodeDir, { address: "127.0.0.1:8441", capacityBytes: 1000 })
  assert.ok(serial > before)
  const { grid, fresh } = await fetchGrid(clientDir)
  assert.equal(fresh, true)
  assert.equal(grid.serial, serial)
  assert.equal(grid.coordinator, address)
  assert.deepEqual(grid.coding, { k: 3, happy: 4, n: 5 })
  const key = keyIdOf((await loadIdentity(nodeDir)).certPem)
  assert.deepEqual(grid.servers, [
    { id: joined.memberId, name: "n1", address: "127.0.0.1:8441", capacityBytes: 1000, key },
  ])
  assert.deepEqual(grid.voters, [joined.memberId])
  assert.deepEqual(await loadGrid(clientDir), grid)
  assert.equal((await announce(nodeDir, { address: "127.0.0.1:8441", capacityBytes: 1000 })).serial, serial)
  assert.deepEqual((await fetchMembers(clientDir)).map(({ name }) => name).sort(), ["alice", "n1"])
  const identity = await loadIdentity(clientDir)
  assert.deepEqual([identity.role, identity.tenant], ["client", "acme"])
})

test("every secret on disk is 0600 in directories that are 0700, and the token is nowhere in state or log", async (t) => {
  const { dir, logged } = await start(t)
  const clientDir = joinPath(await temporaryDirectory(t), "client")
  const invite = await createInvite({ dir, ...member })
  await join(invite, { dir: clientDir, name: "alice" })
  const token = Buffer.from(decodeInvite(invite).token)
  for (const root of [dir, clientDir]) {
    assert.equal((await stat(root)).mode & 0o777, 0o700)
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      const path = joinPath(entry.parentPath, entry.name)
      assert.equal((await stat(path)).mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, path)
      if (!entry.isDirectory()) assert.equal((await readFile(path)).indexOf(token), -1, path)
    }
  }
  for (const spelled of [token.toString("hex"), token.toString("base64url"), invite])
    assert.equal(logged.join("").includes(spelled), false)
  assert.match(logged.join(""), /member joined/)
})

test("an invitation with another fingerprint sends nothing and leaves the token unused", async (t) => {
  const { dir, logged } = await start(t)
  const base = await temporaryDirectory(t)
  const invite = decodeInvite(await createInvite({ dir, ...member }))
  const other = await createAuthority(joinPath(base, "other-ca"), "other")
  const wrong = encodeInvite({ ...invite, caFingerprint: other.fingerprint })
  await assert.rejects(join(wrong, { dir: joinPath(base, "a"), name: "a" }), {
    code: "ERR_INVITE",
    message: /nothing was sent/,
  })
  assert.doesNotMatch(logged.join(""), /join/)
  await assert.rejects(stat(joinPath(base, "a")), { code: "ENOENT" })
  await join(encodeInvite(invite), { dir: joinPath(base, "b"), name: "b" })
})

test("a token works once, ends when the coordinator says so, and must be one it made", async (t) => {
  let clockMs = Date.now()
  const { dir } = await start(t, { nowMs: () => clockMs })
  const base = await temporaryDirectory(t)
  const attempt = (invite: string, name: string) => join(invite, { dir: joinPath(base, name), name })
  const used = await createInvite({ dir, ...member })
  await attempt(used, "a")
  await assert.rejects(attempt(used, "b"), { code: "ERR_INVITE", message: /used already/ })

  const short = decodeInvite(await createInvite({ dir, ...member, ttlSeconds: 60 }))
  clockMs += 61_000
  const stretched = encodeInvite({ ...short, expiryMs: short.expiryMs + 3_600_000 })
  await assert.rejects(attempt(stretched, "c"), { code: "ERR_INVITE", message: /expired/ })
  const ended = encodeInvite({ ...short, expiryMs: Date.now() - 1 })
  await assert.rejects(attempt(ended, "d"), { code: "ERR_INVITE", message: /ended on/ })
  const invented = encodeInvite({ ...short, expiryMs: Date.now() + 60_000, token: new Uint8Array(32) })
  await assert.rejects(attempt(invented, "e"), { code: "ERR_INVITE", message: /not known/ })
})

test("two that race for one token: exactly one joins", async (t) => {
  const { dir } = await start(t)
  const base = await temporaryDirectory(t)
  const invite = await createInvite({ dir, ...member })
  const outcomes = await Promise.allSettled(
    [1, 2, 3, 4].map((i) => join(invite, { dir: joinPath(base, `${i}`), name: `${i}` })),
  )
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1)
})

test("a client may not announce", async (t) => {
  const { dir } = await start(t)
  const clientDir = joinPath(await temporaryDirectory(t), "client")
  await join(await createInvite({ dir, ...member }), { dir: clientDir, name: "alice" })
  await assert.rejects(announce(clientDir, { address: "127.0.0.1:1", capacityBytes: 1 }), {
    code: "ERR_REFUSED",
    message: /Only nodes/,
  })
})

test("without a certificate, or with one of another authority, there is only joining; guessing is limited", async (t) => {
  const { dir, port } = await start(t)
  const base = await temporaryDirectory(t)
  const caPem = await readFile(joinPath(dir, "authority", "ca.pem"), "utf8")
  const other = await createAuthority(joinPath(base, "other-ca"), "other")
  const { keyPem, csrPem } = await createKeyAndRequest()
  const certPem = await other.sign(csrPem, { memberId: "mallory", role: "node", tenant: "grid" })
  for (const credentials of [{ caPem }, { caPem, keyPem, certPem }]) {
    const agent = createAgent(credentials, { expectedRole: "coordinator" })
    t.after(() => agent.destroy())
    const ask = (method: string, path: string, body = "") =>
      requestBytes(agent, { host: "127.0.0.1", port, method, path, body: utf8(body) })
    for (const [method, path] of [
      ["GET", "/v1/members"],
      ["GET", "/v1/grid"],
      ["POST", "/v1/announce"],
      ["GET", "/v1/join"],
      ["GET", "/"],
    ] as const) {
      const { status, body } = await ask(method, path)
      assert.equal(status, 401, path)
      assert.deepEqual(Object.keys(JSON.parse(fromUtf8(body))), ["code", "message"])
    }
    assert.equal((await ask("POST", "/v1/join", "{")).status, 400)
    assert.equal((await ask("POST", "/v1/join", `"${"x".repeat(40_000)}"`)).status, 413)
  }
  const agent = createAgent({ caPem }, { expectedRole: "coordinator" })
  t.after(() => agent.destroy())
  const guess = utf8(JSON.stringify({ token: "A".repeat(43), csr: csrPem, name: "m" }))
  const statuses: number[] = []
  for (let i = 0; i < 40; i++)
    statuses.push(
      (await requestBytes(agent, { host: "127.0.0.1", port, method: "POST", path: "/v1/join", body: guess })).status,
    )
  assert.equal(statuses[0], 403)
  assert.equal(statuses.at(-1), 429)
})

test("tenants do not see each other's clients", async (t) => {
  const { dir } = await start(t)
  const base = await temporaryDirectory(t)
  for (const tenant of ["acme", "umbrella"])
    await join(await createInvite({ dir, role: "client", tenant }), { dir: joinPath(base, tenant), name: tenant })
  assert.deepEqual(
    (await fetchMembers(joinPath(base, "acme"))).map(({ name }) => name),
    ["acme"],
  )
})

test("while the coordinator is down the cached grid serves; after a restart the same authority answers", async (t) => {
  const first = await start(t)
  const clientDir = joinPath(await temporaryDirectory(t), "client")
  await join(await createInvite({ dir: first.dir, ...member }), { dir: clientDir, name: "alice" })
  await first.close()
  const offline = await fetchGrid(clientDir)
  assert.equal(offline.fresh, false)
  assert.equal(offline.grid.name, "test grid")
  await start(t, { dir: first.dir, port: first.port, name: "renamed" })
  const online = await fetchGrid(clientDir)
  assert.equal(online.fresh, true)
  assert.equal(online.grid.name, "renamed")
  assert.equal(online.grid.serial, offline.grid.serial + 1)
})

test("a coordinator restored from an older copy is believed again when it was told so", async (t) => {
  const first = await start(t)
  const base = await temporaryDirectory(t)
  const [clientDir, nodeDir] = [joinPath(base, "client"), joinPath(base, "node")]
  await join(await createInvite({ dir: first.dir, ...member }), { dir: clientDir, name: "alice" })
  await join(await createInvite({ dir: first.dir, ...node }), { dir: nodeDir, name: "n1" })
  await first.close()
  await cp(first.dir, joinPath(base, "backup"), { recursive: true })
  const second = await start(t, { dir: first.dir, port: first.port })
  await announce(nodeDir, { address: "127.0.0.1:1", capacityBytes: 1 })
  const { serial } = (await fetchGrid(clientDir)).grid
  await second.close()
  const old = await start(t, { dir: joinPath(base, "backup"), port: first.port })
  const kept = await fetchGrid(clientDir)
  assert.deepEqual([kept.fresh, kept.grid.serial], [false, serial])
  assert.match(kept.warnings.join(), /its serial \d+ is lower than/)
  await old.close()
  await start(t, { dir: joinPath(base, "backup"), port: first.port, restored: true })
  await announce(nodeDir, { address: "127.0.0.1:1", capacityBytes: 1 })
  const { grid, fresh } = await fetchGrid(clientDir)
  assert.equal(fresh, true)
  assert.ok(grid.serial > serial)
  assert.equal(grid.servers.length, 1)
})

test("an altered cache is refused, and so is a coordinator that offers an older grid", async (t) => {
  const { dir } = await start(t)
  const base = await temporaryDirectory(t)
  const [clientDir, nodeDir] = [joinPath(base, "client"), joinPath(base, "node")]
  await join(await createInvite({ dir, ...member }), { dir: clientDir, name: "alice" })
  await join(await createInvite({ dir, ...node }), { dir: nodeDir, name: "n1" })
  const { DatabaseSync } = await import("node:sqlite")
  const database = new DatabaseSync(joinPath(dir, "coordinator.db"))
  t.after(() => database.close())
  const old = database.prepare("SELECT value FROM settings WHERE name = 'grid'").get()!.value as string
  await announce(nodeDir, { address: "127.0.0.1:1", capacityBytes: 1 })
  await announce(nodeDir, { address: "127.0.0.1:2", capacityBytes: 1 })
  await fetchGrid(clientDir)
  database.prepare("UPDATE settings SET value = ? WHERE name = 'grid'").run(old)
  const kept = await fetchGrid(clientDir)
  assert.deepEqual([kept.fresh, kept.grid.servers[0]?.address], [false, "127.0.0.1:2"])
  assert.match(kept.warnings.join(), /which is not used: its serial/)

  const path = joinPath(clientDir, "pins.json")
  const cache = await readFile(path, "utf8")
  await writeFile(path, cache.replace("127.0.0.1:2", "127.0.0.1:3"))
  await assert.rejects(loadGrid(clientDir), { code: "ERR_CORRUPT" })
  await writeFile(path, cache.slice(0, -5))
  await assert.rejects(loadGrid(clientDir), { code: "ERR_BAD_FORMAT" })
})

test("TLS 1.2 is refused", async (t) => {
  const { address } = await start(t)
  const outcome = await new Promise<string>((resolve) => {
    const socket = connect({ ...parseAddress(address), rejectUnauthorized: false, maxVersion: "TLSv1.2" })
    socket.on("secureConnect", () => resolve("connected"))
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"))
  })
  assert.equal(outcome, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION")
})

test("invitations need a coordinator, a role, a tenant and a time that make sense", async (t) => {
  const { dir } = await start(t)
  const nowhere = joinPath(await temporaryDirectory(t), "nowhere")
  await assert.rejects(createInvite({ dir: nowhere, ...member }), { code: "ERR_NOT_FOUND" })
  for (const bad of [
    { tenant: "a/b" },
    { roles: [] },
    { ttlSeconds: 0 },
    { name: "x".repeat(65) },
    { address: "nowhere" },
  ])
    await assert.rejects(createInvite({ dir, ...member, ...bad }), { code: "ERR_INVALID_ARGUMENT" })
})

test("health and metrics are on loopback, and tell who joined by number only", async (t) => {
  const { dir, port, monitorAddress } = await start(t)
  assert.match(monitorAddress!, /^127\.0\.0\.1:\d+$/)
  const health = await fetch(`http://${monitorAddress}/health`)
  assert.deepEqual([health.status, await health.json()], [200, { ok: true }])
  const caPem = await readFile(joinPath(dir, "authority", "ca.pem"), "utf8")
  const agent = createAgent({ caPem })
  t.after(() => agent.destroy())
  for (const path of ["/v1/grid", "/whatever"])
    await requestBytes(agent, { host: "127.0.0.1", port, method: "GET", path })
  const read = parsePrometheus(await (await fetch(`http://${monitorAddress}/metrics`)).text())
  assert.deepEqual(
    read.get("holdfast_coordinator_members")!.map(({ labels, value }) => [labels.get("role"), value]),
    [
      ["client", 0],
      ["node", 0],
    ],
  )
  assert.deepEqual(
    read
      .get("holdfast_coordinator_requests_total")!
      .map(({ labels, value }) => [labels.get("path"), labels.get("status"), value]),
    [
      ["/v1/grid", "401", 1],
      ["other", "401", 1],
    ],
  )
  const yearsLeft = (name: string) => (read.get(name)![0]!.value - Date.now() / 1000) / 86_400 / 365
  assert.ok(Math.abs(yearsLeft("holdfast_certificate_end_seconds") - 1) < 0.01)
  assert.ok(Math.abs(yearsLeft("holdfast_authority_end_seconds") - 10) < 0.1)
})

test("a certificate is renewed for the same key, member and names, and only near its end", async (t) => {
  const { dir, close } = await start(t)
  const own = joinPath(await temporaryDirectory(t), "node")
  await join(await createInvite({ dir, ...node }), {
    dir: own,
    name: "n1",
    serverNames: ["n1.example.org", "127.0.0.1"],
  })
  const first = await loadIdentity(own)
  assert.equal(await renewIdentity(own, first), first)
  const nowMs = first.notAfterMs - 100 * 86_400_000
  const renewed = await renewIdentity(own, first, { nowMs })
  assert.notEqual(renewed.certPem, first.certPem)
  assert.deepEqual(await loadIdentity(own), renewed)
  assert.deepEqual(
    { ...renewed, certPem: "", notAfterMs: 0 },
    { ...first, certPem: "", notAfterMs: 0 },
    "key, member, role and tenant stay",
  )
  assert.ok(renewed.notAfterMs >= first.notAfterMs)
  const namesOf = (certPem: string) => new X509Certificate(certPem).subjectAltName
  assert.equal(namesOf(renewed.certPem), namesOf(first.certPem))
  assert.match(namesOf(renewed.certPem)!, /n1\.example\.org/)
  await announce(own, { address: "127.0.0.1:8441", capacityBytes: 1 })
  await close()
  assert.equal(await renewIdentity(own, renewed, { nowMs: renewed.notAfterMs - 1000 }), renewed, "while it is away")
})

test("nobody gets a certificate renewed that is not of a member known here", async (t) => {
  const { dir, port } = await start(t)
  const caPem = await readFile(joinPath(dir, "authority", "ca.pem"), "utf8")
  const other = await createAuthority(joinPath(await temporaryDirectory(t), "other-ca"), "other")
  const { keyPem, csrPem } = await createKeyAndRequest()
  const certPem = await other.sign(csrPem, { memberId: "mallory", role: "node", tenant: "grid" })
  for (const credentials of [{ caPem }, { caPem, keyPem, certPem }]) {
    const agent = createAgent(credentials, { expectedRole: "coordinator" })
    t.after(() => agent.destroy())
    const call = { host: "127.0.0.1", port, method: "POST", path: "/v1/renew", body: utf8("{}") }
    assert.equal((await requestBytes(agent, call)).status, 401)
  }
})

test("a certificate that has ended renews nothing, though its member is known and the key is right", async (t) => {
  const { dir, port } = await start(t)
  const own = joinPath(await temporaryDirectory(t), "client")
  await join(await createInvite({ dir, ...member }), { dir: own, name: "alice" })
  const present = await loadIdentity(own)
  const authority = await openAuthority(joinPath(dir, "authority"))
  const nowMs = Date.now() - 10 * 86_400_000
  const statuses: number[] = []
  for (const validDays of [9, 11]) {
    const certPem = await authority.renew(present.certPem, { ...present, nowMs, validDays })
    const agent = createAgent({ ...present, certPem }, { expectedRole: "coordinator" })
    t.after(() => agent.destroy())
    const call = { host: "127.0.0.1", port, method: "POST", path: "/v1/renew", body: utf8("{}") }
    statuses.push((await requestBytes(agent, call)).status)
  }
  assert.deepEqual(statuses, [401, 200])
})

test("a running coordinator renews its own certificate: the next connection sees it, and members go on", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] }) // a day is over when we say so
  const { dir, address, logged } = await start(t)
  const clientDir = joinPath(await temporaryDirectory(t), "client")
  await join(await createInvite({ dir, ...member }), { dir: clientDir, name: "alice" })
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ ...parseAddress(address), rejectUnauthorized: false })
      socket.once("error", reject).once("secureConnect", () => {
        resolve(socket.getPeerX509Certificate()!.serialNumber)
        socket.destroy()
      })
    })
  const serialIn = async () => new X509Certificate(await readFile(joinPath(dir, "identity", "cert.pem"))).serialNumber
  const first = await shown()
  t.mock.timers.tick(86_400_000)
  assert.equal(await serialIn(), first, "a year is left")

  const own = await loadIdentity(joinPath(dir, "identity"))
  const authority = await openAuthority(joinPath(dir, "authority"))
  const ending = await authority.renew(own.certPem, { ...own, validDays: 5 })
  await writeFile(joinPath(dir, "identity", "cert.pem"), ending)
  t.mock.timers.tick(86_400_000)
  const endMs = Date.now() + 8_000
  while ((await shown()) === first) assert.ok(Date.now() < endMs, logged.join(""))
  const renewed = await loadIdentity(joinPath(dir, "identity"))
  assert.equal(await shown(), await serialIn())
  assert.ok(renewed.notAfterMs > Date.now() + 300 * 86_400_000)
  assert.deepEqual([renewed.memberId, renewed.role], [own.memberId, "coordinator"])
  assert.equal((await stat(joinPath(dir, "identity", "cert.pem"))).mode & 0o777, 0o600)
  assert.deepEqual(
    (await fetchMembers(clientDir)).map(({ name }) => name),
    ["alice"],
  )
})
