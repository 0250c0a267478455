/** The part of the contract that says whose data a place holds: rules O1 to O11 of docs/protocols/marks.md, seen by two accounts. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { concat, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { signUnmark } from "../account.ts"
import type { Backend } from "../backend.ts"
import { makeAccount, makeOrder, newBatch, type TestAccount } from "./accounts.ts"
import { batchContract } from "./batch-contract.ts"
import type { ContractOptions, Opened } from "./contract-place.ts"
import { makeRegisterValue, randomChunk } from "./shares.ts"
import { longMs, newRegister, openedForTwo, unmarkAll } from "./two-accounts.ts"

const hourMs = 3_600_000

/** Declares the tests. */
export function ownershipContract(opened: Opened, { cannot = [] }: ContractOptions): void {
  markContract(opened)
  collectContract(opened, cannot.includes("charges"))
  if (!cannot.includes("charges")) chargeContract(opened)
  refusalContract(opened)
  if (!cannot.includes("batches")) batchContract(opened)
  registerOwnerContract(opened)
  if (!cannot.includes("kept")) keptContract(opened)
  if (!cannot.includes("roles")) roleContract(opened)
}

function markContract(opened: Opened): void {
  it("lists to each account its own marks only, and says of them only that they existed", async (t) => {
    const { place, backend } = await opened(t)
    const other = await place.backendOf(await makeAccount(crypto))
    const [mine, theirs] = [await randomChunk(crypto, 300), await randomChunk(crypto, 70_000)]
    await backend.putShares([mine.shares[0]!], newBatch(crypto))
    await other.putShares([theirs.shares[0]!], newBatch(crypto))
    const ids = async (from: Backend) => (await from.listMarks({ limit: 10 })).map(({ id }) => toHex(id))
    assert.deepEqual(await ids(backend), [toHex(mine.id)])
    assert.deepEqual(await ids(other), [toHex(theirs.id)])
    assert.deepEqual(await other.putShares([mine.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
    assert.equal((await ids(other)).length, 2)
    assert.deepEqual(await ids(backend), [toHex(mine.id)])
    assert.equal((await backend.usage()).shareCount, 1)
  })

  it("marks every share that it holds of a chunk, and answers which", async (t) => {
    const { place, backend } = await opened(t)
    const other = await place.backendOf(await makeAccount(crypto))
    const [held, absent] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
    await backend.putShares([held.shares[0]!, held.shares[2]!], newBatch(crypto))
    assert.deepEqual(await other.markShares([absent.id, held.id], newBatch(crypto)), [
      { ok: true, held: [] },
      { ok: true, held: [0, 2] },
    ])
    const listed = await other.listMarks({ limit: 10 })
    assert.deepEqual(
      listed.map(({ id, index }) => [toHex(id), index]),
      [0, 2].map((index) => [toHex(held.id), index]),
    )
  })
}

function collectContract(opened: Opened, countsChunks: boolean): void {
  it("removes a share with its last mark and not before, by each account's own order", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, theirs, other, advance } = two
    for (const size of [300, 100_000]) {
      const shared = await randomChunk(crypto, size)
      await backend.putShares([shared.shares[0]!], newBatch(crypto))
      await theirs.markShares([shared.id], newBatch(crypto))
      advance(longMs)
      assert.deepEqual(await unmarkAll(backend, account, [shared.id]), { marks: 1, shares: 0, bytes: 0, young: 0 })
      assert.deepEqual(await theirs.hasShares([shared.id]), [[0]])
      assert.deepEqual(await backend.listMarks({ limit: 1 }), [])
      const bytes = shared.shares[0]!.length
      assert.deepEqual(await unmarkAll(theirs, other, [shared.id]), { marks: 1, shares: 1, bytes, young: 0 })
      assert.deepEqual(await theirs.hasShares([shared.id]), [[]])
      assert.deepEqual(await theirs.getShares([{ id: shared.id }]), [undefined])
      assert.deepEqual(await theirs.putShares([shared.shares[0]!], newBatch(crypto)), [{ ok: true, existed: false }])
      await theirs.usage()
    }
    assert.equal((await backend.usage()).usedBytes, 0)
  })

  it("takes nothing for which somebody asks no grace, or less than its own", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const chunk = await randomChunk(crypto, 300)
    await backend.putShares(chunk.shares, newBatch(crypto))
    for (const [waitMs, graceMs] of [
      [0, 0],
      [23 * hourMs, 0],
      [2 * hourMs, 48 * hourMs],
    ] as const) {
      advance(waitMs)
      const order = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id], graceMs })
      assert.deepEqual(await backend.unmark(order), { marks: 0, shares: 0, bytes: 0, young: countsChunks ? 1 : 3 })
    }
    assert.equal((await unmarkAll(backend, account, [chunk.id])).shares, 3)
  })

  it("takes nothing that was marked after the token, however the clock jumps", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const [old, fresh, again] = await Promise.all([300, 300, 300].map((size) => randomChunk(crypto, size)))
    await backend.putShares([old!.shares[0]!, again!.shares[0]!], newBatch(crypto))
    const token = await backend.collectToken()
    await backend.putShares([fresh!.shares[0]!, again!.shares[0]!], newBatch(crypto))
    advance(30 * 24 * hourMs)
    const done = await unmarkAll(backend, account, [old!.id, fresh!.id, again!.id], token)
    assert.deepEqual({ shares: done.shares, young: done.young }, { shares: 1, young: 2 })
    advance(-60 * 24 * hourMs)
    assert.equal((await unmarkAll(backend, account, [fresh!.id], token)).shares, 0)
    assert.deepEqual(await backend.hasShares([old!.id, fresh!.id, again!.id]), [[], [0], [0]])
  })
}

