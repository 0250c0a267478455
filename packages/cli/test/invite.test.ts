import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { startCoordinator } from "@holdfast/coordinator"
import { createLogger, join as joinGrid, loadIdentity, rolesOf } from "@holdfast/network"
import { command, compiled } from "../../../e2e/command.ts"

/** A coordinator, and the command on its machine. */
async function coordinatorOf(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-invite-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const dir = join(folder, "coordinator")
  const coding = { k: 2, happy: 3, n: 3 }
  const coordinator = await startCoordinator({
    ...{ dir, host: "127.0.0.1", port: 0, coding, registerMode: "crash", name: "g" },
    logger: createLogger({ stream: { write: () => true }, level: "error" }),
  })
  t.after(() => coordinator.close())
  const run = (args: readonly string[]) =>
    spawnSync(process.execPath, [command, ...args, "--dir", dir], {
      env: { ...compiled, PATH: process.env["PATH"], HOME: folder },
      encoding: "utf8",
    })
  const use = async (invitation: string, name: string) => {
    const own = join(folder, name)
    await joinGrid(invitation, { dir: own, name })
    return loadIdentity(own)
  }
  return { run, use }
}

test("an invitation says which tenant somebody joins and what that means, and puts nobody in with one of several customers", async (t) => {
  const { run, use } = await coordinatorOf(t)
  const first = run(["invite", "--name", "bob"])
  assert.match(
    first.stderr,
    /joins the tenant "default", which is new and empty\.\nMembers of a tenant share its space/,
  )
  assert.match(first.stderr, /by capability only\.\nIt may: .*all roles.*\nFor a customer of its own: --tenant NAME\./)
  assert.match(first.stdout, /^\S+\n$/)
  assert.equal((await use(first.stdout.trim(), "bob")).tenant, "default")
  const second = run(["invite", "--name", "carol"])
  assert.match(second.stderr, /joins the tenant "default", as one of them: 1 member\./)
  const own = run(["invite", "--tenant", "dave", "--json"])
  assert.equal(own.stderr, "")
  assert.deepEqual(
    { ...JSON.parse(own.stdout), invite: "" },
    { invite: "", role: "client", tenant: "dave", roles: "all" },
  )
  const unsaid = run(["invite"])
  assert.equal(unsaid.status, 2)
  assert.match(
    unsaid.stderr,
    /has 2 tenants: say whose data .* --tenant dave or --tenant default|--tenant default or --tenant dave/,
  )
  assert.equal(run(["invite", "--role", "node"]).stderr, "")
})

test("roles are chosen at the invitation, are in the certificate, and are listed", async (t) => {
  const { run, use } = await coordinatorOf(t)
  const cases = [
    { flags: ["--reader"], roles: ["read"] },
    { flags: ["--append-only"], roles: ["append", "read"] },
    { flags: ["--roles", "repair,read"], roles: ["read", "repair"] },
    { flags: ["--roles", "read,append,collect,repair"], roles: ["append", "collect", "read", "repair"] },
    { flags: [], roles: ["append", "collect", "read", "repair"] },
  ]
  for (const [i, { flags, roles }] of cases.entries()) {
    const { stdout } = run(["invite", "--tenant", "acme", "--name", `m${i}`, ...flags])
    assert.deepEqual([...rolesOf(await use(stdout.trim(), `m${i}`))], roles, flags.join(" "))
  }
  const listed = run(["coordinator", "members"])
    .stdout.split("\n")
    .map((line) => line.split(/ {2,}/))
  assert.deepEqual(
    listed.slice(0, 5).map(([name, role, tenant, roles]) => [name, role, tenant, roles].join("|")),
    [
      "m0|client|acme|read",
      "m1|client|acme|append,read",
      "m2|client|acme|read,repair",
      "m3|client|acme|all roles",
      "m4|client|acme|all roles",
    ],
  )
  for (const wrong of [
    ["--roles", "write"],
    ["--reader", "--append-only"],
    ["--role", "node", "--reader"],
    ["--role", "node", "--tenant", "acme"],
  ])
    assert.equal(run(["invite", ...wrong]).status, 2, wrong.join(" "))
})
