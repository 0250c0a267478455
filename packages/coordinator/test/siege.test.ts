import assert from "node:assert/strict"
import { join as joinPath } from "node:path"
import { test } from "node:test"
import { fetchMembers, join, loadIdentity, renewIdentity } from "@holdfast/network"
import { checkHonest, measured } from "../../network/test/honest.ts"
import { besiege, type SiegeKind } from "../../network/test/siege.ts"
import { createInvite } from "../src/index.ts"
import { start, temporaryDirectory } from "./fixtures.ts"

const member = { role: "client", tenant: "acme" } as const
const addresses = Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 2}`)

for (const [kind, each] of [
  ["silent", 130],
  ["half-request", 12],
] as const satisfies readonly (readonly [SiegeKind, number])[])
  test(`a member is answered 20 times of 20, and another joins, while strangers besiege the coordinator: ${kind}`, async (t) => {
    const { dir, port } = await start(t)
    const base = await temporaryDirectory(t)
    const alice = joinPath(base, "alice")
    await join(await createInvite({ dir, ...member }), { dir: alice, name: "alice" })
    // Each call makes a connection of its own.
    const work = async () => assert.equal((await fetchMembers(alice)).length, 1)
    const quiet = await measured(10, work)
    const { opened } = await besiege(t, { port, addresses, each, kind })
    const came = opened()
    assert.ok(came >= addresses.length * each * 0.9, `${came} connections came through`)
    checkHonest(t, quiet, await measured(20, work), 512 * 2 ** 20)
    const before = await loadIdentity(alice)
    assert.notEqual((await renewIdentity(alice, before, { force: true })).certPem, before.certPem)
    await join(await createInvite({ dir, ...member }), { dir: joinPath(base, "bob"), name: "bob" })
    assert.equal((await fetchMembers(alice)).length, 2)
  })
