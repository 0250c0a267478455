import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { digestOf, openGrid, openRoot } from "@holdfast/network"

for (const name of ["grid-description", "grid-description-2", "grid-description-3", "grid-description-4"]) {
  const vectors = JSON.parse(readFileSync(new URL(`../../../interop/vectors/${name}.json`, import.meta.url), "utf8"))

  test(`frozen descriptions of ${name} open with their key and say what they said when they were frozen`, () => {
    for (const { signed, grid } of vectors.good) assert.deepEqual(openGrid(signed, vectors.gridPublicKey), grid)
  })

  test(`frozen bad descriptions of ${name} are refused`, () => {
    for (const { why, signed, code } of vectors.bad)
      assert.throws(() => openGrid(signed, vectors.gridPublicKey), { code }, why)
  })
}

test("frozen root statements open with the root's key, digests are as they were, bad statements are refused", () => {
  const url = new URL("../../../interop/vectors/grid-description-3.json", import.meta.url)
  const { good, root, epoch2 } = JSON.parse(readFileSync(url, "utf8"))
  assert.equal(digestOf(good[0].signed), good[0].digest)
  for (const { signed, statement } of root.good) assert.deepEqual(openRoot(signed, root.publicKey), statement)
  for (const { why, signed, code } of root.bad) assert.throws(() => openRoot(signed, root.publicKey), { code }, why)
  assert.deepEqual(openGrid(epoch2.signed, epoch2.gridPublicKey), epoch2.grid)
  assert.equal(openRoot(epoch2.grid.root.statement, root.publicKey).gridPublicKey, epoch2.gridPublicKey)
})
