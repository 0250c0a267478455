/**
 * `npm run soak -- --minutes 10 [--seed S] [--history FILE]`: the long run of soak/run.ts over real processes. Ends with 1 when
 * anything was missing, or failed for no reason that the run made; the history file says what was done.
 */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { soak } from "./soak/run.ts"
import { whyNoWorld } from "./soak/world.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string" }, seed: { type: "string" }, history: { type: "string" } },
})
const minutes = Number(values.minutes ?? 10)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const why = await whyNoWorld()
if (why !== undefined) {
  console.error(`soak: cannot run here: ${why}`)
  process.exit(2)
}
const file = values.history ?? join(mkdtempSync(join(tmpdir(), "holdfast-soak-history-")), "history.jsonl")
console.log(`soak: ${minutes} minutes, --seed ${seed}, history in ${file}`)
const history = await soak({
  ...{ minutes, seed, file, say: (line) => console.log(line) },
  onStarted(world) {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => void world.close().finally(() => process.exit(1)))
  },
})
for (const [kind, { done, failed, killed }] of [...history.counts].sort())
  console.log(`${kind.padEnd(28)} ${done} done, ${failed} failed, ${killed} killed`)
for (const [figure, amount] of [...history.figures].sort()) console.log(`${figure.padEnd(48)} ${amount}`)
console.log(`errors met: ${JSON.stringify(Object.fromEntries(history.errors))}`)
console.log(history.failures.length === 0 ? "Nothing is missing." : `${history.failures.length} FAILURES`)
for (const { atMs, what } of history.failures) console.log(`  ${(atMs / 1000).toFixed(1)} s: ${what}`)
process.exit(history.failures.length === 0 ? 0 : 1)
