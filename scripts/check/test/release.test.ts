import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { type TestContext, test } from "node:test"
import { gatherChanges } from "../../release/changelog.ts"
import { setVersion } from "../../release/prepare.ts"

function checkout(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-prepared-"))
  t.after(() => fs.rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(paths.join(root, paths.dirname(path)), { recursive: true })
    fs.writeFileSync(paths.join(root, path), text)
  }
  return root
}

test("the changes of a release come together under their kinds, above those of earlier ones", (t) => {
  const root = checkout(t, {
    "CHANGELOG.md": "# Changes\n\nWhat changed.\n\n## 0.1.0 (2026-01-01)\n\n- all\n",
    "changelog/unreleased/a.md": "Kind: fix\n\nWhat was\nwrong.\n",
    "changelog/unreleased/b.md": "Kind: security\n\nA hole.\n",
    "changelog/unreleased/c.md": "Kind: fixed\n\nMore.\n",
  })
  gatherChanges(root, "0.2.0", "2026-02-02")
  assert.equal(
    fs.readFileSync(paths.join(root, "CHANGELOG.md"), "utf8"),
    "# Changes\n\nWhat changed.\n\n## 0.2.0 (2026-02-02)\n\n### Security\n\n- A hole.\n\n### Mended\n\n- What was\n  wrong.\n- More.\n\n" +
      "## 0.1.0 (2026-01-01)\n\n- all\n",
  )
  assert.throws(() => gatherChanges(root, "0.3.0", "2026-03-03"), /Nothing/)
  fs.writeFileSync(paths.join(root, "changelog/unreleased/d.md"), "What kind?\n")
  assert.throws(() => gatherChanges(root, "0.3.0", "2026-03-03"), /d\.md does not begin with a kind/)
})

test("a version is set wherever it stands, and of other packages stays", (t) => {
  const root = checkout(t, {
    "package.json": '{\n  "name": "holdfast",\n  "version": "0.1.0"\n}\n',
    "packages/cli/package.json": '{\n  "name": "@holdfast/cli",\n  "version": "0.1.0"\n}\n',
    "packages/cli/src/version.ts": 'export const version = "0.1.0"\n',
    "package-lock.json": JSON.stringify({
      version: "0.1.0",
      packages: {
        "": { version: "0.1.0" },
        "packages/cli": { version: "0.1.0" },
        "node_modules/zod": { version: "4.0.0" },
      },
    }),
  })
  setVersion(root, "0.2.0")
  const read = (path: string) => fs.readFileSync(paths.join(root, path), "utf8")
  for (const path of ["package.json", "packages/cli/package.json"])
    assert.equal(JSON.parse(read(path)).version, "0.2.0")
  assert.equal(read("packages/cli/src/version.ts"), 'export const version = "0.2.0"\n')
  const { version, packages } = JSON.parse(read("package-lock.json"))
  const versions = Object.values<{ version: string }>(packages).map((one) => one.version)
  assert.deepEqual([version, ...versions], ["0.2.0", "0.2.0", "0.2.0", "4.0.0"])
  assert.throws(() => setVersion(root, "next"), /no version/)
})
