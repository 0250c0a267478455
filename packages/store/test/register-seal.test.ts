/** What a register value carries opens as what it was sealed as, and as nothing else: no other register, number, epoch, part or key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { limits, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type RegisterValue, readCheckOf, verifyKeyOf } from "@holdfast/protocol"
import { noLevels } from "../src/register-levels.ts"
import { openCare, openParts, openSealed, sealParts } from "../src/register-seal.ts"
import { emptyParts, newKeys, testGrid } from "./fixture.ts"

const corrupt = { code: "ERR_CORRUPT" }

/** The first value of a register; what signs it is not looked at here. */
async function sealedValue() {
  const keys = await newKeys()
  const bound = {
    ...{ follows: [], base: 1, peaks: [], owner: new Uint8Array(), statement: new Uint8Array() },
    readCheck: readCheckOf(verifyKeyOf(keys.readKey)),
  }
  const planned = { publicKey: keys.publicKey, epoch: 0, sequence: 1, ...bound }
  const parts = { content: utf8("content"), care: utf8("care"), levels: noLevels, past: [] }
  const { sealed, care } = await sealParts(nodeEnv, keys, planned, parts)
  const { publicKey, epoch, sequence } = planned
  const value: RegisterValue = {
    ...{ version: 4, publicKey, epoch, sequence, lineage: [], bound, sealed, care, signature: new Uint8Array(64) },
  }
  return { keys, value, verifyKey: verifyKeyOf(keys.readKey) }
}

test("content and care are bound to their register, sequence and epoch", async () => {
  const { keys, value, verifyKey } = await sealedValue()
  const opened = await openParts(nodeEnv, keys, value)
  assert.deepEqual([opened.content, opened.care], [utf8("content"), utf8("care")])
  const { publicKey } = await newKeys()
  for (const elsewhere of [{ sequence: 2 }, { epoch: 1 }, { publicKey }]) {
    const moved = { ...value, ...elsewhere }
    await assert.rejects(openParts(nodeEnv, keys, moved), corrupt)
    await assert.rejects(openCare(nodeEnv, { verifyKey }, moved), corrupt)
    await assert.rejects(openSealed(nodeEnv, keys.readKey, "content", moved), corrupt)
  }
})

test("neither part opens as the other, with the other's key or with that of another register", async () => {
  const { keys, value, verifyKey } = await sealedValue()
  const { readKey } = keys
  const other = await newKeys()
  await openSealed(nodeEnv, readKey, "content", value)
  await openSealed(nodeEnv, verifyKey, "care", value)
  await assert.rejects(openSealed(nodeEnv, verifyKey, "content", value), corrupt)
  await assert.rejects(openSealed(nodeEnv, readKey, "care", value), corrupt)
  await assert.rejects(openSealed(nodeEnv, readKey, "care", { ...value, care: value.sealed }), corrupt)
  await assert.rejects(openSealed(nodeEnv, verifyKey, "content", { ...value, sealed: value.care }), corrupt)
  await assert.rejects(openParts(nodeEnv, { ...keys, readKey: other.readKey }, value), corrupt)
})

test("two values with the same parts have no key in common", async () => {
  const [{ value }, again] = [await sealedValue(), await sealedValue()]
  assert.notDeepEqual(value.sealed.subarray(0, 32), again.value.sealed.subarray(0, 32))
  assert.notDeepEqual(value.care.subarray(0, 32), value.sealed.subarray(0, 32))
})

test("a care list of the greatest length is written and read, and one byte more is refused before any place is asked", async () => {
  const store = await testGrid().client()
  const keys = await newKeys()
  const careOf = (length: number) => ({ ...emptyParts, care: nodeCrypto.random(length) })
  const longest = careOf(limits.registerCareBytes)
  await assert.rejects(store.registers.write(keys, 0, careOf(limits.registerCareBytes + 1)), { code: "ERR_LIMIT" })
  assert.equal(await store.registers.read(keys), undefined)
  assert.ok(await store.registers.write(keys, 0, longest))
  assert.ok(Buffer.from((await store.registers.read(keys))!.care).equals(longest.care))
})
