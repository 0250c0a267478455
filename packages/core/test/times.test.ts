import assert from "node:assert/strict"
import { test } from "node:test"
import { isoTime } from "../src/index.ts"

test("a time that others wrote is shown, whatever number it is", () => {
  assert.equal(isoTime(0), "1970-01-01T00:00:00.000Z")
  assert.equal(isoTime(1_234.5), "1970-01-01T00:00:01.234Z")
  for (const late of [8.64e15 + 1, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])
    assert.equal(isoTime(late), "+275760-09-13T00:00:00.000Z")
  for (const early of [-Number.MAX_SAFE_INTEGER, Number.NEGATIVE_INFINITY])
    assert.equal(isoTime(early), "-271821-04-20T00:00:00.000Z")
})
