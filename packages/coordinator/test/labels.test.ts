/** Labels of nodes and witnesses as a coordinator keeps and describes them, and what it says to members of before. */
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { join as joinPath } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { fromUtf8, isHoldfastError, utf8 } from "@holdfast/core"
import {
  acceptOffer,
  announce,
  createAgent,
  createKeyAndRequest,
  fetchGrid,
  join,
  loadGrid,
  loadIdentity,
  loadMemberRecord,
  loadOffer,
  loadPins,
  parseAddress,
  readsHeader,
  requestBytes,
  standingsOf,
} from "@holdfast/network"
import { decodeInvite, encodeInvite, type Labels } from "@holdfast/protocol"
import {
  chooseVoters,
  createInvite,
  exportRoot,
  type InviteOptions,
  labelNode,
  listMembers,
  readDescription,
  revokeMember,
  signRootEpoch,
} from "../src/index.ts"
import { start, temporaryDirectory } from "./fixtures.ts"

const pair = { coding: { k: 1, happy: 1, n: 2 } } as const

/** A coordinator, nodes that announced themselves with what their invitations say, and a client. */
async function gridOf(
  t: TestContext,
  nodes: Readonly<Record<string, Pick<InviteOptions, "labels" | "witness">>>,
  options: Parameters<typeof start>[1] = pair,
) {
  const coordinator = await start(t, options)
  const { dir } = coordinator
  const base = await temporaryDirectory(t)
  const at = (name: string) => joinPath(base, name)
  const add = async (name: string, more: Pick<InviteOptions, "labels" | "witness"> = {}) => {
    const { memberId } = await join(await createInvite({ dir, role: "node", name, ...more }), { dir: at(name), name })
    await announce(at(name), { address: "127.0.0.1:7000", capacityBytes: 1000 })
    return memberId
  }
  const ids: Record<string, string> = {}
  for (const [name, more] of Object.entries(nodes)) ids[name] = await add(name, more)
  await join(await createInvite({ dir, role: "client", tenant: "alice" }), { dir: at("client"), name: "alice" })
  return { coordinator, dir, at, add, ids, client: at("client") }
}

/** A request with the certificate of a member that says it reads `reads`; a member of before says nothing. */
async function ask(t: TestContext, identityDir: string, path: string, reads?: string) {
  const agent = createAgent(await loadIdentity(identityDir))
  t.after(() => agent.destroy())
  const record = await loadMemberRecord(identityDir)
  const headers = reads === undefined ? {} : { [readsHeader]: reads }
  const { status, body } = await requestBytes(agent, {
    ...parseAddress(record.coordinator),
    method: "GET",
    path,
    headers,
  })
  return { status, body: JSON.parse(fromUtf8(body)) }
}

test("labels of invitations and of the operator are in the signed description, and clients take them unasked", async (t) => {
  const { dir, client, ids } = await gridOf(t, { n1: { labels: { site: "home" } }, n2: {} })
  const { version, servers } = (await fetchGrid(client)).grid
  assert.equal(version, 4)
  const labelsOf = (all: typeof servers) => Object.fromEntries(all.map(({ name, labels }) => [name, labels]))
  assert.deepEqual(labelsOf(servers), { n1: { site: "home" }, n2: undefined })
  const set = labelNode({ dir, node: "n2", labels: { rack: "1", site: "work" } })
  assert.deepEqual([set.id, set.labels, set.witness], [ids["n2"], { site: "work", rack: "1" }, false])
  const { grid, fresh, offer } = await fetchGrid(client)
  assert.deepEqual([fresh, offer], [true, undefined])
  assert.deepEqual(labelsOf(grid.servers), { n1: { site: "home" }, n2: { site: "work", rack: "1" } })
  labelNode({ dir, node: "n2", labels: { site: "work", rack: "1" } })
  assert.equal((await fetchGrid(client)).grid.serial, grid.serial, "the same labels in another order are no change")
  labelNode({ dir, node: ids["n1"]!, labels: null })
  assert.deepEqual(labelsOf((await fetchGrid(client)).grid.servers)["n1"], undefined)
  for (const node of ["alice", "n3"])
    assert.throws(() => labelNode({ dir, node, labels: null }), { code: "ERR_NOT_FOUND" })
  revokeMember({ dir, member: "n2" })
  assert.throws(() => labelNode({ dir, node: "n2", labels: null }), { code: "ERR_NOT_FOUND" })
  await assert.rejects(createInvite({ dir, role: "client", tenant: "alice", labels: { site: "home" } }), {
    code: "ERR_INVALID_ARGUMENT",
  })
  await assert.rejects(createInvite({ dir, role: "client", tenant: "alice", witness: true }), {
    code: "ERR_INVALID_ARGUMENT",
  })
})

