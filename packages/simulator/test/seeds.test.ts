/**
 * Every seed that ever failed, and HOLDFAST_SIMULATE_SEEDS (16 when absent) that follow from the sources: each state of them is tried with
 * seeds of its own, and tried again with the same, so that a change alone decides whether the tests pass. Without those who mean harm:
 * `npm run simulate` has them, and seeds that are fresh each time. A failure says how to repeat it: mend the bug and add the seed to
 * seeds.json.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { globSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { failureReport, harmfulRoles, parseOptions, simulate, usualSteps } from "../src/index.ts"

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

const packages = new URL("../../", import.meta.url)

/** Of all code of the packages; the same on every machine. */
function hashOfSources(): string {
  const hash = createHash("sha256")
  for (const path of globSync("*/src/**/*.ts", { cwd: packages }).sort())
    hash.update(`${path.replaceAll("\\", "/")}\0`).update(readFileSync(new URL(path, packages)))
  return hash.digest("hex")
}

test("seeds of this state of the sources hold every claim", async () => {
  const sources = hashOfSources().slice(0, 12)
  for (let i = 0; i < Number(process.env.HOLDFAST_SIMULATE_SEEDS ?? 16); i++) {
    const result = await simulate({ seed: `${sources}-${i}`, steps: usualSteps, without: harmfulRoles })
    if (result.failure) assert.fail(await failureReport(result, shortenMs))
  }
})
