/** That each of the rules O13 to O16 is needed: without it the orders of requests come to a loss. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { it } from "node:test"
import { bucketDefects } from "./bucket-races/defects.ts"

const root = join(import.meta.dirname, "../../..")
/** Found within a few seconds; the others take `node bucket-races/main.ts` longer. */
const quick =
  /does not look for what is condemned|under the same key|before the new ones|with what it condemned|seen long ago/

for (const { name, file, find, replace, scenario: words } of bucketDefects)
  it(`the weaker rule still applies${quick.test(name) ? ", and fails" : ""}: ${name}`, () => {
    const text = readFileSync(join(root, "packages/backends/src/s3", file), "utf8")
    assert.equal(text.split(find).length, 2)
    if (!quick.test(name)) return
    const copy = mkdtempSync(join(tmpdir(), "holdfast-bucket-defect-"))
    try {
      mkdirSync(join(copy, "packages"))
      for (const part of ["src", "test", "package.json"])
        cpSync(join(root, "packages/backends", part), join(copy, "packages/backends", part), { recursive: true })
      symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
      writeFileSync(
        join(copy, "packages/backends/src/s3", file),
        text.replace(find, () => replace),
      )
      const main = join(copy, "packages/backends/test/bucket-races/main.ts")
      const { status, stdout, stderr } = spawnSync("node", [main, ...words], { encoding: "utf8", timeout: 120_000 })
      assert.equal(status, 1, `${stdout}${stderr}`)
      assert.match(stdout, /is gone|nothing marks it|told to store X again/)
    } finally {
      rmSync(copy, { recursive: true })
    }
  })
