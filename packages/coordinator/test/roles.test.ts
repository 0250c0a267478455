import assert from "node:assert/strict"
import { join as joinPath } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { fetchMembers, join, loadIdentity, renewIdentity, rolesOf } from "@holdfast/network"
import { createInvite, listTenants } from "../src/index.ts"
import { start, temporaryDirectory } from "./fixtures.ts"

const member = { role: "client", tenant: "acme" } as const

test("a node, whatever tenant its certificate has, sees no client", async (t) => {
  const { dir } = await start(t)
  const base = await temporaryDirectory(t)
  await join(await createInvite({ dir, role: "client", tenant: "acme" }), {
    dir: joinPath(base, "alice"),
    name: "alice",
  })
  await join(await createInvite({ dir, role: "node", tenant: "acme" }), { dir: joinPath(base, "n1"), name: "n1" })
  const seenBy = async (name: string) => (await fetchMembers(joinPath(base, name))).map((one) => one.name).toSorted()
  assert.deepEqual(await seenBy("n1"), ["n1"])
  assert.deepEqual(await seenBy("alice"), ["alice", "n1"])
})

test("roles stay with a member through renewals, and are in the list of members", async (t) => {
  const { dir } = await start(t)
  const own = joinPath(await temporaryDirectory(t), "reader")
  await join(await createInvite({ dir, ...member, roles: ["repair", "read"] }), { dir: own, name: "reader" })
  const first = await loadIdentity(own)
  assert.deepEqual([...rolesOf(first)], ["read", "repair"])
  const renewed = await renewIdentity(own, first, { force: true })
  assert.notEqual(renewed.certPem, first.certPem)
  assert.deepEqual([...rolesOf(await loadIdentity(own))], ["read", "repair"])
  assert.deepEqual(
    (await fetchMembers(own)).map(({ roles }) => roles),
    ["read,repair"],
  )
})

test("a coordinator's database from before there were roles goes on, and its members have all of them", async (t) => {
  const first = await start(t)
  const own = joinPath(await temporaryDirectory(t), "alice")
  const invite = await createInvite({ dir: first.dir, ...member })
  await first.close()
  const database = new DatabaseSync(joinPath(first.dir, "coordinator.db"))
  for (const table of ["members", "invites"]) database.exec(`ALTER TABLE ${table} DROP COLUMN roles`)
  database.close()
  const again = await start(t, { dir: first.dir, port: first.port })
  await join(invite, { dir: own, name: "alice" })
  assert.equal(rolesOf(await renewIdentity(own, await loadIdentity(own), { force: true })).size, 4)
  await join(await createInvite({ dir: again.dir, ...member, roles: ["read"] }), { dir: `${own}2`, name: "reader" })
  assert.deepEqual([...rolesOf(await loadIdentity(`${own}2`))], ["read"])
})

test("a client's invitation names a tenant; there is none that nobody named", async (t) => {
  const { dir } = await start(t)
  await assert.rejects(createInvite({ dir, role: "client" }), { code: "ERR_INVALID_ARGUMENT" })
  await assert.rejects(createInvite({ dir, role: "node", roles: ["read"] }), { code: "ERR_INVALID_ARGUMENT" })
  await createInvite({ dir, role: "node" })
  assert.deepEqual(listTenants({ dir }), [])
  await createInvite({ dir, role: "client", tenant: "acme", ttlSeconds: 60 })
  assert.deepEqual(
    listTenants({ dir }).map((one) => ({ ...one })),
    [{ tenant: "acme", members: 0, invited: 1 }],
  )
  assert.deepEqual(listTenants({ dir, nowMs: Date.now() + 61_000 }), [])
})
