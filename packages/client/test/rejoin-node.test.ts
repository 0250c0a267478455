/** A node that its grid does not let in any more joins again with a new invitation, as profiles do, and its old identity is not lost. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { createInvite, revokeMember, startCoordinator } from "@holdfast/coordinator"
import { createLogger, fetchGrid, join as joinNetwork, loadIdentity } from "@holdfast/network"
import { joinNode } from "../src/profile/join-node.ts"

/** A coordinator, and a node's identity that has joined. */
async function setUp(t: TestContext) {
  const home = await mkdtemp(joinPath(tmpdir(), "holdfast-rejoin-node-"))
  t.after(() => rm(home, { recursive: true, force: true }))
  const dir = joinPath(home, "coordinator")
  const logger = createLogger({ stream: { write: () => undefined } })
  const listen = { host: "127.0.0.1", port: 0, monitor: false } as const
  const coordinator = await startCoordinator({ dir, ...listen, coding: { k: 1, happy: 1, n: 1 }, name: "grid", logger })
  t.after(() => coordinator.close())
  const invite = (role: "node" | "client" = "node") =>
    createInvite({ dir, role, ...(role === "client" && { tenant: "acme" }) })
  const identity = joinPath(home, "n1")
  const told: string[] = []
  const tell = (text: string) => void told.push(text)
  const join = (invitation: string) =>
    joinNode(invitation, { dir: identity, name: "n1", serverNames: ["n1.example"], tell })
  const first = await join(await invite())
  const assertIn = async (memberId: string) => {
    const own = await loadIdentity(identity)
    assert.deepEqual([own.memberId, own.role], [memberId, "node"])
    assert.equal((await fetchGrid(identity, { identity: own })).fresh, true)
    assert.ok(!existsSync(`${identity}.next`) && !existsSync(`${identity}.next.joining`))
  }
  const revoke = (member: string) => revokeMember({ dir, member })
  return { home, invite, identity, told, join, first, assertIn, revoke }
}

test("a node that is let in does not join twice", async (t) => {
  const { invite, join, first, assertIn } = await setUp(t)
  await assert.rejects(join(await invite()), { code: "ERR_ALREADY_EXISTS", message: /lets it in.*--identity FOLDER/ })
  await assertIn(first.memberId)
})

test("a revoked node joins anew with a new key; each identity before stays aside, and pins stay", async (t) => {
  const { home, invite, identity, told, join, first, assertIn, revoke } = await setUp(t)
  const keyOf = (folder: string) => readFileSync(joinPath(folder, "key.pem"), "utf8")
  const pinsOf = (folder: string) => JSON.parse(readFileSync(joinPath(folder, "pins.json"), "utf8")).pins
  const [key, pins] = [keyOf(identity), pinsOf(identity)]
  revoke(first.memberId)
  const second = await join(await invite())
  assert.match(told.join("\n"), /was revoked.*new key.*started again[\s\S]*identity before is in /)
  assert.notEqual(second.memberId, first.memberId)
  assert.notEqual(keyOf(identity), key)
  assert.equal(keyOf(`${identity}.old-${first.memberId}`), key)
  assert.deepEqual(pinsOf(identity), pins)
  await assertIn(second.memberId)
  revoke(second.memberId)
  const third = await join(await invite())
  await assertIn(third.memberId)
  const aside = [first, second].map(({ memberId }) => `n1.old-${memberId}`).sort()
  assert.deepEqual(
    readdirSync(home)
      .filter((name) => name.startsWith("n1."))
      .sort(),
    aside,
  )
})

test("an invitation of a client does not make a node's identity one, and the next invitation is gone on with", async (t) => {
  const { invite, identity, join, first, assertIn, revoke } = await setUp(t)
  const key = readFileSync(joinPath(identity, "key.pem"), "utf8")
  revoke(first.memberId)
  await assert.rejects(join(await invite("client")), { code: "ERR_INVITE", message: /one of a client.*is a node/ })
  assert.equal(readFileSync(joinPath(identity, "key.pem"), "utf8"), key)
  const again = await join(await invite())
  await assertIn(again.memberId)
})

test("a join that was cut short anywhere is ended by the next", async (t) => {
  const { invite, identity, join, first, assertIn, revoke } = await setUp(t)
  revoke(first.memberId)
  // The new identity was whole, the old one in its place.
  const second = await joinNetwork(await invite(), { dir: `${identity}.next`, name: "n1" })
  assert.equal((await join(await invite())).memberId, second.memberId)
  await assertIn(second.memberId)
  revoke(second.memberId)
  // The old one was aside already.
  const third = await joinNetwork(await invite(), { dir: `${identity}.next`, name: "n1" })
  renameSync(identity, `${identity}.old-${second.memberId}`)
  assert.equal((await join(await invite())).memberId, third.memberId)
  await assertIn(third.memberId)
})
