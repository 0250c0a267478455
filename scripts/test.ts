/**
 * The whole of `npm test`: the checks, the unit tests of all packages, then the end-to-end tests over real processes.
 * `npm test -- --unit` stops before the end-to-end tests; other words are patterns of test files to run instead.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"

const root = dirname(import.meta.dirname)
const words = process.argv.slice(2)
const env = { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}` }
const failed: string[] = []

/** Runs a Node program to its end and remembers its name when it fails. */
function run(name: string, args: readonly string[]): void {
  console.log(`\n== ${name}`)
  const started = performance.now()
  const { status, signal } = spawnSync("node", args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`== ${name}: ${status === 0 ? "ok" : `FAILED (${signal ?? `exit code ${status}`})`} in ${seconds} s`)
  if (status !== 0) failed.push(name)
}

function runTests(name: string, patterns: readonly string[], concurrency: number): void {
  const files = globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] }).sort()
  if (files.length === 0) console.log(`\n== ${name}: no test files`)
  else run(name, ["--test", `--test-concurrency=${concurrency}`, "--test-reporter=spec", ...files])
}

const patterns = words.filter((word) => !word.startsWith("--"))
if (patterns.length > 0) runTests("chosen tests", patterns, 1)
else {
  run("checks", ["scripts/check.ts"])
  runTests("unit tests", ["packages/*/test/**/*.test.ts", "scripts/check/test/**/*.test.ts"], 2)
  if (!words.includes("--unit")) runTests("end-to-end tests", ["e2e/**/*.test.ts"], 2)
}

console.log(failed.length === 0 ? "\nAll passed." : `\nFAILED: ${failed.join(", ")}`)
process.exitCode = failed.length === 0 ? 0 : 1
