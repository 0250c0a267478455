/** `doctor` names a folder of what was seen that is damaged or cannot be written, and what to do about it. */
import assert from "node:assert/strict"
import { readdirSync, renameSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { createClient } from "./client.ts"

test("doctor says what is wrong with what was seen of trees", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const { run, folder } = client
  await run(["volume", "create", "disks", "--coding", "1/1/1", "--backend", `dir:${folder}/disk`])
  const well = await run(["doctor"], { code: "any" })
  assert.match(well.stdout, /ok {3}seen: what was seen of \d+ register/)
  const seen = `${folder}/state/holdfast/seen`
  const [register] = readdirSync(`${seen}/default`).filter((name) => /^[0-9a-f]{64}$/.test(name))
  const path = `${seen}/default/${register}`
  writeFileSync(path, "{")
  const damaged = await run(["doctor"], { code: 1 })
  assert.match(damaged.stdout, new RegExp(`BAD {2}seen: .*${register}.*damaged[\\s\\S]*seen import`))
  renameSync(seen, `${folder}/elsewhere`)
  writeFileSync(seen, "no folder") // as a test that runs as root sees what cannot be written
  const unwritable = await run(["doctor"], { code: 1 })
  assert.match(unwritable.stdout, /BAD {2}seen: [\s\S]*a folder that you may write/)
})
