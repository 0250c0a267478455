import assert from "node:assert/strict"
import { test } from "node:test"
import { survivalOf } from "../src/volumes/survives.ts"

const of = (k: number, happy: number, n: number, registerMode: "crash" | "byzantine") =>
  survivalOf({ coding: { k, happy, n }, registerMode }, n)

test("as many places may lie as leave k of those that took a put", () => {
  assert.deepEqual(of(2, 3, 4, "byzantine"), { lost: 1, lying: 1 })
  assert.deepEqual(of(3, 3, 4, "byzantine"), { lost: 1, lying: 0 })
  assert.deepEqual(of(3, 5, 7, "byzantine"), { lost: 2, lying: 2 })
  assert.deepEqual(of(4, 5, 7, "byzantine"), { lost: 2, lying: 1 })
  assert.deepEqual(of(2, 3, 4, "crash"), { lost: 1, lying: 0 })
})
