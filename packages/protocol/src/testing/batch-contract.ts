/** Part of the contract of every place: what commands mark, confirm and vouch for (rules O5 to O7 of docs/protocols/marks.md). */
import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { decodeRegisterValue, registerIdOf } from "../register.ts"
import { newBatch } from "./accounts.ts"
import type { Opened } from "./contract-place.ts"
import { randomChunk } from "./shares.ts"
import { anyValue, longMs, openedForTwo, proposeOne, unmarkAll } from "./two-accounts.ts"

const halfAnHourMs = 1_800_000

/** Declares the tests. */
export function batchContract(opened: Opened): void {
  it("vouches for what a command marked, and says when some of it was collected", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const [a, b] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
    const options = newBatch(crypto)
    const value = await anyValue()
    assert.deepEqual(await proposeOne(backend, await anyValue(), options), { accepted: true, vouches: false })
    await backend.putShares([a.shares[0]!, b.shares[0]!], options)
    assert.deepEqual(await proposeOne(backend, await anyValue(), options), { accepted: true, vouches: true })
    advance(longMs)
    await unmarkAll(backend, account, [a.id])
    assert.equal(await backend.confirmMarks([], options), "gone")
    const late = await proposeOne(backend, value, options)
    assert.equal(!late.accepted && late.marksGone, true)
    await backend.putShares([a.shares[0]!], options)
    const still = await proposeOne(backend, value, options)
    assert.equal(!still.accepted && still.marksGone, true, "b may be gone too: the batch is over")
    const fresh = newBatch(crypto)
    await backend.putShares([a.shares[0]!, b.shares[0]!], fresh)
    assert.deepEqual(await proposeOne(backend, value, fresh), { accepted: true, vouches: true })
  })

  it("confirms what a command marked, and spares it for the grace from then on", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const { id, shares } = await randomChunk(crypto, 300)
    const options = newBatch(crypto)
    assert.equal(await backend.confirmMarks([], options), "unknown")
    await backend.putShares([shares[0]!], options)
    advance(longMs)
    assert.equal(await backend.confirmMarks([], options), "held")
    await unmarkAll(backend, account, [id])
    assert.deepEqual(await backend.hasShares([id]), [[0]])
    advance(longMs)
    await unmarkAll(backend, account, [id])
    assert.equal(await backend.confirmMarks([], options), "gone")
    await assert.rejects(backend.confirmMarks([], { batch: new Uint8Array(15) }))
  })

  it("vouches also for what a command marked on behalf of others", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, theirs, other, advance } = two
    const chunk = await randomChunk(crypto, 300)
    const options = newBatch(crypto, [other.account])
    await backend.putShares([chunk.shares[0]!], options)
    advance(longMs)
    await unmarkAll(theirs, other, [chunk.id])
    assert.equal(await backend.confirmMarks([], options), "gone")
    const outcome = await proposeOne(backend, await anyValue(), options)
    assert.equal(!outcome.accepted && outcome.marksGone, true)
  })

  it("takes no value for a command that it has not heard of for half an hour, until that confirms its marks", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, advance } = two
    const { shares } = await randomChunk(crypto, 300)
    const options = newBatch(crypto)
    await backend.putShares([shares[0]!], options)
    advance(halfAnHourMs - 60_000)
    assert.deepEqual(await proposeOne(backend, await anyValue(), options), { accepted: true, vouches: true })
    advance(halfAnHourMs + 60_000)
    const value = await anyValue()
    const asleep = await proposeOne(backend, value, options)
    assert.equal(!asleep.accepted && asleep.marksGone, true)
    assert.deepEqual(
      await backend.readRegisters([registerIdOf((await decodeRegisterValue(crypto, value)).publicKey)]),
      [undefined],
    )
    assert.equal(await backend.confirmMarks([], options), "held")
    assert.deepEqual(await proposeOne(backend, value, options), { accepted: true, vouches: true })
  })

  it("takes no value for a batch that marks more after it was not heard of for half an hour", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, advance } = two
    const { id, shares } = await randomChunk(crypto, 300)
    const options = newBatch(crypto)
    await backend.putShares([shares[0]!], options)
    for (const isLate of [false, true]) {
      advance(halfAnHourMs + (isLate ? 60_000 : -60_000))
      await backend.markShares([id], options)
      const value = await anyValue()
      const outcome = await proposeOne(backend, value, options)
      assert.equal(outcome.accepted, !isLate)
      assert.equal(!outcome.accepted && outcome.marksGone === true, isLate)
    }
    assert.equal(await backend.confirmMarks([], options), "gone", "what it marked elsewhere may be collected")
    assert.deepEqual(await backend.hasShares([id]), [[0]])
  })

  it("keeps what two commands of one account marked for the one that commits", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const chunk = await randomChunk(crypto, 300)
    const [u, v] = [newBatch(crypto), newBatch(crypto)]
    await backend.putShares([chunk.shares[0]!], u)
    await backend.markShares([chunk.id], v)
    advance(longMs)
    const token = await backend.collectToken()
    assert.equal(await backend.confirmMarks([], u), "held")
    assert.deepEqual(await proposeOne(backend, await anyValue(), u), { accepted: true, vouches: true })
    await unmarkAll(backend, account, [chunk.id], token)
    assert.deepEqual(await backend.hasShares([chunk.id]), [[0]])
    advance(longMs)
    assert.equal((await unmarkAll(backend, account, [chunk.id])).shares, 1)
    for (const batch of [u, v]) {
      assert.equal(await backend.confirmMarks([], batch), "gone")
      const outcome = await proposeOne(backend, await anyValue(), batch)
      assert.equal(!outcome.accepted && outcome.marksGone, true)
    }
  })

  it("never lets a command vouch for a mark that was joined with a younger one", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const chunk = await randomChunk(crypto, 300)
    const [asleep, quick] = [newBatch(crypto), newBatch(crypto)]
    await backend.putShares([chunk.shares[0]!], asleep)
    advance(longMs)
    await backend.markShares([chunk.id], quick)
    advance(longMs)
    await unmarkAll(backend, account, [chunk.id])
    assert.equal(await backend.confirmMarks([], asleep), "gone")
    const outcome = await proposeOne(backend, await anyValue(), asleep)
    assert.ok(!(outcome.accepted && outcome.vouches))
  })
}
