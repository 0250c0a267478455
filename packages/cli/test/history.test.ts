import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { test } from "node:test"
import { createHarness } from "./files-harness.ts"

test("history list shows each version with the device that wrote it, newest first", async (t) => {
  const { folder, run, json } = await createHarness(t)
  for (const text of ["one", "two"]) {
    writeFileSync(`${folder}/a`, text)
    await run("put", "--overwrite", `${folder}/a`, "home:a")
  }
  const versions = await json<{ sequence: number; device: { name: string } }[]>("history", "list", "home:")
  assert.deepEqual(
    versions.map(({ sequence, device }) => [sequence, device.name]),
    [4, 3, 2].map((sequence) => [sequence, "laptop/default"]),
  )
  assert.match(await run("history", "list", "home:"), /^4 {2}\S+Z {2}laptop\/default \([0-9a-f]{16}\)\n3 /)
})
