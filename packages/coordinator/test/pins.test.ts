import assert from "node:assert/strict"
import { createPrivateKey, generateKeyPairSync } from "node:crypto"
import { cp, readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { join as joinPath } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import {
  absentVoters,
  acceptOffer,
  announce,
  askedMs,
  digestOf,
  fetchGrid,
  join,
  loadGrid,
  loadOffer,
  loadPins,
  publicKeyText,
  refuseOffer,
  type SignedGrid,
  signGrid,
  signRoot,
  standingsOf,
} from "@holdfast/network"
import type { GridDescription } from "@holdfast/protocol"
import { chooseVoters, createInvite, exportRoot, listMembers, revokeMember, signRootEpoch } from "../src/index.ts"
import { type Running, start, temporaryDirectory } from "./fixtures.ts"

const byzantine = { coding: { k: 2, happy: 3, n: 4 }, registerMode: "byzantine" } as const
const hourMs = 3_600_000

/** A coordinator with nodes that announced themselves, and a client that joined after them. */
async function gridOf(
  t: TestContext,
  { nodes = 4, ...options }: { nodes?: number } & Partial<Parameters<typeof start>[1]> = {},
) {
  const coordinator = await start(t, { ...byzantine, ...options })
  const base = await temporaryDirectory(t)
  for (let i = 1; i <= nodes; i++) await addNode(coordinator, base, `n${i}`)
  const client = joinPath(base, "client")
  await join(await createInvite({ dir: coordinator.dir, role: "client", tenant: "alice" }), {
    dir: client,
    name: "alice",
  })
  return { coordinator, base, client }
}

async function addNode(
  { dir }: Pick<Running, "dir">,
  base: string,
  name: string,
  capacityBytes = 1_000,
): Promise<string> {
  const identity = joinPath(base, `${name}-${Math.random()}`)
  const { memberId } = await join(await createInvite({ dir, role: "node", name }), { dir: identity, name })
  await announce(identity, { address: `127.0.0.1:${7000 + listMembers({ dir }).length}`, capacityBytes })
  return memberId
}

/** Puts a description of one's own making, signed by the grid's key, where the coordinator takes it from. */
async function forge(
  dir: string,
  change: (grid: GridDescription) => Partial<GridDescription>,
): Promise<GridDescription> {
  const key = createPrivateKey(await readFile(joinPath(dir, "grid", "grid-key.pem")))
  const { set, get } = settings(dir)
  const present = get()
  const old = JSON.parse(present.payload) as GridDescription
  // The coordinator would sign a newer one for what it knows itself: only what it does not look at can be forged here.
  const grid = { ...old, serial: old.serial + 1, previous: digestOf(present), ...change(old) }
  set(signGrid(grid, key))
  return grid
}

function settings(dir: string) {
  const database = new DatabaseSync(joinPath(dir, "coordinator.db"))
  return {
    get: () =>
      JSON.parse(
        database.prepare("SELECT value FROM settings WHERE name = 'grid'").get()!.value as string,
      ) as SignedGrid,
    set: (signed: SignedGrid) =>
      void database.prepare("UPDATE settings SET value = ? WHERE name = 'grid'").run(JSON.stringify(signed)),
  }
}

test("a coordinator started again with a weaker coding changes nothing for a client before its user says so", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const before = await fetchGrid(client)
  assert.deepEqual([before.fresh, before.grid.coding], [true, byzantine.coding])
  await coordinator.close()
  const weak = {
    dir: coordinator.dir,
    port: coordinator.port,
    coding: { k: 1, happy: 1, n: 1 },
    registerMode: "crash",
  } as const
  const liar = await start(t, weak)
  const during = await fetchGrid(client)
  assert.deepEqual([during.fresh, during.grid], [false, before.grid])
  assert.deepEqual(during.offer?.changes.map(({ what }) => what).sort(), ["coding", "mode"])
  assert.match(during.offer!.changes[0]!.text, /1\/1\/1 instead of 2\/3\/4/)
  assert.deepEqual((await loadGrid(client)).coding, byzantine.coding)
  await liar.close()
  await start(t, { ...weak, ...byzantine })
  const after = await fetchGrid(client)
  assert.deepEqual([after.fresh, after.grid.coding, after.offer], [true, byzantine.coding, undefined])
  await assert.rejects(loadOffer(client), { code: "ERR_NOT_FOUND" })
})

