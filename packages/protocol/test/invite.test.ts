import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeBase32, encodeCbor, HoldfastError } from "@holdfast/core"
import { decodeInvite, encodeInvite } from "@holdfast/protocol"
import fc from "fast-check"

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const invite = fc
  .tuple(fc.string({ maxLength: 100 }), bytes32, bytes32, fc.nat(), fc.constantFrom({}, { witness: true as const }))
  .map(([address, caFingerprint, token, expiryMs, more]) => ({ address, caFingerprint, token, expiryMs, ...more }))

test("every invitation decodes to itself, also with space around it", () => {
  fc.assert(fc.property(invite, (value) => assert.deepEqual(decodeInvite(` ${encodeInvite(value)}\n`), value)))
})

test("one changed letter is always noticed", () => {
  fc.assert(
    fc.property(invite, fc.nat(), fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567"), (value, at, letter) => {
      const text = encodeInvite(value)
      const index = 10 + (at % (text.length - 10))
      const changed = text.slice(0, index) + letter + text.slice(index + 1)
      if (changed !== text) assert.throws(() => decodeInvite(changed), { code: "ERR_INVITE" })
    }),
  )
})

test("anything else is refused with a clear error that does not repeat it", () => {
  const refuses = (text: string) =>
    assert.throws(
      () => decodeInvite(text),
      (error) => error instanceof HoldfastError && error.code === "ERR_INVITE" && !/[a-z2-7]{20}/.test(error.message),
    )
  for (const text of ["", "hf-invite:", "hf-invite:aaaa", "hf:dw:aaaa", `hf-invite:${"a".repeat(5000)}`]) refuses(text)
  fc.assert(fc.property(fc.string(), (text) => refuses(text)))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => refuses(`hf-invite:${encodeBase32(bytes)}`)))
  refuses(`hf-invite:${encodeBase32(encodeCbor([1, "a:1"]))}`)
})