test("a node says nothing of its labels: what it sends along with its announcement is not taken", async (t) => {
  const { at, client } = await gridOf(t, { n1: { labels: { site: "home" } }, n2: {} })
  const agent = createAgent(await loadIdentity(at("n2")))
  t.after(() => agent.destroy())
  const { coordinator } = await loadMemberRecord(at("n2"))
  const lie = { address: "127.0.0.1:7000", capacityBytes: 1000, labels: { site: "moon" }, witness: true }
  const call = { method: "POST", path: "/v1/announce", body: utf8(JSON.stringify(lie)) }
  assert.equal((await requestBytes(agent, { ...parseAddress(coordinator), ...call })).status, 200)
  const { servers } = (await fetchGrid(client)).grid
  assert.deepEqual(
    servers.map(({ name, labels, witness }) => [name, labels, witness]).toSorted(),
    [
      ["n1", { site: "home" }, undefined],
      ["n2", undefined, undefined],
    ].toSorted(),
  )
})

test("a grid without labels and witnesses keeps version 3 and its bytes when its coordinator is upgraded, over an old database too", async (t) => {
  const first = await gridOf(t, { n1: {}, n2: {} })
  const before = await ask(t, first.client, "/v1/grid")
  assert.equal(JSON.parse(before.body.payload).version, 3)
  await first.coordinator.close()
  const database = new DatabaseSync(joinPath(first.dir, "coordinator.db"))
  for (const column of ["labels", "witness"])
    for (const table of ["members", "invites"]) database.exec(`ALTER TABLE ${table} DROP COLUMN ${column}`)
  database.exec("ALTER TABLE members DROP COLUMN reads")
  database.close()
  await start(t, { ...pair, dir: first.dir, port: first.coordinator.port })
  const after = await ask(t, first.client, "/v1/grid")
  assert.deepEqual(after, before, "a client of before reads what it did, byte for byte")
  assert.deepEqual(
    listMembers({ dir: first.dir }).map(({ name, labels, witness, reads }) => [name, labels, witness, reads]),
    [
      ["n1", null, false, null],
      ["n2", null, false, null],
      ["alice", null, false, null],
    ],
  )
  labelNode({ dir: first.dir, node: "n1", labels: { site: "home" } })
  assert.equal((await fetchGrid(first.client)).grid.version, 4)
  await first.add("n3", { witness: true })
  assert.equal((await fetchGrid(first.client)).grid.servers.filter(({ witness }) => witness).length, 1)
})

test("a member of before is told what it needs, by an error that it knows, and its invitation stays good", async (t) => {
  const { dir, client, at, coordinator } = await gridOf(t, { n1: { labels: { site: "home" } }, n2: {} })
  const old = await ask(t, client, "/v1/grid")
  assert.deepEqual([old.status, old.body.code], [400, "ERR_BAD_FORMAT"])
  assert.match(old.body.message, /of version 4.*needs a newer Holdfast/)
  const newer = await ask(t, client, "/v1/grid", "3")
  assert.deepEqual([newer.status, newer.body.code], [400, "ERR_UNSUPPORTED_VERSION"])
  for (const reads of ["4", "5"]) assert.equal((await ask(t, client, "/v1/grid", reads)).status, 200)
  assert.equal((await ask(t, client, "/v1/members")).status, 200)
  assert.equal(
    listMembers({ dir }).find(({ name }) => name === "alice")!.reads,
    3,
    "the operator sees who is of before",
  )
  await fetchGrid(client)
  assert.equal(listMembers({ dir }).find(({ name }) => name === "alice")!.reads, 4)

  const invite = await createInvite({ dir, role: "client", tenant: "alice" })
  const joinAsBefore = async (text: string) => {
    const { csrPem } = await createKeyAndRequest()
    const token = Buffer.from(decodeInvite(text).token).toString("base64url")
    const agent = createAgent({ caPem: (await loadIdentity(client)).caPem })
    t.after(() => agent.destroy())
    const body = utf8(JSON.stringify({ token, csr: csrPem, name: "old" }))
    const call = { method: "POST", path: "/v1/join", body }
    const answer = await requestBytes(agent, { ...parseAddress(coordinator.address), ...call })
    return { status: answer.status, body: JSON.parse(fromUtf8(answer.body)) }
  }
  assert.match((await joinAsBefore(invite)).body.message, /needs a newer Holdfast/)
  await join(invite, { dir: at("bob"), name: "bob" })
})

test("a node of before cannot use up the invitation of a witness, which it would not be", async (t) => {
  const { dir, at, client, coordinator } = await gridOf(t, { n1: {}, n2: {} })
  const invite = await createInvite({ dir, role: "node", name: "w1", witness: true })
  const { csrPem } = await createKeyAndRequest()
  const token = Buffer.from(decodeInvite(invite).token).toString("base64url")
  const agent = createAgent({ caPem: (await loadIdentity(client)).caPem })
  t.after(() => agent.destroy())
  const call = { method: "POST", path: "/v1/join", body: utf8(JSON.stringify({ token, csr: csrPem, name: "old" })) }
  const answer = await requestBytes(agent, { ...parseAddress(coordinator.address), ...call })
  assert.equal(answer.status, 403)
  assert.match(JSON.parse(fromUtf8(answer.body)).message, /for a witness, which needs a newer Holdfast/)
  assert.equal((await join(invite, { dir: at("w1"), name: "w1" })).witness, true)
  assert.equal((await loadMemberRecord(at("w1"))).witness, true)
})

