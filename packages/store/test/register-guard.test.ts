/** How a value that is offered stands to one that is known: what is a fork, what is not proven, and what an owner's word allows. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  peaksOver,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  signEpochStatement,
  signRegisterValue,
  type UnsignedValue,
} from "@holdfast/protocol"
import { createMemoryChunks } from "@holdfast/store/testing"
import { SeenGuard } from "../src/register-guard.ts"
import { decodeHeld, type HeldValue } from "../src/register-quorum.ts"
import { createMemorySeen } from "../src/register-seen.ts"

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value)
const [seed, ownerSeed, otherSeed] = [bytes(1), bytes(2), bytes(3)]
const publicKey = await crypto.publicKeyOf(seed)
const [owner, other] = [await crypto.publicKeyOf(ownerSeed), await crypto.publicKeyOf(otherSeed)]
const register = toHex(registerIdOf(publicKey))
const [readCheck, otherCheck] = [bytes(4), bytes(5)]

/** A value with a history of one level: what it follows. */
async function valueWith(change: Partial<UnsignedValue> & Pick<UnsignedValue, "sequence" | "follows">) {
  const { sequence, follows } = change
  const bound = { base: sequence - 1, peaks: peaksOver(sequence - 1, [follows]), owner, statement: bytes(0, 0) }
  const unsigned = { publicKey, epoch: 0, readCheck, care: bytes(6, 40), sealed: bytes(7, 40), ...bound, ...change }
  return decodeHeld(crypto, await signBoundValue(crypto, seed, unsigned))
}

const known = await valueWith({ sequence: 5, follows: [bytes(8)] })
const after = (before: HeldValue) => ({
  sequence: before.value.sequence + 1,
  follows: [registerHashOf(before.bytes)],
})

/** The first value of an epoch that goes on with `from`, by the word of whoever has `by`. */
async function begun(from: HeldValue, epoch: number, by = ownerSeed, check = readCheck) {
  const { sequence } = from.value
  const place = { publicKey, epoch, sequence, hash: registerHashOf(from.bytes), writer: publicKey, readCheck: check }
  const statement = await signEpochStatement(crypto, by, place)
  return valueWith({ ...after(from), epoch, statement, readCheck: check, owner: await crypto.publicKeyOf(by) })
}

async function verdict(
  offered: readonly HeldValue[],
  options: { readonly of?: HeldValue; readonly stable?: HeldValue | null } = {},
) {
  const { of = known, stable = offered[0] } = options
  const seen = createMemorySeen()
  const { epoch, sequence } = of.value
  await seen.update(register, async () => ({ ...(epoch > 0 && { epoch }), sequence, stable: of.bytes }))
  const guard = new SeenGuard({ crypto, seen, chunks: createMemoryChunks(crypto) })
  const { rollback: found } = await guard.judge(register, {
    seen: await guard.seen(register),
    values: offered,
    stable: stable ?? undefined,
    openHistory: async () => undefined,
  })
  if (!found) return "follows"
  return found.unproven ? "unproven" : found.evidence ? "fork" : "rollback"
}

test("nothing, an older value and another value in the place of a known one are never taken", async () => {
  assert.equal(await verdict([known]), "follows")
  assert.equal(await verdict([]), "rollback")
  assert.equal(await verdict([await valueWith({ sequence: 4, follows: [bytes(9)] })]), "rollback")
  const sibling = await valueWith({ sequence: 5, follows: [bytes(8)], sealed: bytes(0, 40) })
  assert.equal(await verdict([sibling]), "fork")
  assert.equal(await verdict([known, sibling], { stable: sibling }), "fork")
  assert.equal(await verdict([sibling, known], { stable: null }), "follows")
  assert.equal(await verdict([known, sibling], { stable: known }), "follows")
  assert.equal(await verdict([sibling], { stable: null }), "fork")
})

test("a later value has to name the known one, or it is a fork, or nothing proves it", async () => {
  assert.equal(await verdict([await valueWith(after(known))]), "follows")
  assert.equal(await verdict([await valueWith({ sequence: 6, follows: [bytes(9)] })]), "fork")
  assert.equal(await verdict([await valueWith({ sequence: 7, follows: [bytes(9)] })]), "unproven")
  const both = [await valueWith(after(known)), await valueWith({ sequence: 6, follows: [bytes(9)] })]
  assert.equal(await verdict(both), "fork")
})

test("in one epoch neither owner nor read key changes, and no older version follows", async () => {
  const next = after(known)
  assert.equal(await verdict([await valueWith({ ...next, owner: other })]), "fork")
  assert.equal(await verdict([await valueWith({ ...next, owner: bytes(0, 0) })]), "fork")
  assert.equal(await verdict([await valueWith({ ...next, readCheck: otherCheck })]), "fork")
  const parts = { sealed: utf8("sealed"), care: utf8("care") }
  const old = await signRegisterValue(crypto, seed, { sequence: 6, lineage: [next.follows], ...parts })
  assert.equal(await verdict([await decodeHeld(crypto, old)]), "fork")
  const first = await signRegisterValue(crypto, seed, { sequence: 5, lineage: [[bytes(8)]], ...parts })
  const third = await decodeHeld(crypto, first)
  assert.equal(await verdict([await valueWith(after(third))], { of: third }), "follows")
  const ownerless = await valueWith({ sequence: 5, follows: [bytes(8)], owner: bytes(0, 0) })
  assert.equal(await verdict([await valueWith(after(ownerless))], { of: ownerless }), "follows")
})

test("the owner that the known value names may begin an epoch, with another read key too, and nobody else may", async () => {
  assert.equal(await verdict([await begun(known, 1)]), "follows")
  assert.equal(await verdict([await begun(known, 1, ownerSeed, otherCheck)]), "follows")
  assert.equal(await verdict([await begun(known, 1, otherSeed)]), "unproven")
  const ownerless = await valueWith({ sequence: 5, follows: [bytes(8)], owner: bytes(0, 0) })
  assert.equal(await verdict([await begun(ownerless, 1)], { of: ownerless }), "unproven")
  const parts = { sealed: utf8("sealed"), care: utf8("care") }
  const old = await signRegisterValue(crypto, seed, { sequence: 5, lineage: [[bytes(8)]], ...parts })
  const third = await decodeHeld(crypto, old)
  assert.equal(await verdict([await begun(third, 1)], { of: third }), "unproven")
})

test("what the owner left out is left out by its word; what it named and another replaced is not", async () => {
  const early = await valueWith({ sequence: 3, follows: [bytes(9)] })
  assert.equal(await verdict([await begun(early, 1)]), "follows")
  const late = await valueWith({ sequence: 8, follows: [bytes(9)] })
  assert.equal(await verdict([await begun(late, 1)]), "unproven")
  const beside = await valueWith({ sequence: 5, follows: [bytes(8)], sealed: bytes(0, 40) })
  // Of its own number: the statement goes on with another one.
  assert.equal(await verdict([await begun(beside, 1)]), "follows")
  assert.equal(await verdict([await valueWith(after(known))], { of: await begun(early, 1) }), "rollback")
})
