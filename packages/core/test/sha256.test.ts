/** Small hashes are the same from Node and from the library that browsers use. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as iso from "../src/crypto/sha256.ts"
import * as node from "../src/node/sha256.ts"

const bytes = (max: number) => fc.uint8Array({ maxLength: max })

test("SHA-256, HMAC and HKDF give the same bytes whoever computes them", () => {
  fc.assert(
    fc.property(bytes(300), bytes(200), bytes(100), fc.integer({ min: 1, max: 200 }), (one, two, three, length) => {
      assert.deepEqual(node.sha256(one), iso.sha256(one))
      assert.deepEqual(node.hmacSha256(two, one), iso.hmacSha256(two, one))
      assert.deepEqual(node.hkdfSha256(one, two, three, length), iso.hkdfSha256(one, two, three, length))
    }),
  )
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4
  for (const { sha256 } of [iso, node])
    assert.equal(Buffer.from(sha256(new Uint8Array([97, 98, 99]))).toString("hex"), abc)
})
