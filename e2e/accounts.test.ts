/**
 * A tenant's administrator on a real grid: sees what accounts hold, drops one, is undone; its devices are told; a node that was away
 * hears of it. The lists of an account.
 */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { startGrid } from "./grid.ts"

interface Listed {
  readonly tenant: string
  readonly accounts: {
    readonly id: string
    readonly shares: number
    readonly bytes: number
    readonly droppedAtMs: number | null
  }[]
  readonly errors: Record<string, string>
}

const dayMs = 86_400_000
const told = /dropped by the administrator/

test("an administrator drops an account and keeps it again, on a local grid without any flag", async (t) => {
  const grid = await startGrid({ nodes: 3, coding: "2/2/3" })
  t.after(() => grid.close())
  const { run, json, folder } = grid
  const bob = ["--profile", "bob"]
  const content = Buffer.alloc(200_000, 7)
  await run(["put", "-", "home:/hers"], { input: content })
  const invite = (await run(["invite", "--dir", `${folder}/data/holdfast/grid/coordinator`])).stdout
  await run([...bob, "join"], { input: invite })
  await run([...bob, "alias", "create", "home"])
  await run([...bob, "put", "-", "home:/his"], { input: Buffer.alloc(300_000, 8) })

  const list = () => json<Listed>(["coordinator", "accounts", "list"])
  /** Nodes hear who administers a tenant with their next announcement, within a minute. */
  const listWhen = async (what: string, isSo: (listed: Listed) => boolean) => {
    for (const until = Date.now() + 100_000; ; ) {
      const listed = await list()
      if (isSo(listed)) return listed
      assert.ok(Date.now() < until, `waited for ${what}: ${JSON.stringify(listed)}`)
    }
  }
  const all = await listWhen("all nodes", ({ errors }) => Object.keys(errors).length === 0)
  assert.equal(all.tenant, "home")
  const his = (await json<{ id: string }>([...bob, "account", "show"])).id
  const hers = (await json<{ id: string }>(["account", "show"])).id
  const of = ({ accounts }: Listed, id: string) => accounts.find((one) => one.id === id)
  assert.ok(of(all, his)!.bytes > 300_000 && of(all, hers)!.bytes > 200_000)

  const dropped = await run(["coordinator", "accounts", "drop", his.slice(0, 8)])
  assert.match(dropped.stdout, /before 30 days are over[\s\S]*3 nodes took that down/)
  const dueMs = of(await list(), his)!.droppedAtMs!
  assert.ok(dueMs > Date.now() + 29 * dayMs && dueMs < Date.now() + 31 * dayMs)
  assert.match((await run([...bob, "ls", "home:"])).stderr, told)
  assert.equal((await run([...bob, "cat", "home:/his"])).stdout.length, 300_000)
  const refused = await run([...bob, "put", "-", "home:/more"], { input: content, code: "any" })
  assert.notEqual(refused.code, 0)
  assert.match(refused.stderr, /was dropped by the administrator/)
  const other = await run(["put", "-", "home:/more"], { input: content })
  assert.doesNotMatch(other.stderr, told)

  // The undo reaches a node that is away by way of the coordinator.
  await grid.kill("n1")
  const kept = await json<{ errors: Record<string, string> }>(["coordinator", "accounts", "keep", his])
  assert.deepEqual(Object.keys(kept.errors), ["n1"])
  await grid.revive()
  await listWhen("n1", (now) => Object.keys(now.errors).length === 0 && of(now, his)!.droppedAtMs === null)
  const again = await run([...bob, "put", "-", "home:/more"], { input: content })
  assert.doesNotMatch(again.stderr, told)
})

test("every device of an account finds its list on the grid and on each volume: joined, given the account, and recovered", async (t) => {
  const grid = await startGrid({ nodes: 3, coding: "2/2/3" })
  t.after(() => grid.close())
  const { run, json, folder } = grid
  const places = [0, 1, 2].map((i) => `dir:${folder}/disk${i}`)
  const [phone, tablet, found] = ["phone", "tablet", "found"].map((name) => ["--profile", name])
  await run(["volume", "create", "disks", "--coding", "2/2/3", "--backend", ...places])
  await run(["alias", "create", "letters", "--volume", "disks"])
  await run(["put", "-", "letters:/one"], { input: "on disks" })
  await run(["put", "-", "home:/one"], { input: "on the grid" })
  const rowsOf = async (of: readonly string[]) => {
    const { stdout, stderr } = await run([...of, "alias", "list", "--json"])
    assert.doesNotMatch(stderr, /older|earlier|could not be read|removed on another/)
    const rows = JSON.parse(stdout) as { name: string; volume: string }[]
    return rows.map(({ name, volume }) => `${volume}/${name}`).sort()
  }
  const both = ["disks/disks", "disks/letters", "grid/home"]

  await run(["account", "export", "--out", `${folder}/one.account`])
  const invite = async () => (await run(["invite", "--dir", `${folder}/data/holdfast/grid/coordinator`])).stdout
  await run([...phone!, "join", "--account", `${folder}/one.account`], { input: await invite() })
  assert.deepEqual(await rowsOf(phone!), both)
  await run([...tablet!, "join"], { input: await invite() })
  await run([...tablet!, "account", "use", `${folder}/one.account`])
  assert.deepEqual(await rowsOf(tablet!), both)
  for (const volume of ["grid", "disks"])
    await run([...phone!, "alias", "create", `phone-${volume}`, "--volume", volume])
  const all = [...both, "disks/phone-disks", "grid/phone-grid"].sort()
  for (const device of [[], tablet!]) assert.deepEqual(await rowsOf(device), all)

  fs.writeFileSync(`${folder}/kit.pass`, "a passphrase of the kit, long enough\n", { mode: 0o600 })
  const protection = ["--kit-passphrase-file", `${folder}/kit.pass`]
  await run(["recovery", "kit", "--volume", "disks", ...protection])
  await run(["alias", "create", "after-kit", "--volume", "disks"])
  await run([...found!, "recovery", "restore", ...protection, "--backend", ...places])
  await run([...found!, "join"], { input: await invite() })
  assert.deepEqual(await rowsOf(found!), [...all, "disks/after-kit"].sort())
  assert.deepEqual((await json<{ errors: object }>(["gc", "--volume", "disks"])).errors, {})
  assert.equal((await run([...found!, "cat", "letters:/one"])).stdout, "on disks")
  assert.equal((await run([...found!, "cat", "home:/one"])).stdout, "on the grid")
})
