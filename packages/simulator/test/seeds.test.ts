/**
 * Every seed that ever failed, and fresh ones for HOLDFAST_SIMULATE_SECONDS (120 when absent), without those who mean harm: `npm run
 * simulate` has them. A failure says how to repeat it: mend the bug and add the seed to seeds.json.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { failureReport, freshSeed, harmfulRoles, parseOptions, simulate, usualSteps } from "../src/index.ts"

/** How long a shorter history is looked for. */
const shortenMs = 60_000

interface FailedSeed {
  readonly run: string
  readonly bug: string
}

const failed: readonly FailedSeed[] = JSON.parse(readFileSync(new URL("../seeds.json", import.meta.url), "utf8"))

for (const { run, bug } of failed)
  test(`the seed that showed: ${bug}`, async () => {
    const { seed, steps, without, skip } = parseOptions(run.split(" "))
    assert.ok(seed, "a seed")
    const result = await simulate({ seed, steps, without, skip })
    if (result.failure) assert.fail(await failureReport(result, shortenMs))
  })

test("fresh seeds hold every claim", async (context) => {
  const seconds = Number(process.env.HOLDFAST_SIMULATE_SECONDS ?? 120)
  const endMs = performance.now() + 1000 * seconds
  let runs = 0
  for (; runs === 0 || performance.now() < endMs; runs++) {
    const result = await simulate({ seed: freshSeed(), steps: usualSteps, without: harmfulRoles })
    if (result.failure) assert.fail(await failureReport(result, shortenMs))
  }
  context.diagnostic(`${runs} seeds`)
})
