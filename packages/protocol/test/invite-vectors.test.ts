import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { decodeInvite, encodeInvite } from "@holdfast/protocol"

const vectorsOf = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../interop/vectors/${name}.json`, import.meta.url), "utf8"))
const [first, second] = [vectorsOf("invite"), vectorsOf("invite-2")]

test("frozen invitations decode to what they said, and encode to the same letters", () => {
  for (const { text, ...expected } of [...first.good, ...second.good]) {
    const invite = decodeInvite(text)
    assert.deepEqual({ ...invite, caFingerprint: toHex(invite.caFingerprint), token: toHex(invite.token) }, expected)
    assert.equal(encodeInvite(invite), text)
  }
})

test("frozen damaged invitations are refused", () => {
  for (const { text, why, error = "ERR_INVITE" } of [...first.bad, ...second.bad])
    assert.throws(() => decodeInvite(text), { code: error }, why)
})
