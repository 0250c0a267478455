/**
 * Everything that is checked without running the product: format and lint, types (all code, and the iso code without
 * Node), floating promises, layers, tidiness, the threat model. `npm run check`; the first part of `npm test`.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { ageOfAdvisories, checkAdvisories } from "./check/advisories.ts"
import { checkDomains } from "./check/domains.ts"
import { checkLayers } from "./check/layers.ts"
import { checkShape } from "./check/shape.ts"
import type { Violation } from "./check/source.ts"
import { checkThreats } from "./check/threats.ts"
import { checkTidy } from "./check/tidy.ts"

const root = dirname(import.meta.dirname)
const binaries = join(root, "node_modules", ".bin")

interface CheckResult {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
  readonly output: string
}

/** Runs a command of node_modules/.bin and collects what it says. */
async function command(name: string, ...words: readonly [string, ...string[]]): Promise<CheckResult> {
  const started = performance.now()
  const [program, ...args] = words
  const child = spawn(join(binaries, program), args, {
    cwd: root,
    env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH}` },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8")
    stream.on("data", (text: string) => {
      output += text
    })
  }
  const ok = await new Promise<boolean>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => resolve(code === 0))
  })
  return { name, ok, output, seconds: (performance.now() - started) / 1000 }
}

function inspect(name: string, check: (root: string) => Violation[]): CheckResult {
  const started = performance.now()
  const violations = check(root)
  const output = violations.map(({ where, rule, message }) => `${where} [${rule}] ${message}\n`).join("")
  return { name, ok: violations.length === 0, output, seconds: (performance.now() - started) / 1000 }
}

/** Prints a line per check and the output of those that fail; true when all are well. */
function report(results: readonly CheckResult[]): boolean {
  for (const { name, ok, seconds, output } of results) {
    console.log(`${ok ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)`)
    if (!ok) console.log(output)
  }
  return results.every(({ ok }) => ok)
}

const results = await Promise.all([
  command("format and lint (biome)", "biome", "check", "."),
  command("types (tsc)", "tsc", "-p", "tsconfig.json"),
  command("types of iso code (tsc)", "tsc", "-p", "tsconfig.iso.json"),
  ...(existsSync(join(root, "eslint.config.js"))
    ? [
        command(
          "promises (eslint)",
          "eslint",
          "--max-warnings",
          "0",
          "--no-error-on-unmatched-pattern",
          "packages",
          "scripts",
          "e2e",
          "bench",
        ),
      ]
    : []),
])
process.exitCode = report([
  ...results,
  inspect("layers", checkLayers),
  inspect("tidy", checkTidy),
  inspect("shape", checkShape),
  inspect("claims", checkThreats),
  inspect("domains", checkDomains),
  inspect("advisories", checkAdvisories),
])
  ? 0
  : 1
console.log(`     ${ageOfAdvisories(root, Date.now())}`)