test("a description with the last serial of all, of the year 2096, is refused, and the client goes on after it", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const honest = settings(coordinator.dir).get()
  const before = (await fetchGrid(client)).grid
  for (const change of [
    { serial: Number.MAX_SAFE_INTEGER, issuedMs: Date.UTC(2096, 0) },
    { serial: Number.MAX_SAFE_INTEGER },
    { serial: before.serial + 2 ** 16 + 1 },
    { issuedMs: Date.now() + hourMs + 60_000 },
    { issuedMs: before.issuedMs - 1 },
    { serial: before.serial },
    { previous: "A".repeat(43) },
  ]) {
    await forge(coordinator.dir, () => change)
    const { grid, fresh, warnings, offer } = await fetchGrid(client)
    assert.deepEqual([grid, fresh], [before, false], JSON.stringify(change))
    assert.match(warnings.join(), /which is not used/)
    assert.ok(offer!.violations.length > 0)
    settings(coordinator.dir).set(honest)
  }
  const after = await fetchGrid(client)
  assert.deepEqual([after.fresh, after.grid.serial], [true, before.serial])
  await forge(coordinator.dir, () => ({ serial: before.serial + 2 ** 16, issuedMs: Date.now() + hourMs - 60_000 }))
  assert.equal((await fetchGrid(client)).fresh, true, "the largest steps are taken")
})

test("how old a cache is goes by the client's own time of asking, whatever the description is dated", async (t) => {
  const { client } = await gridOf(t)
  const nowMs = Date.now() + 5_000
  await fetchGrid(client, { nowMs })
  assert.equal(await askedMs(client), nowMs)
})

test("an unknown server takes no more shares than the coding survives, and with no more than the usual weight", async (t) => {
  const { coordinator, client, base } = await gridOf(t)
  await fetchGrid(client)
  for (const name of ["x1", "x2", "x3"]) await addNode(coordinator, base, name, 1e12)
  const { grid, pins, fresh } = await fetchGrid(client)
  assert.ok(fresh, "servers that come are not asked about")
  const unknown = standingsOf(grid, pins).filter(({ server }) => server.name.startsWith("x"))
  assert.deepEqual(unknown.map(({ trust, weight, votes }) => [trust, weight, votes]).sort(), [
    ["trial", 1_000, false],
    ["waiting", 1, false],
    ["waiting", 1, false],
  ])
})

test("voters change only by the user's word; a revoked one stays among them as one that is gone", async (t) => {
  const { coordinator, client, base } = await gridOf(t, {
    nodes: 5,
    coding: { k: 3, happy: 4, n: 5 },
    registerMode: "crash",
  })
  const { grid: before } = await fetchGrid(client)
  revokeMember({ dir: coordinator.dir, member: "n5" })
  await addNode(coordinator, base, "n6")
  const revoked = await fetchGrid(client)
  assert.deepEqual([revoked.fresh, revoked.grid.voters], [true, before.voters])
  assert.equal(absentVoters(revoked.grid, revoked.pins).length, 1)
  assert.equal(revoked.pins.revoked.length, 1)
  const voters = await chooseVoters({ dir: coordinator.dir, voters: ["n1", "n2", "n3", "n4", "n6"] })
  const asked = await fetchGrid(client)
  assert.deepEqual([asked.grid, asked.offer?.changes.map(({ what }) => what)], [revoked.grid, ["voters"]])
  await refuseOffer(client, asked.offer!.grid.serial)
  const refused = await fetchGrid(client)
  assert.deepEqual([refused.grid, refused.offer], [revoked.grid, undefined])
  assert.match(refused.warnings.join(), /added n6/)
  await acceptOffer(client, asked.offer!.grid.serial)
  const taken = await fetchGrid(client)
  assert.deepEqual([taken.fresh, taken.grid.voters, taken.pins.voters], [true, voters, voters])
})

