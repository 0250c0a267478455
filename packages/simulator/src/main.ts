/** `npm run simulate`: runs one seed, or many fresh ones, and shows what fails in as few steps and faults as it can. */
import { randomBytes } from "node:crypto"
import { parseArgs } from "node:util"
import { type FaultKind, faultKinds } from "./faults.ts"
import { type RunResult, simulate } from "./simulate.ts"

const usage = `npm run simulate -- [--seed S] [--steps N] [--without KIND,...] [--runs R | --minutes M] [--verbose]
Kinds of faults: ${faultKinds.join(", ")}`

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    steps: { type: "string", default: "120" },
    without: { type: "string", default: "" },
    runs: { type: "string" },
    minutes: { type: "string" },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})

if (values.help) console.log(usage)
else process.exitCode = await main()

async function main(): Promise<number> {
  const steps = Number(values.steps)
  const without = values.without.split(",").filter((kind): kind is FaultKind => faultKinds.includes(kind as FaultKind))
  const endMs = performance.now() + Number(values.minutes ?? 0) * 60_000
  const runs = values.runs === undefined ? 1 : Number(values.runs)
  for (let run = 0; run < runs || performance.now() < endMs; run++) {
    const seed = values.seed ?? randomBytes(6).toString("hex")
    const result = await simulate({ seed, steps, without, verbose: values.verbose })
    console.log(summary(result))
    if (!result.failure) continue
    console.log(result.recent.slice(-60).join("\n"))
    return 1
  }
  return 0
}

function summary(result: RunResult): string {
  const { seed, steps, failure, traceHash, simulatedMs, done, crashes, mostCalls } = result
  const operations = Object.values(done).reduce((sum, count) => sum + count, 0)
  const hours = (simulatedMs / 3_600_000).toFixed(1)
  const outcome = failure ? `FAILED at step ${failure.step}: ${failure.claim}: ${failure.details}` : "ok"
  return `seed ${seed}, ${steps} steps: ${outcome}; ${operations} operations, ${crashes} crashes, ${hours} h, at most ${mostCalls} calls; trace ${traceHash}`
}
