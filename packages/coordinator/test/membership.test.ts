import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { readdir, readFile } from "node:fs/promises"
import { connect as connectTcp, createServer, type Socket } from "node:net"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { connect, type TLSSocket } from "node:tls"
import { createNodeBackend } from "@holdfast/backends/storage-node"
import { fromUtf8, isHoldfastError, utf8 } from "@holdfast/core"
import { systemClock } from "@holdfast/core/node"
import {
  createAgent,
  createKeyAndRequest,
  createLogger,
  fetchGrid,
  fetchMembers,
  type Identity,
  join,
  loadGrid,
  loadIdentity,
  parseAddress,
  RevokedKeys,
  requestBytes,
  TransportClient,
} from "@holdfast/network"
import { type NodeOptions, startNode } from "@holdfast/node"
import { decodeInvite, encodeInvite } from "@holdfast/protocol"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import { createInvite, listMembers, revokeMember } from "../src/index.ts"
import { type Running, start, temporaryDirectory } from "./fixtures.ts"

const client = { role: "client", tenant: "acme" } as const
const pollMs = 20

/** Joins a client and says what it keeps. */
async function joined(t: TestContext, { dir }: Running, name: string): Promise<{ dir: string; identity: Identity }> {
  const own = joinPath(await temporaryDirectory(t), name)
  await join(await createInvite({ dir, ...client }), { dir: own, name })
  return { dir: own, identity: await loadIdentity(own) }
}

/** A node that joined and keeps in touch. */
async function nodeOf(t: TestContext, coordinator: Running, options: Partial<NodeOptions> = {}) {
  const base = await temporaryDirectory(t)
  const identityDir = options.identityDir ?? joinPath(base, "identity")
  if (!options.identityDir) {
    const invite = await createInvite({ dir: coordinator.dir, role: "node", tenant: "grid" })
    await join(invite, { dir: identityDir, name: "n1", serverNames: ["127.0.0.1"] })
  }
  const logged: string[] = []
  const node = await startNode({
    identityDir,
    dir: joinPath(base, "data"),
    host: "127.0.0.1",
    port: 0,
    reservedBytes: 0,
    scrub: false,
    logger: createLogger({ stream: { write: (line: string) => logged.push(line) }, level: "debug" }),
    membership: { everyMs: pollMs },
    ...options,
  })
  t.after(() => node.close())
  const backend = (identity: Identity) => {
    const transport = new TransportClient(identity, { expectedId: node.memberId })
    t.after(() => transport.close())
    const request: Parameters<typeof createNodeBackend>[0]["request"] = (call) =>
      transport.request({ ...parseAddress(node.address), ...call })
    return createNodeBackend({ id: node.memberId, address: node.address, request })
  }
  return { ...node, identityDir, logged, backend }
}

async function dial(t: TestContext, address: string, { keyPem: key, certPem: cert, caPem: ca }: Identity) {
  const socket: TLSSocket = connect({ ...parseAddress(address), key, cert, ca, checkServerIdentity: () => undefined })
  t.after(() => socket.destroy())
  socket.on("error", () => undefined).resume()
  await once(socket, "secureConnect")
  return socket
}

