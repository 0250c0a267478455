/** A short run of soak/run.ts; `npm run soak -- --minutes 10` is the long one. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { soak } from "./soak/run.ts"
import { whyNoWorld } from "./soak/world.ts"

const why = await whyNoWorld()
if (why !== undefined) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

test("two people on two machines share, copy, collect, are revoked and recover, all at once, and nothing is missing", {
  skip: why,
}, async (t) => {
  const seed = Number(process.env["HOLDFAST_TEST_SEED"] ?? Date.now() % 1_000_000)
  t.diagnostic(`HOLDFAST_TEST_SEED=${seed}`)
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-soak-history-"))
  const file = `${folder}/history.jsonl`
  const { failures, counts, figures } = await soak({ minutes: 1, seed, file, say: (line) => t.diagnostic(line) })
  t.diagnostic(`${JSON.stringify([...counts])} ${JSON.stringify([...figures])}`)
  const what = failures.map((failure) => failure.what).join("\n")
  assert.deepEqual(failures, [], `${what}\nThe history is in ${file}.`)
  assert.ok((figures.get("gc: shares removed") ?? 0) > 0, "nothing was collected")
  assert.ok((figures.get("places read") ?? 0) > 20, "hardly anything was read back")
  fs.rmSync(folder, { recursive: true })
})