function chargeContract(opened: Opened): void {
  it("holds what is stored on behalf of another account until that account's own order", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, theirs, other, advance } = two
    const chunk = await randomChunk(crypto, 3000)
    await backend.putShares([chunk.shares[0]!], newBatch(crypto, [other.account]))
    assert.equal((await theirs.listMarks({ limit: 1 })).length, 1)
    assert.equal((await theirs.usage()).shareCount, 0, "charged to who stored it")
    assert.equal((await backend.usage()).shareCount, 1)
    advance(longMs)
    assert.equal((await unmarkAll(backend, account, [chunk.id])).shares, 0)
    assert.equal((await backend.usage()).shareCount, 1, "still charged to who stored it")
    await theirs.markShares([chunk.id], newBatch(crypto))
    assert.equal((await theirs.usage()).shareCount, 1)
    assert.equal((await backend.usage()).shareCount, 0)
    advance(longMs)
    assert.equal((await unmarkAll(theirs, other, [chunk.id])).shares, 1)
  })
}

function refusalContract(opened: Opened): void {
  it("refuses an order that is forged, for another place, of another account or of an earlier instance", async (t) => {
    const { place, backend, account } = await opened(t)
    place.advance?.(0)
    const chunk = await randomChunk(crypto, 300)
    await backend.putShares([chunk.shares[0]!], newBatch(crypto))
    place.advance?.(longMs)
    const good = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] })
    const signature = Uint8Array.from(good.signature)
    signature[0]! ^= 1
    const stranger = await makeAccount(crypto)
    const earlier = concat(new Uint8Array(16), good.token.subarray(16))
    const future = concat(good.token.subarray(0, 16), new Uint8Array(8).fill(0x7f))
    const orders = {
      "wrong signature": { ...good, signature },
      "longer list": { ...good, chunks: [...good.chunks, new Uint8Array(32).fill(255)] },
      "less grace": { ...good, graceMs: -1 },
      "other place": await signUnmark(crypto, account.seed, { ...good, place: `${backend.id}2` }),
      "other account": await makeOrder(crypto, backend, { seed: stranger.seed, chunks: [chunk.id] }),
      "earlier instance": await signUnmark(crypto, account.seed, { ...good, token: earlier }),
      "token of the future": await signUnmark(crypto, account.seed, { ...good, token: future }),
      "no token": await signUnmark(crypto, account.seed, { ...good, token: new Uint8Array() }),
    }
    for (const [name, order] of Object.entries(orders))
      await assert.rejects(backend.unmark(order), { name: "HoldfastError" }, name)
    assert.deepEqual(await backend.hasShares([chunk.id]), [[0]])
    if (place.advance) assert.equal((await backend.unmark(good)).shares, 1, "the good one")
  })

  it("takes nothing newer when an order is carried out again", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, advance } = two
    const chunk = await randomChunk(crypto, 300)
    await backend.putShares([chunk.shares[0]!], newBatch(crypto))
    advance(longMs)
    const order = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] })
    assert.equal((await backend.unmark(order)).shares, 1)
    await backend.putShares([chunk.shares[0]!], newBatch(crypto))
    advance(longMs)
    assert.equal((await backend.unmark(order)).young, 1)
    assert.deepEqual(await backend.hasShares([chunk.id]), [[0]])
  })
}

