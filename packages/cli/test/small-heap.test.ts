import assert from "node:assert/strict"
import { test } from "node:test"
import { growthFor } from "../src/small-heap.ts"

const mib = 1024 * 1024

test("a heap may grow to a size that is little to a machine, and beyond by a third of what lives in it", () => {
  assert.deepEqual(
    [1, 20, 36, 60, 500].map((live) => growthFor(live * mib)),
    [400, 260, 100, 30, 30],
  )
})
