import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { changedFiles, testsOf } from "../../changed-tests.ts"

const files: Readonly<Record<string, string>> = {
  "packages/a/package.json": JSON.stringify({ exports: { ".": "./src/index.ts", "./more": "./src/more.ts" } }),
  "packages/a/src/index.ts": 'export * from "./inner.ts"',
  "packages/a/src/inner.ts": "export type Inner = 1",
  "packages/a/src/more.ts": "export const more = 1",
  "packages/a/test/inner.test.ts": 'import type { Inner } from "../src/inner.ts"',
  "packages/b/package.json": JSON.stringify({ exports: { ".": "./src/index.ts" } }),
  "packages/b/src/index.ts": 'import { more } from "@holdfast/a/more"\nimport "node:fs"',
  "packages/b/test/b.test.ts": 'const b = await import("../src/index.ts")',
  "packages/b/test/both.test.ts": 'import { inner } from "@holdfast/a"\nimport "@holdfast/none"',
}

test("a change concerns the tests that import what differs, whichever way, and no others", (t) => {
  const root = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-changed-"))
  t.after(() => fs.rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(paths.join(root, paths.dirname(path)), { recursive: true })
    fs.writeFileSync(paths.join(root, path), text)
  }
  const tests = Object.keys(files).filter((path) => path.endsWith(".test.ts"))
  const of = (...changed: string[]) => testsOf(root, tests, changed)
  assert.deepEqual(of("packages/a/src/inner.ts"), ["packages/a/test/inner.test.ts", "packages/b/test/both.test.ts"])
  assert.deepEqual(of("packages/a/src/more.ts"), ["packages/b/test/b.test.ts"])
  assert.deepEqual(of("packages/b/test/b.test.ts"), ["packages/b/test/b.test.ts"])
  assert.deepEqual(of("README.md"), [])
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args], { cwd: root })
  git("init", "-q")
  git("add", ".")
  git("commit", "-qm", "first")
  fs.appendFileSync(paths.join(root, "packages/a/src/more.ts"), "\n")
  fs.writeFileSync(paths.join(root, "new ü.ts"), "")
  assert.deepEqual(changedFiles(root, "HEAD"), ["packages/a/src/more.ts", "new ü.ts"])
})
