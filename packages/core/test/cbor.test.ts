import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeCbor } from "../src/index.ts"

test("a slice of encoded CBOR is a copy", () => {
  const encoded = encodeCbor([1, new Uint8Array(100), "text"])
  const slice = encoded.slice()
  slice[0]! ^= 1
  assert.notEqual(slice[0], encoded[0])
})
