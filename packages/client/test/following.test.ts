/** Sessions that stay open while their grid changes: real coordinators, nodes and TLS. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { createInvite, type InviteOptions, labelNode, revokeMember, startCoordinator } from "@holdfast/coordinator"
import { utf8 } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { confirmServers, createLogger, join, loadIdentity, openAuthority } from "@holdfast/network"
import { startNode } from "@holdfast/node"
import type { ChunkId } from "@holdfast/protocol"
import { rankServers } from "@holdfast/store"
import { pathsOf, profileDir } from "../src/profile/paths.ts"
import { createProfile, openProfile } from "../src/profile/profile.ts"
import { changing, lockSecrets, readSecrets } from "../src/profile/secrets.ts"
import { openGrid } from "../src/volumes/grid.ts"
import { everyPlace, openSession, type Session, type SessionOptions } from "../src/volumes/session.ts"

const pollMs = 50
const passphrase = "correct horse battery staple"
const quiet = createLogger({ stream: { write: () => undefined } })

/** A grid of `count` nodes and a profile that is its member. */
async function setUp(t: TestContext, count: number) {
  const home = await mkdtemp(joinPath(tmpdir(), "holdfast-following-"))
  t.after(() => rm(home, { recursive: true, force: true, maxRetries: 20 }))
  const dir = joinPath(home, "coordinator")
  const coding = { k: 2, happy: 3, n: 3 }
  const coordinator = await startCoordinator({
    ...{ dir, host: "127.0.0.1", port: 0, name: "test grid", coding, monitor: false, logger: quiet },
  })
  const closing = onceClosed(t, coordinator)

  /** Starts a node; with `port` one that was there before. */
  async function startAgain(name: string, port = 0) {
    const node = await startNode({
      ...{ identityDir: joinPath(home, name, "identity"), dir: joinPath(home, name, "data"), host: "127.0.0.1", port },
      ...{ reservedBytes: 0, scrub: false, monitor: false, logger: quiet, membership: { everyMs: pollMs } },
    })
    return { ...node, close: onceClosed(t, node) }
  }
  async function addNode(name: string, more: Pick<InviteOptions, "labels" | "witness"> = {}) {
    const invite = await createInvite({ dir, role: "node", tenant: "grid", ...more })
    await join(invite, { dir: joinPath(home, name, "identity"), name, serverNames: ["127.0.0.1"] })
    return startAgain(name)
  }
  const nodes = []
  for (let i = 1; i <= count; i++) nodes.push(await addNode(`n${i}`))

  const paths = pathsOf({ HOME: home })
  const identityDir = joinPath(profileDir(paths, "default"), "identity")
  await join(await createInvite({ dir, role: "client", tenant: "acme" }), { dir: identityDir, name: "alice" })
  await createProfile(paths, "default")
  const warnings: string[] = []
  async function open(options: SessionOptions = {}): Promise<Session> {
    const profile = await openProfile(paths, "default", async () => passphrase)
    const onWarning = (text: string) => void warnings.push(text)
    const session = await openSession(profile, { askEveryMs: pollMs, onWarning, ...options })
    t.after(() => session.close())
    return session
  }
  return { ...{ dir, identityDir, nodes, addNode, startAgain, open, warnings }, closeCoordinator: closing }
}

function onceClosed(t: TestContext, running: { close(): Promise<void> }): () => Promise<void> {
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= running.close()
    return closed
  }
  t.after(close)
  return close
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, pollMs))
}

const content = (i: number) => utf8(`what was stored as number ${i}`)
/** What is read of a chunk is padded. */
const holds = async (session: Session, chunk: Parameters<Session["store"]["chunks"]["getChunk"]>[0], i: number) =>
  Buffer.from(await session.store.chunks.getChunk(chunk))
    .subarray(0, content(i).length)
    .equals(content(i))
const ids = (backends: Session["backends"]) => backends.map(({ id }) => id)

