/** The claims of the simulation where somebody runs rounds of maintenance over all trees. Without those who mean harm. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { commandOf, failureReport, parseOptions, roleKinds, simulate } from "../src/index.ts"

test("every claim holds while maintenance goes on beside, and its rounds make all whole once faults are over", async () => {
  for (let i = 0; i < 6; i++) {
    const result = await simulate({ seed: `caretaker-${i}`, steps: 80, without: roleKinds, caretaker: true })
    if (result.failure) assert.fail(await failureReport(result, 60_000))
    assert.ok(result.history.some((line) => /caretaker mends: .*verified/.test(line)))
  }
})

test("the same seed with a caretaker gives the same run again, and without one the run of before", async () => {
  const options = { seed: "caretaker-0", steps: 30, without: roleKinds }
  const [once, again, without] = [
    await simulate({ ...options, caretaker: true }),
    await simulate({ ...options, caretaker: true }),
    await simulate(options),
  ]
  assert.equal(once.traceHash, again.traceHash)
  assert.notEqual(once.traceHash, without.traceHash)
  assert.ok(without.history.every((line) => !line.includes("caretaker")))
})

test("the command that repeats a run has its caretaker", () => {
  const command = commandOf({ seed: "1", steps: 5, caretaker: true })
  assert.match(command, /--caretaker/)
  assert.equal(parseOptions(command.split(" -- ")[1]!.split(" ")).caretaker, true)
})
