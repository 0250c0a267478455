import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { it } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { parseVolume } from "../src/volume.ts"

interface Vectors {
  readonly good: readonly unknown[]
  readonly bad: readonly { readonly name: string; readonly value: unknown; readonly error: string }[]
}

const path = new URL("../../../interop/vectors/volume.json", import.meta.url)
const vectors = JSON.parse(readFileSync(path, "utf8")) as Vectors

it("takes every good description of a volume unchanged and refuses every bad one", () => {
  assert.ok(vectors.good.length > 0 && vectors.bad.length > 0)
  for (const value of vectors.good) assert.deepEqual(parseVolume(value), value)
  for (const { name, value, error } of vectors.bad)
    assert.throws(
      () => parseVolume(value),
      (thrown) => thrown instanceof HoldfastError && thrown.code === error,
      name,
    )
})