test("an open session stores on a node that joins, and asks one no more whose key was revoked", {
  timeout: 60_000,
}, async (t) => {
  const { dir, nodes, addNode, open, warnings } = await setUp(t, 3)
  const session = await open()
  const first = await session.store.chunks.putChunk(content(1))

  const added = await addNode("n4")
  await until(() => ids(session.backends).includes(added.memberId))
  assert.equal(session.nameOf(added.memberId), "n4")
  const usedBytes = async () => (await session.backends.find(({ id }) => id === added.memberId)!.usage()).usedBytes
  for (let i = 2; (await usedBytes()) === 0; i++) await session.store.chunks.putChunk(content(i))

  revokeMember({ dir, member: nodes[1]!.memberId })
  await until(() => !ids(session.backends).includes(nodes[1]!.memberId))
  assert.ok(await holds(session, first, 1))
  const last = await session.store.chunks.putChunk(content(0))
  assert.ok(await holds(session, last, 0))
  assert.deepEqual(warnings, [])
})

test("an open session says of a node that is one too many unasked that it takes nothing, until the user confirms it", {
  timeout: 60_000,
}, async (t) => {
  const { identityDir, addNode, open } = await setUp(t, 3)
  const session = await open()
  const first = ids(session.backends)
  for (const name of ["n4", "n5"]) await addNode(name)
  await until(() => session.backends.length === 5)
  const taking = () => ids(session.backends).filter((id) => session.isTaking(id))
  assert.equal(taking().length, 4)
  assert.ok(first.every((id) => taking().includes(id)))
  await confirmServers(identityDir)
  await until(() => taking().length === 5)
})

test("a node that waits for the user's word is no place of any chunk, however its labels stand out, until it is confirmed", {
  timeout: 60_000,
}, async (t) => {
  const { dir, identityDir, nodes, addNode, open } = await setUp(t, 3)
  const session = await open()
  for (const node of nodes) labelNode({ dir, node: node.memberId, labels: { site: "home" } })
  for (const name of ["n4", "n5"]) await addNode(name, { labels: { site: name } })
  const isWaiting = (id: string) => !session.isTaking(id)
  await until(() => session.backends.length === 5 && session.store.domains.length === 3)
  const [waiting] = ids(session.backends).filter(isWaiting)
  const opened = await openGrid(session.profile, {})
  t.after(() => opened.close())
  const chunk = () => nodeCrypto.random(32) as ChunkId
  for (let i = 0; i < 20; i++) assert.equal(ids(rankServers(opened.place(), chunk())).at(-1), waiting)
  await confirmServers(identityDir)
  const confirmed = await openGrid(session.profile, { fresh: true })
  t.after(() => confirmed.close())
  const best = ids(rankServers(confirmed.place(), chunk())).slice(0, 3)
  assert.ok(best.includes(waiting!), "one of each site comes first")
})

test("an open session spreads over the labels that its operator gives and takes, and asks a witness that joins for registers alone", {
  timeout: 60_000,
}, async (t) => {
  const { dir, nodes, addNode, open, warnings } = await setUp(t, 2)
  const session = await open()
  const names = () => session.store.domains.map(({ name }) => name)
  assert.deepEqual(names(), [])
  labelNode({ dir, node: nodes[0]!.memberId, labels: { site: "home" } })
  labelNode({ dir, node: nodes[1]!.memberId, labels: { site: "work", rack: "1" } })
  await until(() => names().length === 3)
  assert.deepEqual(names(), ["site=home", "site=work", "site=work/rack=1"])
  labelNode({ dir, node: nodes[1]!.memberId, labels: { site: "home" } })
  await until(() => names().length === 1)

  const witness = await addNode("w1", { witness: true, labels: { site: "shed" } })
  await until(() => ids(session.voters).includes(witness.memberId))
  assert.ok(!ids(session.backends).includes(witness.memberId))
  assert.deepEqual(ids(session.witnesses), [witness.memberId])
  assert.deepEqual(ids(everyPlace(session)).toSorted(), [...nodes, witness].map(({ memberId }) => memberId).toSorted())
  await assert.rejects(
    session.store.chunks.putChunk(content(1)),
    { code: "ERR_NOT_ENOUGH_SERVERS" },
    "a witness is none of the 3",
  )
  await addNode("n3")
  await until(() => session.backends.length === 3)
  const stored = await session.store.chunks.putChunk(content(1))
  assert.ok(await holds(session, stored, 1))
  assert.equal((await session.witnesses[0]!.usage()).shareCount, 0)

  revokeMember({ dir, member: witness.memberId })
  await until(() => session.witnesses.length === 0)
  assert.ok(ids(session.voters).includes(witness.memberId), "one that has left counts as one that is gone")
  assert.equal(everyPlace(session).length, 3)
  assert.deepEqual(warnings, [])
})