test("a list of revoked keys that gets shorter is refused, and what was revoked stays so", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const joined = await join(await createInvite({ dir: coordinator.dir, role: "client", tenant: "alice" }), {
    dir: `${client}2`,
    name: "bob",
  })
  revokeMember({ dir: coordinator.dir, member: joined.memberId })
  const { pins } = await fetchGrid(client)
  assert.equal(pins.revoked.length, 1)
  const database = new DatabaseSync(joinPath(coordinator.dir, "coordinator.db"))
  database.exec("UPDATE keys SET revoked_ms = NULL; DELETE FROM revoked_members")
  const { fresh, warnings } = await fetchGrid(client)
  assert.equal(fresh, false)
  assert.match(warnings.join(), /does not list 1 of the keys/)
  assert.deepEqual((await loadPins(client)).revoked, pins.revoked)
})

test("a server's id with another certificate key is asked about", async (t) => {
  const { coordinator, client } = await gridOf(t)
  await fetchGrid(client)
  const database = new DatabaseSync(joinPath(coordinator.dir, "coordinator.db"))
  const [node] = listMembers({ dir: coordinator.dir })
  database.prepare("UPDATE keys SET key_id = ? WHERE member_id = ?").run("B".repeat(43), node!.id)
  const { offer } = await fetchGrid(client)
  assert.deepEqual(
    offer?.changes.map(({ what }) => what),
    ["server-key"],
  )
})

test("when servers go until the rest is too few for the coding, the user is asked", async (t) => {
  const { coordinator, client } = await gridOf(t)
  await fetchGrid(client)
  revokeMember({ dir: coordinator.dir, member: "n1" })
  assert.equal((await fetchGrid(client)).fresh, true, "one of four may go")
  revokeMember({ dir: coordinator.dir, member: "n2" })
  const { grid, offer, pins } = await fetchGrid(client)
  assert.deepEqual([grid.servers.length, offer?.changes.map(({ what }) => what)], [3, ["servers-gone"]])
  assert.equal(pins.revoked.length, 1, "a server that the user confirmed is not lost to a revocation that waits")
})

test("after a takeover the root names a new grid key: clients drop the old one for ever, whatever it signs", async (t) => {
  const { coordinator, base, client } = await gridOf(t)
  const { rootKeyPem, publicKey } = await exportRoot({ dir: coordinator.dir })
  const introduced = await fetchGrid(client)
  assert.deepEqual(
    introduced.offer?.changes.map(({ what }) => what),
    ["root"],
  )
  await acceptOffer(client, introduced.offer!.grid.serial)
  assert.equal((await fetchGrid(client)).pins.rootPublicKey, publicKey)
  const stolen = joinPath(base, "stolen")
  await cp(coordinator.dir, stolen, { recursive: true })
  await coordinator.close()

  await signRootEpoch({ dir: coordinator.dir, rootKeyPem })
  const { port } = coordinator
  const honest = await start(t, { ...byzantine, dir: coordinator.dir, port })
  const { grid, fresh, pins } = await fetchGrid(client)
  assert.deepEqual([fresh, grid.epoch, grid.serial, grid.gridId], [true, 2, 1, introduced.grid.gridId])
  assert.equal(pins.revoked.length, 1, "the coordinator's own key")
  await honest.close()
  const thief = await start(t, { ...byzantine, dir: stolen, port })
  const offered = await fetchGrid(client)
  assert.deepEqual([offered.fresh, offered.grid], [false, grid])
  assert.match(offered.warnings.join(), /was revoked/)
  await thief.close()
  await start(t, { ...byzantine, dir: coordinator.dir, port })
  assert.equal((await fetchGrid(client)).fresh, true)
  await assert.rejects(exportRoot({ dir: coordinator.dir }), { code: "ERR_ALREADY_EXISTS" })
  const other = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }) as string
  await assert.rejects(signRootEpoch({ dir: coordinator.dir, rootKeyPem: other }), { code: "ERR_REFUSED" })
  for (const name of ["coordinator.db", "grid/grid-key-2.pem"])
    assert.equal((await readFile(joinPath(coordinator.dir, name))).indexOf(rootKeyPem.split("\n")[1]!), -1, name)
})

