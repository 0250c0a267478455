import assert from "node:assert/strict"
import { test } from "node:test"
import { commandOf, faultKinds, parseOptions, simulate } from "../src/index.ts"

test("one seed gives one run, event by event, and another seed another", async () => {
  const [first, second] = [await simulate({ seed: "11", steps: 60 }), await simulate({ seed: "11", steps: 60 })]
  const other = await simulate({ seed: "12", steps: 60 })
  assert.equal(first.traceHash, second.traceHash)
  assert.deepEqual(first.history, second.history)
  assert.notEqual(first.traceHash, other.traceHash)
})

test("the command that repeats a run is read as the run was meant", () => {
  const run = { seed: "a1", steps: 77, without: ["rot", "crash"], skip: [1, 2, 3, 9, 76, 77] } as const
  const command = commandOf(run)
  assert.equal(command, "npm run simulate -- --seed a1 --steps 77 --without rot,crash --skip 1-3,9,76-77")
  const { seed, steps, without, skip } = parseOptions(command.split(" ").slice(4))
  assert.deepEqual({ seed, steps, without, skip }, run)
})

test("a wrong word of the command is refused by name", () => {
  for (const [option, value, named] of [
    ["--without", "rain", /rain/],
    ["--steps", "many", /many/],
    ["--skip", "3-x", /3-x/],
    ["--sed", "1", /--sed/],
  ] as const)
    assert.throws(() => parseOptions([option, value]), { code: "ERR_INVALID_ARGUMENT", message: named })
})

test("without any fault every operation that is possible ends well", async () => {
  const { failure, crashes } = await simulate({ seed: "calm", steps: 80, without: faultKinds })
  assert.equal(failure, undefined)
  assert.equal(crashes, 0)
})
