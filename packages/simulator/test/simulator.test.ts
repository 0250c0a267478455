import assert from "node:assert/strict"
import { test } from "node:test"
import { simulate } from "../src/index.ts"

test("one seed gives one run, event by event", async () => {
  const [first, second] = [await simulate({ seed: "11", steps: 60 }), await simulate({ seed: "11", steps: 60 })]
  const other = await simulate({ seed: "12", steps: 60 })
  assert.deepEqual([first.failure, second.failure, other.failure], [undefined, undefined, undefined])
  assert.equal(first.traceHash, second.traceHash)
  assert.notEqual(first.traceHash, other.traceHash)
})