test("a grid key that no root vouches for is taken only by the user's word", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const { gridPublicKey: old } = (await fetchGrid(client)).pins
  const key = generateKeyPairSync("ed25519").privateKey
  const gridPublicKey = publicKeyText(key)
  const own = generateKeyPairSync("ed25519").privateKey
  const present = JSON.parse(settings(coordinator.dir).get().payload) as GridDescription
  const statement = {
    version: 1 as const,
    gridId: present.gridId,
    epoch: 2,
    gridPublicKey,
    caFingerprints: ["0".repeat(64)],
    revoked: [],
  }
  const root = { publicKey: publicKeyText(own), statement: signRoot(statement, own) }
  const grid = { ...present, epoch: 2, serial: 1, gridPublicKey, root, previous: null }
  const database = new DatabaseSync(joinPath(coordinator.dir, "coordinator.db"))
  for (const [name, value] of [
    ["epoch", "2"],
    ["root", JSON.stringify(root)],
    ["grid", JSON.stringify(signGrid(grid, key))],
  ])
    database
      .prepare("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
      .run(name!, value!)
  await writeFile(joinPath(coordinator.dir, "grid", "grid-key-2.pem"), key.export({ type: "pkcs8", format: "pem" }))
  const { offer, pins } = await fetchGrid(client)
  assert.equal(pins.gridPublicKey, old)
  assert.deepEqual(
    offer?.changes.map(({ what }) => what),
    ["grid-key", "root"],
  )
  await acceptOffer(client, 1)
  assert.equal((await loadPins(client)).gridPublicKey, gridPublicKey)
  assert.equal((await fetchGrid(client)).fresh, true)
})

test("a stranger at the coordinator's address stops nothing: the cached grid serves, with a warning", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const { grid } = await fetchGrid(client)
  await coordinator.close()
  const stranger = createServer((_request, response) => void response.end("hello"))
  await new Promise<void>((resolve) => stranger.listen(coordinator.port, "127.0.0.1", resolve))
  const web = await fetchGrid(client)
  assert.deepEqual([web.fresh, web.grid], [false, grid])
  assert.match(web.warnings.join(), /Going on with the grid as it was/)
  await new Promise((resolve) => stranger.close(resolve))
  const other = await start(t, { port: coordinator.port })
  const elsewhere = await fetchGrid(client)
  assert.deepEqual([elsewhere.fresh, elsewhere.grid], [false, grid])
  assert.match(elsewhere.warnings.join(), /Going on/)
  await other.close()
  assert.deepEqual((await fetchGrid(client)).warnings, [], "that it is away is not worth a word")
})

test("a profile from before pins is held to what it has cached", async (t) => {
  const { coordinator, client } = await gridOf(t)
  const { signed, pins } = JSON.parse(await readFile(joinPath(client, "pins.json"), "utf8"))
  const { rm } = await import("node:fs/promises")
  await rm(joinPath(client, "pins.json"))
  await writeFile(joinPath(client, "grid.json"), JSON.stringify(signed))
  assert.deepEqual(await loadPins(client), pins)
  await coordinator.close()
  await start(t, { dir: coordinator.dir, port: coordinator.port, coding: { k: 1, happy: 1, n: 1 } })
  const { offer } = await fetchGrid(client)
  assert.deepEqual(offer?.changes.map(({ what }) => what).sort(), ["coding", "mode"])
})
