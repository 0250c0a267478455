/** Runs numbered seeds until one fails, and prints that as a line of JSON; for scripts/defects.ts, in a copy of the sources. */
import { simulate } from "./simulate.ts"

const [runs, steps, seconds] = process.argv.slice(2).map(Number)
const endMs = performance.now() + 1000 * seconds!

for (let run = 1; run <= runs! && performance.now() < endMs; run++) {
  const { options, failure } = await simulate({ seed: String(run), steps: steps! })
  console.log(
    JSON.stringify({ run, ...(failure && { seed: options.seed, claim: failure.claim, details: failure.details }) }),
  )
  if (failure) break
}
