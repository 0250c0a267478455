import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { openGrid } from "@holdfast/network"

const vectors = JSON.parse(
  readFileSync(new URL("../../../interop/vectors/grid-description.json", import.meta.url), "utf8"),
)

test("the frozen grid description opens with its key and says what it said when it was frozen", () => {
  for (const { signed, grid } of vectors.good) assert.deepEqual(openGrid(signed, vectors.gridPublicKey), grid)
})

test("frozen altered grid descriptions are refused", () => {
  for (const { why, signed, code } of vectors.bad)
    assert.throws(() => openGrid(signed, vectors.gridPublicKey), { code }, why)
})
