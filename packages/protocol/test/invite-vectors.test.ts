import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { decodeInvite, encodeInvite } from "@holdfast/protocol"

const vectors = JSON.parse(readFileSync(new URL("../../../interop/vectors/invite.json", import.meta.url), "utf8"))

test("frozen invitations decode to what they said, and encode to the same letters", () => {
  for (const { text, ...expected } of vectors.good) {
    const invite = decodeInvite(text)
    assert.deepEqual({ ...invite, caFingerprint: toHex(invite.caFingerprint), token: toHex(invite.token) }, expected)
    assert.equal(encodeInvite(invite), text)
  }
})

test("frozen damaged invitations are refused", () => {
  for (const { text, why } of vectors.bad) assert.throws(() => decodeInvite(text), { code: "ERR_INVITE" }, why)
})
