import assert from "node:assert/strict"
import { test } from "node:test"
import { fit, HoldfastError, integer, list, matching, parseOr, record, statedVersion, text } from "@holdfast/core"
import * as v from "valibot"

test("a record keeps names that every object has, and refuses names and values that are not as required", () => {
  const names = ["constructor", "prototype", "toString", "__proto__", "a"]
  const given = JSON.parse(`{${names.map((name) => `"${name}":"x"`).join()}}`)
  const result = fit(record(text(3)), given)
  assert.ok("value" in result)
  assert.deepEqual(Object.keys(result.value), names)
  assert.equal(Object.getPrototypeOf(result.value), Object.prototype)
  for (const bad of [{ a: "long" }, { a: 1 }, [], "a", null]) assert.ok("field" in fit(record(text(3)), bad))
  assert.ok("field" in fit(record(text(3), /^[a-f]$/), { g: "x" }))
})

test("text, numbers and lists are bounded, and what is wrong is named without its content", () => {
  assert.ok("field" in fit(text(3, 1), ""))
  assert.ok("field" in fit(matching(/^a$/), "b"))
  for (const wrong of [-1, 11, 1.5, Number.POSITIVE_INFINITY, Number.NaN, 2 ** 60, "1"])
    assert.ok("field" in fit(integer(0, 10), wrong), String(wrong))
  for (const wrong of [[], ["a", "a", "a"], [1], { length: 1 }])
    assert.ok("field" in fit(list(v.string(), 2, 1), wrong))
  assert.throws(
    () => parseOr(v.object({ keys: list(text(3), 2) }), { keys: ["s3cret!"] }, "The file"),
    (error: HoldfastError) =>
      error instanceof HoldfastError && error.message === "The file is malformed: keys.0 is not as required.",
  )
  assert.deepEqual(
    [statedVersion({ version: 7 }), statedVersion({ version: "7" }), statedVersion(null)],
    [7, undefined, undefined],
  )
})