/** Waits, in steps of real work, until `condition` holds. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 8_000
  while (!(await condition())) {
    assert.ok(Date.now() < endMs, "it never came true")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test("an answer to a join that was lost is given again to the same directory, and the token makes one member only", async (t) => {
  const coordinator = await start(t)
  const target = parseAddress(coordinator.address)
  let isCutting = true
  const proxy = createServer((near: Socket) => {
    const far = connectTcp(target)
    near.on("error", () => undefined).on("close", () => far.destroy())
    far.on("error", () => undefined).on("close", () => near.destroy())
    near.on("data", (chunk) => far.write(chunk))
    far.on("data", (chunk) => {
      if (isCutting && coordinator.logged.some((line) => line.includes("member joined"))) near.destroy()
      else near.write(chunk)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  t.after(() => proxy.close())
  const { port } = proxy.address() as { port: number }
  const invite = decodeInvite(await createInvite({ dir: coordinator.dir, ...client }))
  const through = encodeInvite({ ...invite, address: `127.0.0.1:${port}` })
  const base = await temporaryDirectory(t)
  const options = { dir: `${joinPath(base, "alice")}/`, name: "alice" }

  await assert.rejects(join(through, options), { code: "ERR_SERVER_UNREACHABLE" })
  isCutting = false
  await assert.rejects(join(through, { ...options, dir: joinPath(base, "thief") }), { message: /used already/ })
  const { memberId } = await join(through, options)
  assert.deepEqual(
    listMembers({ dir: coordinator.dir }).map(({ id, name }) => [id, name]),
    [[memberId, "alice"]],
  )
  assert.deepEqual(await readdir(base), ["alice"], "nothing is left behind")
})

test("the same token and key give the same certificate until the invitation ends", async (t) => {
  let clockMs = Date.now()
  const { dir, port } = await start(t, { nowMs: () => clockMs })
  const invite = decodeInvite(await createInvite({ dir, ...client, ttlSeconds: 60 }))
  const { csrPem } = await createKeyAndRequest()
  const { identity } = await joined(t, { dir } as Running, "bob")
  const agent = createAgent({ caPem: identity.caPem })
  t.after(() => agent.destroy())
  const ask = async (csr: string) => {
    const token = Buffer.from(invite.token).toString("base64url")
    const body = utf8(JSON.stringify({ token, csr, name: "alice" }))
    const answer = await requestBytes(agent, { host: "127.0.0.1", port, method: "POST", path: "/v1/join", body })
    return { status: answer.status, ...(JSON.parse(fromUtf8(answer.body)) as { certPem?: string; code?: string }) }
  }
  const first = await ask(csrPem)
  assert.equal(first.status, 200)
  assert.equal((await ask(csrPem)).certPem, first.certPem)
  assert.equal((await ask((await createKeyAndRequest()).csrPem)).status, 403)
  clockMs += 61_000
  assert.deepEqual([(await ask(csrPem)).status, (await ask(csrPem)).code], [403, "ERR_INVITE"])
})

test("a revoked client is refused by the coordinator at once and by nodes soon after, over open connections too", async (t) => {
  const coordinator = await start(t)
  const [alice, mallory] = [await joined(t, coordinator, "alice"), await joined(t, coordinator, "mallory")]
  const node = await nodeOf(t, coordinator)
  const [good, bad] = [node.backend(alice.identity), node.backend(mallory.identity)]
  await good.usage()
  await bad.usage()
  const open = await dial(t, node.address, mallory.identity)
  const ended = once(open, "close")
  const waits = bad.watchRegisters!([{ id: new Uint8Array(32).fill(1) }])
  const cut = assert.rejects(waits, (error) => isHoldfastError(error)) // nobody could say how often it tries again before it is refused

  const revoked = revokeMember({ dir: coordinator.dir, member: "mallory" })
  assert.equal(revoked.name, "mallory")
  assert.ok(revoked.revokedMs! > 0)
  await assert.rejects(fetchGrid(mallory.dir), { code: "ERR_REFUSED", message: /was revoked/ })
  await assert.rejects(fetchMembers(mallory.dir), { code: "ERR_REFUSED" })
  await ended
  await cut
  await assert.rejects(bad.usage(), { code: "ERR_REFUSED", message: /was revoked/ })
  await good.usage()
  assert.deepEqual((await fetchMembers(alice.dir)).map(({ name }) => name).sort(), ["alice", "n1"])
  const { grid } = await fetchGrid(alice.dir)
  assert.equal(grid.revoked?.length, 1)

  await coordinator.close()
  await node.close()
  const again = await nodeOf(t, coordinator, { identityDir: node.identityDir })
  await assert.rejects(again.backend(mallory.identity).usage(), { code: "ERR_REFUSED", message: /was revoked/ })
  await again.backend(alice.identity).usage()
})

test("a revoked node leaves the grid description, and clients refuse it by its key", async (t) => {
  const coordinator = await start(t)
  const alice = await joined(t, coordinator, "alice")
  const node = await nodeOf(t, coordinator)
  await until(async () => (await fetchGrid(alice.dir)).grid.servers.length === 1)
  revokeMember({ dir: coordinator.dir, member: node.memberId })
  const { grid } = await fetchGrid(alice.dir)
  assert.deepEqual(grid.servers, [])
  const agent = createAgent(alice.identity, { revoked: new RevokedKeys(grid.revoked) })
  t.after(() => agent.destroy())
  const call = { ...parseAddress(node.address), method: "GET", path: "/v1/usage" }
  await assert.rejects(requestBytes(agent, call), { code: "ERR_REFUSED", message: /was revoked, so nothing was sent/ })
  assert.deepEqual(await loadGrid(alice.dir), grid)
})

test("revoking needs a member, and one only; it is remembered by name, id and time", async (t) => {
  const { dir } = await start(t)
  for (const name of ["alice", "twin", "twin"]) await joined(t, { dir } as Running, name)
  assert.throws(() => revokeMember({ dir, member: "nobody" }), {
    code: "ERR_NOT_FOUND",
    message: /coordinator members/,
  })
  const twins = listMembers({ dir }).filter(({ name }) => name === "twin")
  assert.throws(() => revokeMember({ dir, member: "twin" }), {
    code: "ERR_INVALID_ARGUMENT",
    message: RegExp(twins[1]!.id),
  })
  const first = revokeMember({ dir, member: twins[0]!.id })
  assert.deepEqual(revokeMember({ dir, member: twins[0]!.id }), first, "once is enough")
  assert.equal(revokeMember({ dir, member: "twin" }).id, twins[1]!.id, "the name is free for the other")
  assert.deepEqual(
    listMembers({ dir }).map(({ revokedMs }) => revokedMs !== null),
    [false, true, true],
  )
  assert.throws(() => listMembers({ dir: joinPath(dir, "nowhere") }), { code: "ERR_NOT_FOUND" })
})

test("a running node announces itself and renews its certificate, which new connections see", async (t) => {
  const coordinator = await start(t)
  const alice = await joined(t, coordinator, "alice")
  const lateMs = 300 * 86_400_000
  const clock = { nowMs: () => Date.now() + lateMs, sleep: systemClock.sleep }
  const node = await nodeOf(t, coordinator, { clock })
  const first = await loadIdentity(node.identityDir)
  await until(async () => (await fetchGrid(alice.dir)).grid.servers[0]?.address === node.address)
  assert.ok((await loadGrid(alice.dir)).servers[0]!.capacityBytes > 0)
  const serialOf = async () => {
    const socket = await dial(t, node.address, alice.identity)
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  await until(async () => (await serialOf()) !== new X509Certificate(first.certPem).serialNumber)
  const renewed = await loadIdentity(node.identityDir)
  assert.equal(renewed.keyPem, first.keyPem)
  assert.match(node.logged.join(""), /certificate-renewed/)
  await node.backend(alice.identity).usage()
})

test("a node that cannot reach its coordinator goes on, says so, and catches up", async (t) => {
  const coordinator = await start(t)
  const [alice, mallory] = [await joined(t, coordinator, "alice"), await joined(t, coordinator, "mallory")]
  await coordinator.close()
  const node = await nodeOf(t, coordinator, {
    identityDir: await (async () => {
      const again = await start(t, { dir: coordinator.dir, port: coordinator.port })
      const dir = joinPath(await temporaryDirectory(t), "n1")
      await join(await createInvite({ dir: again.dir, role: "node" }), { dir, name: "n1" })
      await again.close()
      return dir
    })(),
  })
  await until(() => node.logged.some((line) => line.includes("announce-failed")))
  await node.backend(mallory.identity).usage()
  revokeMember({ dir: coordinator.dir, member: "mallory" })
  await start(t, { dir: coordinator.dir, port: coordinator.port })
  const open = await dial(t, node.address, mallory.identity)
  if (!open.destroyed) await once(open, "close")
  await assert.rejects(node.backend(mallory.identity).usage(), { code: "ERR_REFUSED", message: /was revoked/ })
  await node.backend(alice.identity).usage()
})

test("every metric of a coordinator and a node is in the operator's guide, and no other", async (t) => {
  const coordinator = await start(t)
  const alice = await joined(t, coordinator, "alice")
  const node = await nodeOf(t, coordinator)
  await node.backend(alice.identity).usage()
  const names = new Set<string>()
  for (const { monitorAddress } of [coordinator, node])
    for (const name of parsePrometheus(await (await fetch(`http://${monitorAddress}/metrics`)).text()).keys())
      names.add(name)
  const guide = await readFile(new URL("../../../docs/guides/operate.md", import.meta.url), "utf8")
  const own = (name: string) => !name.startsWith("holdfast_maintain_") // of a client
  const listed = [...guide.matchAll(/^\| `(holdfast_\w+)`/gm)].map(([, name]) => name!).filter(own)
  assert.deepEqual([...names].sort(), listed.sort())
})

test("neither coordinator nor node answers anything without TLS", async (t) => {
  const coordinator = await start(t)
  const node = await nodeOf(t, coordinator)
  for (const address of [coordinator.address, node.address])
    for (const path of ["/health", "/metrics", "/v1/grid", "/v1/members"]) {
      const socket = connectTcp(parseAddress(address))
      socket.on("error", () => undefined)
      let answer = ""
      socket.on("data", (chunk) => (answer += chunk.toString("latin1")))
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await once(socket, "close")
      assert.doesNotMatch(answer, /HTTP/)
    }
  for (const { monitorAddress } of [coordinator, node]) assert.match(monitorAddress!, /^127\.0\.0\.1:/)
})
