import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { openGrid } from "@holdfast/network"

for (const name of ["grid-description", "grid-description-2"]) {
  const vectors = JSON.parse(readFileSync(new URL(`../../../interop/vectors/${name}.json`, import.meta.url), "utf8"))

  test(`frozen descriptions of ${name} open with their key and say what they said when they were frozen`, () => {
    for (const { signed, grid } of vectors.good) assert.deepEqual(openGrid(signed, vectors.gridPublicKey), grid)
  })

  test(`frozen bad descriptions of ${name} are refused`, () => {
    for (const { why, signed, code } of vectors.bad)
      assert.throws(() => openGrid(signed, vectors.gridPublicKey), { code }, why)
  })
}
