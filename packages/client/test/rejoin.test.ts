/** A profile that its grid does not let in any more joins again with a new invitation, plain and locked, and loses nothing by it. */
import assert from "node:assert/strict"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { createInvite, revokeMember, startCoordinator } from "@holdfast/coordinator"
import { createLogger, fetchGrid, loadIdentity, openAuthority } from "@holdfast/network"
import { encodeCap } from "@holdfast/protocol"
import { joinProfile } from "../src/profile/join.ts"
import { pathsOf, profileDir } from "../src/profile/paths.ts"
import { openProfile } from "../src/profile/profile.ts"
import { changing, isLocked, lockSecrets, readSecrets } from "../src/profile/secrets.ts"

const passphrase = "correct horse battery staple"
const cap = encodeCap({ kind: "dw", seed: new Uint8Array(32).fill(7) })

async function startGrid(t: TestContext, home: string, name: string) {
  const dir = joinPath(home, name)
  const logger = createLogger({ stream: { write: () => undefined } })
  const listen = { host: "127.0.0.1", port: 0, monitor: false } as const
  const coordinator = await startCoordinator({ dir, ...listen, coding: { k: 1, happy: 1, n: 1 }, name, logger })
  let closed: Promise<void> | undefined
  const close = () => (closed ??= coordinator.close())
  t.after(close)
  return { dir, close, invite: (tenant = "acme") => createInvite({ dir, role: "client", tenant }) }
}

/** A profile that is a member of a grid, with an alias. */
async function setUp(t: TestContext) {
  const home = await mkdtemp(joinPath(tmpdir(), "holdfast-rejoin-"))
  t.after(() => rm(home, { recursive: true, force: true }))
  const grid = await startGrid(t, home, "coordinator")
  const paths = pathsOf({ HOME: home })
  const dir = profileDir(paths, "default")
  const identityDir = joinPath(dir, "identity")
  const asked = { times: 0 }
  const ask = async () => {
    asked.times++
    return passphrase
  }
  const open = () => openProfile(paths, "default", ask)
  const told: string[] = []
  const join = (invite: string) =>
    joinProfile(invite, {
      ...{ paths, profile: "default", name: "laptop", passphrase: ask, openProfile: open },
      tell: (text) => void told.push(text),
    })
  const first = await join(await grid.invite())
  await (await open()).setAlias("home", cap, { state: "listed" })
  const lock = () => changing(dir, async () => lockSecrets(dir, await readSecrets(dir, ask), passphrase))
  /** The profile works: it is let in with its own key, and knows what it knew. */
  const assertIn = async (memberId: string) => {
    const profile = await open()
    const identity = await profile.identity()
    assert.equal(identity.memberId, memberId)
    assert.equal((await fetchGrid(identityDir, { identity })).fresh, true)
    assert.deepEqual([profile.aliases.get("home"), profile.aliasState("home")], [cap, "listed"])
    for (const name of ["identity.next", "identity.old", "identity.next.joining"])
      assert.ok(!existsSync(joinPath(dir, name)), name)
  }
  return { home, grid, dir, identityDir, open, join, told, first, lock, asked, assertIn }
}

test("a member that is let in does not join twice, and neither does one whose coordinator is away", async (t) => {
  const { grid, join, first, assertIn } = await setUp(t)
  const invite = await grid.invite()
  await assert.rejects(join(invite), { code: "ERR_ALREADY_EXISTS", message: /lets it in.*--profile NAME/ })
  await assertIn(first.memberId)
  await grid.close()
  await assert.rejects(join(invite), { code: "ERR_ALREADY_EXISTS", message: /cannot be asked/ })
})

test("a revoked profile joins anew with a new key after saying so; pins, aliases and account stay", async (t) => {
  const { home, grid, identityDir, open, join, told, first, assertIn } = await setUp(t)
  const account = (await (await open()).account()).id
  const before = await loadIdentity(identityDir)
  const pins = readFileSync(joinPath(identityDir, "pins.json"), "utf8")
  revokeMember({ dir: grid.dir, member: first.memberId })
  const other = await startGrid(t, home, "other")
  await assert.rejects(join(await other.invite()), { code: "ERR_INVITE", message: /another grid/ })
  await assert.rejects(
    (await open()).identity().then((identity) => fetchGrid(identityDir, { identity })),
    {
      code: "ERR_REFUSED",
    },
  )
  assert.deepEqual(told, [])
  const again = await join(await grid.invite())
  assert.match(told.join(), /was revoked.*new key; aliases, volumes and account stay/)
  assert.notEqual(again.memberId, first.memberId)
  assert.notEqual((await loadIdentity(identityDir)).keyPem, before.keyPem)
  const { pins: kept } = JSON.parse(readFileSync(joinPath(identityDir, "pins.json"), "utf8"))
  assert.deepEqual(kept, JSON.parse(pins).pins)
  assert.deepEqual((await (await open()).account()).id, account)
  await assertIn(again.memberId)
  assert.ok(JSON.parse(readFileSync(joinPath(identityDir, "pins.json"), "utf8")).pins.revoked.length > 0)
})

test("a certificate that has ended is reason enough", async (t) => {
  const { grid, identityDir, join, told, first, assertIn } = await setUp(t)
  const { certPem, memberId, role, tenant } = await loadIdentity(identityDir)
  const authority = await openAuthority(joinPath(grid.dir, "authority"))
  await writeFile(
    joinPath(identityDir, "cert.pem"),
    await authority.renew(certPem, { memberId, role, tenant, validDays: -1 }),
  )
  const again = await join(await grid.invite())
  assert.match(told.join(), /ended on/)
  assert.notEqual(again.memberId, first.memberId)
  await assertIn(again.memberId)
})

test("the new key of a locked profile is under its passphrase, also when the join was cut short", async (t) => {
  const { grid, dir, identityDir, open, join, first, lock, assertIn } = await setUp(t)
  await lock()
  revokeMember({ dir: grid.dir, member: first.memberId })
  const second = await join(await grid.invite())
  assert.ok(isLocked(dir) && !existsSync(joinPath(identityDir, "key.pem")))
  await assertIn(second.memberId)
  rmSync(identityDir, { recursive: true }) // as who was told to remove it
  const third = await join(await grid.invite())
  assert.ok(!existsSync(joinPath(identityDir, "key.pem")))
  await assertIn(third.memberId)
  revokeMember({ dir: grid.dir, member: third.memberId })
  // Killed after the answer was there: the old identity is in place, the new one beside it.
  const { join: joinNetwork } = await import("@holdfast/network")
  const next = await joinNetwork(await grid.invite(), { dir: joinPath(dir, "identity.next"), name: "laptop" })
  await assert.rejects((await open()).identity().then((identity) => fetchGrid(identityDir, { identity })))
  const fourth = await join(await grid.invite())
  assert.equal(fourth.memberId, next.memberId)
  await assertIn(fourth.memberId)
})
