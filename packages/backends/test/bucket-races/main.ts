/** Explores one scenario: `node main.ts START WHO INTERRUPTIONS|any RUNS`. Exit code 1 when it fails. */
import { explore, sample } from "./explore.ts"
import { makeCast, type Start, scenario } from "./scenarios.ts"

const [start = "old", who = "wcs", interruptions = "2", mostRuns = "20000"] = process.argv.slice(2)
const began = performance.now()
const cast = await makeCast()
const found =
  interruptions === "any"
    ? await sample(scenario(cast, start as Start, who), { runs: Number(mostRuns), seed: 1 })
    : await explore(scenario(cast, start as Start, who), {
        interruptions: Number(interruptions),
        mostRuns: Number(mostRuns),
      })
console.log(
  `${start} ${who} ${interruptions}: ${found.runs} runs, ${found.states} states, ${found.isComplete ? "all" : "not all"}, ${((performance.now() - began) / 1000).toFixed(1)} s`,
)
if (found.failure) {
  console.log(found.failure.why)
  for (const step of found.failure.steps) console.log(`  ${step.replace(/[0-9a-f]{60,}/g, (hex) => hex.slice(0, 6))}`)
  process.exitCode = 1
}
