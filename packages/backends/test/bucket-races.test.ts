/** Rules O13 to O16 over all orders of requests. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { explore, sample } from "./bucket-races/explore.ts"
import { makeCast, scenario } from "./bucket-races/scenarios.ts"

for (const [start, who, interruptions] of [
  ["condemned", "bs", 2],
  ["condemned", "ws", 2],
  ["needed", "ds", 2],
  ["new", "wcs", 1],
  ["old", "wcs", 1],
] as const)
  it(`what was acknowledged stays in every order of requests: X is ${start}; ${who}`, async () => {
    const found = await explore(scenario(await makeCast(), start, who), { interruptions, mostRuns: 20_000 })
    assert.equal(found.failure && `${found.failure.why}\n${found.failure.steps.join("\n")}`, undefined)
    assert.ok(found.isComplete && found.runs > 100, `${found.runs} runs`)
  })

it("what was acknowledged stays in orders picked by chance, with all of them and a clock that jumps", async () => {
  for (const start of ["condemned", "old", "new"] as const) {
    const found = await sample(scenario(await makeCast(), start, "wbcsz"), { runs: 300, seed: 7 })
    assert.equal(found.failure && `${found.failure.why}\n${found.failure.steps.join("\n")}`, undefined)
  }
})
