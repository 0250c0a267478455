/** The models: every rule holds in each state that they reach, and each weaker rule breaks the invariant that it must. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { asTheyAre, describeOutcome, isAsExpected, modelCases } from "../src/models/index.ts"

for (const question of modelCases) {
  if (question.slow) continue // these, too, in `npm run models`
  const { model, variant, scope, breaks } = question
  const claim = breaks ? `breaks ${breaks}` : "every invariant holds"
  test(`${model}: ${variant}: ${claim} (${scope})`, () => {
    const found = question.explore()
    assert.ok(isAsExpected(question, found), describeOutcome(question, found, true))
  })
}

test("a model that is not explored to the end is no proof", () => {
  const question = modelCases.find(({ variant }) => variant === asTheyAre)!
  assert.equal(isAsExpected(question, { states: 3_000_000, complete: false }), false)
})

test("a weaker rule must break its own invariant, not another", () => {
  const question = modelCases.find(({ breaks }) => breaks === "I1")!
  const breach = { invariant: "I3", why: "" } as const
  assert.equal(isAsExpected(question, { states: 1, complete: false, breach }), false)
})