test("an open session goes on with the certificate that another process renewed", { timeout: 60_000 }, async (t) => {
  const { dir, identityDir, nodes, startAgain, open, closeCoordinator } = await setUp(t, 3)
  await closeCoordinator()
  const { certPem, memberId, role, tenant } = await loadIdentity(identityDir)
  const authority = await openAuthority(joinPath(dir, "authority"))
  const renew = async (validDays: number) =>
    writeFile(joinPath(identityDir, "cert.pem"), await authority.renew(certPem, { memberId, role, tenant, validDays }))
  const seconds = 5
  await renew(seconds / 86_400)
  const { notAfterMs } = await loadIdentity(identityDir)
  const session = await open()
  const stored = await session.store.chunks.putChunk(content(1))
  await renew(365)
  await until(() => Date.now() > notAfterMs + 1000)
  // Nothing is left of the connections that were made with the old one.
  for (const [i, node] of nodes.entries()) {
    await node.close()
    await startAgain(`n${i + 1}`, Number(node.address.split(":")[1]))
  }
  await until(async () => {
    return holds(session, stored, 1).catch(() => false) // it may leave a server alone for a second
  })
})

test("an open session follows the grid although the certificate on disk is damaged or another member's, and says so once", {
  timeout: 60_000,
}, async (t) => {
  const { dir, identityDir, addNode, open, warnings } = await setUp(t, 3)
  const { certPem } = await loadIdentity(identityDir)
  const bobsDir = joinPath(identityDir, "../bob")
  await join(await createInvite({ dir, role: "client", tenant: "acme" }), { dir: bobsDir, name: "bob" })
  const bob = await loadIdentity(bobsDir)
  const session = await open()
  const isUsed = async (id: string) => ids(session.backends).includes(id)

  await writeFile(joinPath(identityDir, "cert.pem"), certPem.slice(0, 100))
  await until(() => warnings.length > 0)
  const fourth = await addNode("n4")
  await until(() => isUsed(fourth.memberId))

  await writeFile(joinPath(identityDir, "key.pem"), bob.keyPem)
  await writeFile(joinPath(identityDir, "cert.pem"), bob.certPem)
  await until(() => warnings.length > 1)
  const fifth = await addNode("n5")
  await until(() => isUsed(fifth.memberId))
  // A new connection is made as the member of before, and what it is granted holds.
  const usage = await session.backends.find(({ id }) => id === fifth.memberId)!.usage()
  assert.equal(usage.usedBytes, 0)
  assert.equal(warnings.length, 2)
  assert.match(warnings[0]!, /not PEM/)
  assert.match(warnings[1]!, /not for this key/)
})

test("a session of a profile that is locked with a passphrase follows the grid too", { timeout: 60_000 }, async (t) => {
  const { identityDir, addNode, open, warnings } = await setUp(t, 3)
  const profileFolder = joinPath(identityDir, "..")
  const noOne = () => Promise.reject(new Error("asked for a passphrase"))
  await changing(profileFolder, async () =>
    lockSecrets(profileFolder, await readSecrets(profileFolder, noOne), passphrase),
  )
  const session = await open()
  const added = await addNode("n4")
  await until(() => ids(session.backends).includes(added.memberId))
  assert.deepEqual(warnings, [])
})
