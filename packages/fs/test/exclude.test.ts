import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import type { ExcludeOptions } from "../src/node/exclude.ts"
import { walkLocal } from "../src/node/local.ts"
import type { Problem } from "../src/node/problem.ts"

function folderOf(t: { after(done: () => void): void }, files: Readonly<Record<string, string>>): string {
  const root = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-exclude-"))
  t.after(() => fs.rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    fs.mkdirSync(paths.dirname(`${root}/${path}`), { recursive: true })
    fs.writeFileSync(`${root}/${path}`, content)
  }
  return root
}

function walk(root: string, exclude: ExcludeOptions) {
  const problems: Problem[] = []
  const excluded: string[] = []
  const names = [
    ...walkLocal(root, {
      exclude,
      onProblem: (problem) => void problems.push(problem),
      onExcluded: (path) => void excluded.push(path.join("/")),
    }),
  ].map(({ path }) => path.join("/"))
  return { names: names.slice(1), excluded, problems }
}

test("patterns leave out what git would, and say what", (t) => {
  const root = folderOf(t, {
    "a.tmp": "",
    "A.TMP": "",
    "keep.tmp": "",
    "node_modules/x/y": "",
    "src/node_modules/z": "",
    "src/build": "a file, no folder",
    "build/out": "",
    "docs/deep/a.log": "",
    "src/docs/b.log": "",
  })
  const patterns = ["# a remark", "*.tmp", "!keep.tmp", "node_modules/", "build/", "/docs/**/*.log"]
  const { names, excluded, problems } = walk(root, { patterns })
  assert.deepEqual(names, [
    ...["A.TMP", "docs", "docs/deep", "keep.tmp"],
    ...["src", "src/build", "src/docs", "src/docs/b.log"],
  ])
  assert.deepEqual(excluded, ["a.tmp", "build", "docs/deep/a.log", "node_modules", "src/node_modules"])
  assert.deepEqual(problems, [])
})

test("a file with patterns counts from its folder on, inner ones over outer ones, those asked for over all", (t) => {
  const root = folderOf(t, {
    ".holdfastignore": "*.log\n/only-here\n",
    "only-here": "",
    "a.log": "",
    "in/.holdfastignore": "!important.log\n\ufeff",
    "in/important.log": "",
    "in/other.log": "",
    "in/only-here": "",
  })
  assert.deepEqual(walk(root, {}).names, [
    ...[".holdfastignore", "in", "in/.holdfastignore", "in/important.log", "in/only-here"],
  ])
  assert.ok(walk(root, { patterns: ["!a.log"] }).names.includes("a.log"))
  assert.ok(!walk(root, { patterns: ["important.log"] }).names.includes("in/important.log"))
  assert.equal(walk(root, { noIgnoreFiles: true }).names.length, 8)
})

test("a folder that is taken in again is taken in with what is in it", (t) => {
  const root = folderOf(t, { ".holdfastignore": "a\n/b/c\n", "a/x": "", "a/y/z": "", "b/c/d": "", "q/a/x": "" })
  const { names } = walk(root, { patterns: ["!/a", "!c"] })
  assert.deepEqual(names, [".holdfastignore", "a", "a/x", "a/y", "a/y/z", "b", "b/c", "b/c/d", "q"])
})

test("of a cache its mark alone is stored, and what only looks like a mark is none", (t) => {
  const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# cache"
  const root = folderOf(t, {
    "cache/CACHEDIR.TAG": tag,
    "cache/big": "",
    "cache/sub/CACHEDIR.TAG": "",
    "plain/CACHEDIR.TAG": "Signature: none",
    "plain/kept": "",
  })
  const all = walk(root, {}).names
  assert.equal(all.length, 8)
  assert.deepEqual(walk(root, { caches: true }).names, [
    ...["cache", "cache/CACHEDIR.TAG", "plain", "plain/CACHEDIR.TAG", "plain/kept"],
  ])
})

test("a file with patterns that is none, or too long, is told and stops nothing", async (t) => {
  const root = folderOf(t, { "a/x": "", "b/.holdfastignore": `x\n${"#".repeat(1024 * 1024)}`, "b/x": "" })
  const { execFileSync } = await import("node:child_process")
  execFileSync("mkfifo", [`${root}/a/.holdfastignore`])
  const { names, problems } = walk(root, {})
  assert.deepEqual(names, ["a", "a/x", "b", "b/.holdfastignore", "b/x"])
  assert.deepEqual(
    problems.map(({ code, path }) => [code, paths.relative(root, path)]),
    [["ERR_LIMIT", "b/.holdfastignore"]],
  )
})

test("a pattern that is too long is told by its number, without a word of it, and stops nothing", (t) => {
  const secret = "q7".repeat(40_000)
  const root = folderOf(t, {
    "a/.holdfastignore": `x\n${secret}`,
    "a/x": "",
    "b/.holdfastignore": `#${secret}\nx`,
    "b/x": "",
  })
  const { names, problems } = walk(root, {})
  assert.deepEqual(names, ["a", "a/.holdfastignore", "a/x", "b", "b/.holdfastignore"])
  assert.equal(problems.length, 1)
  assert.match(problems[0]!.message, /a\/\.holdfastignore" was not applied\. Pattern 2 of 2 /)
  assert.doesNotMatch(problems[0]!.message, /q7/)
  assert.throws(
    () => walk(root, { patterns: ["x", secret] }),
    ({ code, message }: { code: string; message: string }) =>
      code === "ERR_INVALID_ARGUMENT" && message.startsWith("Pattern 2 of 2 ") && !message.includes("q7"),
  )
})
