/**
 * The part of the contract about limits: removals need a little beyond them, and nobody gets more. Section Quotas of
 * docs/protocols/marks.md.
 */
import assert from "node:assert/strict"
import { it, type TestContext } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend, ProposeOutcome } from "../backend.ts"
import { makeAccount, newBatch } from "./accounts.ts"
import type { ContractPlace } from "./contract-place.ts"
import { makeRegisterValue, randomChunk } from "./shares.ts"
import { longMs, unmarkAll } from "./two-accounts.ts"

const quotaBytes = 400_000
/** Of so small a quota: see docs/protocols/marks.md. */
const reserveBytes = 2 ** 20
const shareBytes = 30_000

/** Declares the tests, for places that know quotas. */
export function removalContract(open: (quotaBytes: number) => Promise<ContractPlace>): void {
  const full = async (t: TestContext) => {
    const place = await open(quotaBytes)
    t.after(() => place.close())
    const account = await makeAccount(crypto)
    const backend = await place.backendOf(account)
    await fill(backend, false)
    return { place, account, backend }
  }

  it("takes from a removal what it has to store, after the quota has stopped all else", async (t) => {
    const { backend } = await full(t)
    const { usedBytes } = await backend.usage()
    assert.ok(usedBytes <= quotaBytes && usedBytes > quotaBytes - 2 * shareBytes, `${usedBytes} bytes are used`)
    const [large, small] = [await share(), await share()]
    const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(40_000))
    const [refused] = await backend.putShares([large.bytes], newBatch(crypto))
    assert.equal(!refused!.ok && refused!.code, "quota")
    assert.equal(codeOf((await backend.proposeRegisters([value]))[0]!), "quota")
    const removal = { ...newBatch(crypto), forRemoval: true }
    assert.deepEqual(
      await backend.putShares([large.bytes, small.bytes], removal),
      Array(2).fill({ ok: true, existed: false }),
    )
    assert.deepEqual(await backend.markShares([large.id], { ...removal, ...newBatch(crypto) }), [
      { ok: true, held: [0] },
    ])
    assert.deepEqual(await backend.confirmMarks([], removal), "held")
    assert.deepEqual(await backend.proposeRegisters([value], removal), [{ accepted: true, vouches: true }])
  })

  it("takes no more beyond a quota than a bounded reserve, whatever requests say they serve", async (t) => {
    const { backend } = await full(t)
    await fill(backend, true)
    const { usedBytes } = await backend.usage()
    assert.ok(usedBytes > quotaBytes + reserveBytes - 2 * shareBytes, `only ${usedBytes} bytes were taken`)
    assert.ok(usedBytes <= quotaBytes + reserveBytes, `${usedBytes} bytes are over the quota and its reserve`)
    const removal = { ...newBatch(crypto), forRemoval: true }
    const [refused] = await backend.putShares([(await share()).bytes], removal)
    assert.match(refused!.ok ? "" : refused!.message, /quota of 400000 bytes .*for removals/)
    for (let i = 0; i < 4; i++) {
      const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(60_000))
      await backend.proposeRegisters([value], removal)
    }
    assert.ok((await backend.usage()).usedBytes <= quotaBytes + reserveBytes)
  })

  it("takes a value in place of another with the reserve full, so that what there is can be collected", async (t) => {
    const place = await open(quotaBytes)
    t.after(() => place.close())
    const backend = await place.backendOf(await makeAccount(crypto))
    const seed = crypto.random(32)
    const value = (sequence: number, length: number) => makeRegisterValue(crypto, seed, sequence, "x".repeat(length))
    assert.equal((await backend.proposeRegisters([await value(1, 1_000)]))[0]!.accepted, true)
    await fill(backend, true)
    const removal = { ...newBatch(crypto), forRemoval: true }
    assert.equal(codeOf((await backend.proposeRegisters([await value(2, 60_000)]))[0]!), "quota")
    assert.equal((await backend.proposeRegisters([await value(2, 60_000)], removal))[0]!.accepted, true)
  })

  it("takes all else again once what was removed is collected, with reserve and quota full", async (t) => {
    const { place, account, backend } = await full(t)
    if (!place.advance) return t.skip("nobody moves this place's clock")
    await fill(backend, true)
    place.advance(longMs)
    const stored = (await backend.listMarks({ limit: 1000 })).map(({ id }) => id)
    const { shares } = await unmarkAll(backend, account, stored.slice(1))
    assert.equal(shares, stored.length - 1)
    const [outcome] = await backend.putShares([(await share()).bytes], newBatch(crypto))
    assert.equal(outcome!.ok, true)
  })
}

function codeOf(outcome: ProposeOutcome) {
  return outcome.accepted ? "accepted" : outcome.code
}

async function share() {
  const { id, shares } = await randomChunk(crypto, shareBytes, 1)
  return { id, bytes: shares[0]! }
}

/** Puts shares until one is refused for the quota. */
async function fill(backend: Backend, forRemoval: boolean): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const [outcome] = await backend.putShares([(await share()).bytes], { ...newBatch(crypto), forRemoval })
    if (!outcome!.ok) return assert.equal(outcome!.code, "quota")
  }
  assert.fail("there seems to be no quota")
}
