/**
 * Whoever administers the directories of a volume sees what accounts hold there, drops one, is asked before the last goes, and undoes it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createClient } from "./client.ts"

interface Listed {
  readonly accounts: { readonly id: string; readonly shares: number; readonly droppedAtMs: number | null }[]
  readonly errors: Record<string, string>
}

test("accounts of a volume over directories are listed, dropped and kept", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const { run, json, folder } = client
  const disks = [1, 2, 3].map((i) => `dir:${folder}/disk${i}`)
  await run(["volume", "create", "disks", "--coding", "2/2/3", "--backend", ...disks])
  await run(["put", "-", "disks:/file"], { input: Buffer.alloc(200_000, 7) })
  const list = () => json<Listed>(["volume", "accounts", "list", "disks"])
  const { id } = await json<{ id: string }>(["account", "show"])
  const [only, ...rest] = (await list()).accounts
  assert.deepEqual([only!.id, rest], [id, []])
  const drop = ["volume", "accounts", "drop", "disks", id.slice(0, 8)]
  const asked = await run(drop, { code: 2 })
  assert.match(asked.stderr, /last account that holds anything in volume disks.*--yes/)
  const dropped = await run([...drop, "--yes"])
  assert.match(dropped.stdout, /before 30 days are over[\s\S]*3 places took that down/)
  assert.ok((await list()).accounts[0]!.droppedAtMs! > Date.now())
  const refused = await run(["put", "-", "disks:/more"], { input: Buffer.alloc(300_000, 8), code: 6 })
  assert.match(refused.stderr, /was dropped by the administrator/)
  await run(["cat", "disks:/file"])
  await run(["volume", "accounts", "keep", "disks", id])
  await run(["put", "-", "disks:/more"], { input: Buffer.alloc(300_000, 8) })
  await run(["volume", "accounts", "drop", "disks", "legacy"])
  await run(["volume", "accounts", "drop", "nowhere", "legacy"], { code: 3 })
})
