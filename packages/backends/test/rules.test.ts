/** What every place decides alike, each rule at its edge: who may do what, what is taken, and what may be taken away. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountAccess, type AccountRole, legacyAccount } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import {
  accountsToMark,
  checkBatch,
  checkListLimit,
  checkRole,
  checkToken,
  encodeCollectToken,
  judgeProposal,
  leastGraceMs,
  takeable,
} from "../src/rules.ts"

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value)
const access = (...roles: AccountRole[]): AccountAccess => ({ account: bytes(1), roles })
const invalid = { code: "ERR_INVALID_ARGUMENT" }
const refused = { code: "ERR_REFUSED" }

it("takes away what was marked up to the token's moment and is as old as the longest of the graces, and nothing else", () => {
  const instance = bytes(9, 16)
  const now = 100 * leastGraceMs
  const moment = 90 * leastGraceMs
  const rule = (graceMs: number, placeGraceMs: number) => {
    const order = { token: encodeCollectToken(instance, moment), graceMs } as Parameters<typeof takeable>[0]
    return takeable(order, { instance, stamp: now, graceMs: placeGraceMs })
  }
  const early = rule(0, 0)
  assert.deepEqual([early(0), early(moment), early(moment + 1)], [true, true, false], "the moment counts, however old")
  for (const [graceMs, placeGraceMs] of [
    [20 * leastGraceMs, 0],
    [0, 20 * leastGraceMs],
    [20 * leastGraceMs, 15 * leastGraceMs],
  ] as const) {
    const late = rule(graceMs, placeGraceMs)
    const edge = now - 20 * leastGraceMs
    assert.deepEqual([late(edge), late(edge + 1)], [true, false])
  }
  const order = { token: encodeCollectToken(instance, now), graceMs: 0 } as Parameters<typeof takeable>[0]
  const least = takeable(order, { instance, stamp: now, graceMs: 0 })
  assert.deepEqual([least(now - leastGraceMs), least(now - leastGraceMs + 1)], [true, false], "nobody can go under it")
})

it("honours a token of its own instance, of the past, and in one piece alone", () => {
  const place = { instance: bytes(9, 16), stamp: 1000 }
  assert.equal(checkToken(encodeCollectToken(place.instance, 1000), place), 1000)
  assert.equal(checkToken(encodeCollectToken(place.instance, 0), place), 0)
  const whole = encodeCollectToken(place.instance, 5)
  const bad = [
    encodeCollectToken(place.instance, 1001),
    encodeCollectToken(bytes(8, 16), 5),
    whole.subarray(0, 23),
    whole.subarray(0, 16),
    new Uint8Array([...whole, 0]),
    new Uint8Array(),
  ]
  for (const token of bad) assert.throws(() => checkToken(token, place), refused)
})

it("lets each role do its own, and says what is missing and what to do", () => {
  checkRole(access("read"), "read")
  checkRole(access("repair"), "append", "repair")
  assert.throws(() => checkRole(access("read", "append"), "collect"), { ...refused, message: /only add here/ })
  assert.throws(() => checkRole(access("read"), "append", "repair"), { ...refused, message: /only read here/ })
  assert.throws(() => checkRole(access(), "read"), { ...refused, message: /give none.*Ask for an invitation/ })
})

it("marks for who may append and for those it names, each once; who may repair alone has to name some", () => {
  const named = [bytes(2), bytes(3), bytes(2), bytes(1)]
  assert.deepEqual(accountsToMark(access("append"), {}), [bytes(1)])
  assert.deepEqual(accountsToMark(access("append"), { accounts: named }), [bytes(1), bytes(2), bytes(3)])
  assert.deepEqual(accountsToMark(access("repair"), { accounts: named.slice(0, 2) }), [bytes(2), bytes(3)])
  assert.throws(() => accountsToMark(access("repair"), {}), refused)
  assert.throws(() => accountsToMark(access("repair"), { accounts: [] }), refused)
  assert.throws(() => accountsToMark(access("read", "collect"), { accounts: named }), refused)
  const many = Array.from({ length: limits.careAccounts + 1 }, (_, i) => bytes(1 + (i % 255)))
  for (const accounts of [[bytes(2, 31)], [bytes(2, 33)], [legacyAccount], many])
    assert.throws(() => accountsToMark(access("append"), { accounts }), invalid)
  assert.ok(accountsToMark(access("append"), { accounts: many.slice(1) }).length > 1)
})

it("takes listings of 1 to 4096 and batches of their one length", () => {
  for (const limit of [1, limits.requestItems]) checkListLimit(limit)
  for (const limit of [0, -1, 1.5, Number.NaN, limits.requestItems + 1])
    assert.throws(() => checkListLimit(limit), invalid)
  checkBatch(bytes(1, 16))
  for (const length of [0, 15, 17]) assert.throws(() => checkBatch(bytes(1, length)), invalid)
})

it("judges a value by the one held: the same is fine, rot stands in nobody's way, and what is refused hears what is held", async () => {
  const seed = crypto.random(32)
  const value = async (sequence: number, text = "text") => ({
    ...{ sequence, bytes: await makeRegisterValue(crypto, seed, sequence, text) },
  })
  const two = await value(2)
  const accepted = { accepted: true }
  assert.deepEqual(judgeProposal(undefined, two), accepted)
  assert.deepEqual(judgeProposal(two, { ...two, bytes: two.bytes.slice() }), accepted)
  assert.deepEqual(judgeProposal(two, await value(3)), accepted)
  assert.deepEqual(judgeProposal({ sequence: 9, bytes: bytes(1, 40) }, two), accepted)
  for (const late of [await value(1), await value(2, "another"), await value(2 ** 20 + 3)]) {
    const judgement = judgeProposal(two, late)
    assert.ok(!judgement.accepted && judgement.current === two.bytes && judgement.message.length > 0)
  }
})
