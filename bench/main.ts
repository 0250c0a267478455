/**
 * `npm run bench [NAME…]`: runs the benchmarks of this folder one after another, each in a process of its own. What they print is kept as
 * JSON in `bench-results/`.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const all = ["erasure", "pipeline", "tls", "transport", "files", "warm", "ranges", "clouds", "slow", "far"]
/** Take ten minutes or more, and compare nothing. */
const onDemand = ["soak", "growth", "places"]
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => ![...all, ...onDemand].includes(name))
if (unknown.length > 0) {
  process.stderr.write(
    `No benchmark is called ${unknown.join(", ")}; there are: ${[...all, ...onDemand].join(", ")}.\n`,
  )
  process.exit(2)
}
let failed = false
for (const name of wanted.length > 0 ? wanted : all) {
  process.stdout.write(`\n## ${name}\n`)
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
  const run = spawnSync(process.execPath, [file], { stdio: "inherit" })
  failed ||= run.status !== 0
}
process.exit(failed ? 1 : 0)