function registerOwnerContract(opened: Opened): void {
  it("holds a register for the accounts that proposed it and those they named, and drops it with the last", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, account, theirs, other, advance } = two
    const { seed, id } = await newRegister()
    const value = await makeRegisterValue(crypto, seed, 1, "held by two")
    await backend.proposeRegisters([value], { accounts: [other.account] })
    assert.deepEqual((await theirs.listRegisters({ limit: 9 })).map(toHex), [toHex(id)])
    const young = await backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, registers: [id] }))
    assert.deepEqual(young, { marks: 0, shares: 0, bytes: 0, young: 1 })
    advance(longMs)
    await backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, registers: [id] }))
    assert.deepEqual(await backend.listRegisters({ limit: 9 }), [])
    assert.ok((await backend.readRegisters([id]))[0])
    await theirs.unmark(await makeOrder(crypto, theirs, { seed: other.seed, registers: [id] }))
    assert.deepEqual(await theirs.readRegisters([id]), [undefined])
    assert.equal((await backend.usage()).usedBytes, 0)
    assert.equal((await theirs.usage()).usedBytes, 0)
  })
}

function keptContract(opened: Opened): void {
  it("keeps what a writer who may not collect supersedes, until the account trims it", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { place, backend, account, advance } = two
    const append = await place.backendOf({ ...account, roles: ["read", "append"] })
    const { seed, id } = await newRegister()
    const sequences = async (from: Backend) => (await from.keptValues(id)).map(({ sequence }) => sequence)
    for (const sequence of [1, 2, 3])
      await append.proposeRegisters([await makeRegisterValue(crypto, seed, sequence, `value ${sequence}`)])
    assert.deepEqual(await sequences(backend), [3, 2, 1])
    assert.deepEqual(
      (await backend.keptValues(id, { below: 2 })).map(({ sequence }) => sequence),
      [1],
    )
    await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 4, "by who may collect")])
    assert.deepEqual(await sequences(backend), [4, 2, 1], "3 was replaced by who may")
    const trims = [{ register: id, below: 2 }]
    await backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, trims }))
    assert.deepEqual(await sequences(backend), [4, 2, 1], "too young to be trimmed")
    advance(longMs)
    await backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, trims }))
    assert.deepEqual(await sequences(backend), [4, 2])
  })

  it("keeps for an account what the writer of another one supersedes", async (t) => {
    const two = await openedForTwo(opened, t)
    if (!two) return
    const { backend, theirs, other, advance } = two
    const { seed, id } = await newRegister()
    await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "mine")])
    await theirs.proposeRegisters([await makeRegisterValue(crypto, seed, 2, "junk")])
    advance(longMs)
    await theirs.unmark(await makeOrder(crypto, theirs, { seed: other.seed, trims: [{ register: id, below: 9 }] }))
    const kept = await backend.keptValues(id)
    assert.deepEqual(
      kept.map(({ sequence }) => sequence),
      [2, 1],
    )
    assert.ok(kept.every(({ receivedMs }) => receivedMs > 0))
    assert.deepEqual((await theirs.keptValues(id)).length, 1)
  })
}

function roleContract(opened: Opened): void {
  it("lets nobody do what its roles do not say", async (t) => {
    const { place, account } = await opened(t)
    const as = (...roles: TestAccount["roles"]) => place.backendOf({ ...account, roles })
    const [reader, appender, repairer] = [await as("read"), await as("read", "append"), await as("read", "repair")]
    const chunk = await randomChunk(crypto, 300)
    const { seed, id } = await newRegister()
    const value = await makeRegisterValue(crypto, seed, 1, "one")
    const refused = (work: Promise<unknown>) => assert.rejects(work, { code: "ERR_REFUSED" })
    await refused(reader.putShares([chunk.shares[0]!], newBatch(crypto)))
    await refused(reader.markShares([chunk.id], newBatch(crypto)))
    await refused(reader.proposeRegisters([value]))
    await appender.putShares([chunk.shares[0]!], newBatch(crypto))
    await appender.proposeRegisters([value])
    assert.deepEqual(await reader.hasShares([chunk.id]), [[0]])
    assert.ok((await reader.readRegisters([id]))[0])
    const blocks = [{ id: chunk.id, index: 0, first: 0, count: 1, haveDescriptor: false, leavesOf: [] }]
    assert.ok((await reader.getBlocks(blocks))[0])
    await refused((await as("append")).getBlocks(blocks))
    for (const backend of [reader, appender, repairer]) {
      await refused(backend.listMarks({ limit: 1 }))
      await refused(backend.listRegisters({ limit: 1 }))
      await refused(backend.collectToken())
    }
    const order = await makeOrder(crypto, await as("collect"), { seed: account.seed, chunks: [chunk.id] })
    await refused(appender.unmark(order))
    await refused(repairer.putShares([chunk.shares[0]!], newBatch(crypto)))
    const other = await makeAccount(crypto)
    await repairer.putShares([chunk.shares[1]!], newBatch(crypto, [other.account]))
    assert.equal((await (await place.backendOf(other)).listMarks({ limit: 9 })).length, 1)
  })
}