test("who joins as a witness where the coordinator knows of none keeps nothing, and says what its operator has to do", async (t) => {
  const { dir, at } = await gridOf(t, { n1: {}, n2: {} })
  // To a coordinator of before this token is one of any node, as its database says nothing of witnesses.
  const token = decodeInvite(await createInvite({ dir, role: "node", name: "w1" }))
  const invite = encodeInvite({ ...token, witness: true })
  await assert.rejects(join(invite, { dir: at("w1"), name: "w1" }), (error) => {
    assert.ok(isHoldfastError(error, "ERR_INVITE"), String(error))
    assert.match(error.message, /is for a witness, but the coordinator .* did not confirm that/)
    const made = listMembers({ dir }).find(({ name }) => name === "w1")!
    assert.ok(error.message.includes(`revokes ${made.id}`))
    return true
  })
  for (const left of [at("w1"), `${at("w1")}.joining`]) assert.equal(existsSync(left), false, left)
})

test("a witness is one of the servers of registers while the grid forms, holds no shares, and takes nobody's place among those who do", async (t) => {
  const { client, ids, add, dir } = await gridOf(
    t,
    { n1: {}, w1: { witness: true } },
    { coding: { k: 1, happy: 2, n: 2 } },
  )
  assert.equal((await loadPins(client)).voters, null, "one node and a witness store nothing with happy 2")
  ids["n2"] = await add("n2")
  const { grid, pins, offer } = await fetchGrid(client)
  assert.equal(offer, undefined)
  assert.deepEqual([...grid.voters!].toSorted(), Object.values(ids).toSorted())
  const standings = Object.fromEntries(standingsOf(grid, pins).map(({ server, ...one }) => [server.name, one]))
  assert.deepEqual([standings["w1"]!.holds, standings["w1"]!.votes, standings["w1"]!.trust], [false, true, "confirmed"])
  assert.deepEqual([standings["n2"]!.holds, standings["n2"]!.votes], [true, true])

  ids["w2"] = await add("w2", { witness: true })
  ids["n3"] = await add("n3")
  const later = await fetchGrid(client)
  assert.equal(later.grid.voters!.length, 3, "a formed grid takes no voter by itself")
  const trusts = Object.fromEntries(standingsOf(later.grid, later.pins).map((one) => [one.server.name, one.trust]))
  assert.deepEqual(trusts, { n1: "confirmed", n2: "confirmed", w1: "confirmed", w2: "waiting", n3: "trial" })

  await chooseVoters({ dir, voters: ["n1", "n2", "n3"] })
  revokeMember({ dir, member: "n1" })
  const offered = await fetchGrid(client)
  assert.deepEqual(offered.offer!.changes.map(({ what }) => what).toSorted(), ["voters"])
  revokeMember({ dir, member: "n2" })
  const fewer = await fetchGrid(client)
  assert.ok(
    fewer.offer!.changes.some(({ what }) => what === "servers-gone"),
    "witnesses are no servers for the coding",
  )
})

test("the version never goes back, not when the last label goes and not when an epoch begins", async (t) => {
  const { dir, client, coordinator } = await gridOf(t, { n1: { labels: { site: "home" } }, n2: {} })
  const { rootKeyPem } = await exportRoot({ dir })
  await fetchGrid(client)
  await acceptOffer(client, (await loadOffer(client)).grid.serial)
  labelNode({ dir, node: "n1", labels: null })
  const without = await fetchGrid(client)
  assert.deepEqual([without.fresh, without.grid.version], [true, 4])
  await signRootEpoch({ dir, rootKeyPem })
  await coordinator.close()
  await start(t, { ...pair, dir, port: coordinator.port })
  const { fresh, grid } = await fetchGrid(client)
  assert.deepEqual([fresh, grid.version, grid.epoch], [true, 4, 2])
  assert.equal(readDescription({ dir })!.version, 4)
  assert.deepEqual(await loadGrid(client), grid)
})

test("labels that the database holds wrongly stop nothing silently", async (t) => {
  const { dir, client } = await gridOf(t, { n1: {}, n2: {} })
  const database = new DatabaseSync(joinPath(dir, "coordinator.db"))
  database.prepare("UPDATE members SET labels = ? WHERE name = 'n1'").run(JSON.stringify({ site: "a b" } as Labels))
  database.close()
  const { fresh, warnings } = await fetchGrid(client)
  assert.equal(fresh, false)
  assert.equal(warnings.length, 1)
})
