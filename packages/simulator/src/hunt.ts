/** Runs numbered seeds until one fails, and prints that as a line of JSON; for scripts/defects.ts, in a copy of the sources. */
import { defects } from "./defects.ts"
import { Random } from "./random.ts"
import { roleKinds } from "./roles.ts"
import { simulate } from "./simulate.ts"
import { shapeOf } from "./world.ts"

const [runs, steps, seconds] = process.argv.slice(2, 5).map(Number)
const name = process.argv[5]
const { where = () => true, roles = [], caretaker = false } = defects.find((defect) => defect.name === name) ?? {}
const without = roleKinds.filter((role) => !roles.includes(role))
const endMs = performance.now() + 1000 * seconds!

for (let run = 0, seed = 1; run < runs! && performance.now() < endMs; seed++) {
  if (!where(shapeOf(new Random(String(seed)).fork("shape"), new Set(without)))) continue
  run++
  const { options, failure } = await simulate({ seed: String(seed), steps: steps!, without, caretaker })
  console.log(
    JSON.stringify({ run, ...(failure && { seed: options.seed, claim: failure.claim, details: failure.details }) }),
  )
  if (failure) break
}
