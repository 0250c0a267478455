/**
 * The suite that every backend passes. `open` makes a new, empty backend; closing it gives back all it used.
 * Each claim holds for one client; what several clients may expect is tested by the store.
 */
import assert from "node:assert/strict"
import { describe, it, type TestContext } from "node:test"
import { compare, concat, HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend, ShareInfo } from "../backend.ts"
import { blockBytes, blockCount } from "../block-tree.ts"
import { chunkIdOf, decodeShare, decodeShareHead, shareName } from "../chunk.ts"
import { registerIdOf } from "../register.ts"
import { leavesIn } from "../share-check.ts"
import { makeChunk, makeRegisterValue, randomChunk } from "./shares.ts"

type Open = () => Promise<Backend>

/** Sizes on both sides of where backends change how they store a share. */
const sizes = [16, 4096, 65_000, 70_000, 1_500_000]

/** What differs between kinds of backends. */
export interface ContractOptions {
  /** Times of shares are told apart when they differ by so much. */
  readonly timeStepMs?: number
}

/** Declares the suite for one kind of backend. */
export function backendContract(name: string, open: Open, { timeStepMs = 1 }: ContractOptions = {}): void {
  const opened = async (t: TestContext) => {
    const backend = await open()
    t.after(() => backend.close())
    return backend
  }
  describe(`${name} keeps the backend contract`, () => {
    sharesContract(opened)
    blocksContract(opened)
    existingContract(opened, timeStepMs)
    listContract(opened)
    removeContract(opened)
    registerContract(opened)
  })
}

type Opened = (t: TestContext) => Promise<Backend>

function blocksContract(opened: Opened): void {
  it("gives blocks of shares with the leaves asked for, and with the descriptor unless the asker has it", async (t) => {
    const backend = await opened(t)
    for (const size of [100, 120_000, 400_000, 8_300_000 / 2]) {
      const plan = { k: 2, n: 3, keyCheck: new Uint8Array(32).fill(size) }
      const chunk = await makeChunk(crypto, crypto.random(Math.floor(size)), plan)
      await backend.putShares(chunk.shares.slice(1))
      for (const index of [1, 2]) {
        const bytes = chunk.shares[index]!
        const share = decodeShare(bytes)
        const { payloadStart, encodedDescriptor } = decodeShareHead(bytes)
        const blocks = blockCount(share.payload.length)
        const [first, count] = [blocks >> 1, Math.ceil(blocks / 4)]
        const wanted = share.payload.subarray(first * blockBytes, (first + count) * blockBytes)
        for (const likelyStart of [undefined, payloadStart, payloadStart + 32, 5]) {
          const query = { id: chunk.id, index, first, count, ...(likelyStart !== undefined && { likelyStart }) }
          const leavesOf = [index, 0]
          const [all] = await backend.getBlocks([{ ...query, haveDescriptor: false, leavesOf }])
          assert.deepEqual(copy(all?.blocks), copy(wanted), `${size} ${index} ${likelyStart}`)
          assert.deepEqual(copy(all?.descriptor), copy(encodedDescriptor))
          const lists = leavesOf.map((slice) => leavesIn(share, slice)!)
          assert.deepEqual(copy(all?.leaves), copy(concat(...lists)))
        }
        const bare = {
          id: chunk.id,
          index,
          first,
          count,
          haveDescriptor: true,
          leavesOf: [],
          likelyStart: payloadStart,
        }
        const [one] = await backend.getBlocks([bare])
        assert.deepEqual(copy(one?.blocks), copy(wanted))
        assert.deepEqual([one?.descriptor, one?.leaves.length], [undefined, 0])
      }
    }
  })

  it("has no blocks of what it does not hold, of version 1 or beyond the end, and answers in the order asked", async (t) => {
    const backend = await opened(t)
    const held = await makeChunk(crypto, crypto.random(200_000), { k: 1, n: 2, keyCheck: new Uint8Array(32) })
    const old = await randomChunk(crypto, 200_000)
    await backend.putShares([held.shares[0]!, old.shares[0]!])
    const rest = { first: 0, count: 1, haveDescriptor: false, leavesOf: [0] }
    const answers = await backend.getBlocks([
      { id: held.id, index: 1, ...rest },
      { id: old.id, index: 0, ...rest },
      { id: held.id, index: 0, ...rest, first: 60 },
      { id: held.id, index: 0, ...rest, leavesOf: [9] },
    ])
    assert.deepEqual(
      answers.map((answer) => answer && [answer.blocks.length, answer.leaves.length]),
      [undefined, [0, 0], [0, 4 * 32], [blockBytes, 0]],
    )
    assert.deepEqual(chunkIdOf(answers[1]!.descriptor!), old.id)
  })
}

function sharesContract(opened: Opened): void {
  it("gives back every share that it took, in the order asked, of any size", async (t) => {
    const backend = await opened(t)
    const chunks = await Promise.all(sizes.map((size) => randomChunk(crypto, size)))
    const outcomes = await backend.putShares(chunks.map((chunk) => chunk.shares[1]!))
    assert.deepEqual(
      outcomes,
      chunks.map(() => ({ ok: true, existed: false })),
    )
    const asked = chunks.toReversed()
    const got = await backend.getShares(asked.map(({ id }) => ({ id, index: 1 })))
    assert.deepEqual(
      got.map(copy),
      asked.map((chunk) => copy(chunk.shares[1])),
    )
  })

  it("has undefined for a share that it does not hold, and any share when no index is asked", async (t) => {
    const backend = await opened(t)
    const [held, absent] = [await randomChunk(crypto, 100), await randomChunk(crypto, 100)]
    await backend.putShares([held.shares[2]!])
    const got = await backend.getShares([{ id: absent.id }, { id: held.id, index: 0 }, { id: held.id }])
    assert.deepEqual(got.map(copy), [undefined, undefined, copy(held.shares[2])])
    assert.deepEqual(await backend.hasShares([absent.id, held.id]), [[], [2]])
  })

  it("refuses a share that does not match its descriptor and takes the good ones beside it", async (t) => {
    const backend = await opened(t)
    const [good, bad] = [await randomChunk(crypto, 5000), await randomChunk(crypto, 5000)]
    const altered = bad.shares[0]!.slice()
    altered[altered.length - 1]! ^= 1
    const cut = bad.shares[1]!.subarray(0, 100)
    const outcomes = await backend.putShares([altered, good.shares[0]!, cut, new Uint8Array()])
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.ok ? "ok" : outcome.code)),
      ["bad-share", "ok", "bad-share", "bad-share"],
    )
    assert.deepEqual(await backend.hasShares([bad.id, good.id]), [[], [0]])
  })

  it("answers empty batches with empty answers", async (t) => {
    const backend = await opened(t)
    assert.deepEqual(await backend.putShares([]), [])
    assert.deepEqual(await backend.getShares([]), [])
    assert.deepEqual(await backend.hasShares([]), [])
    assert.deepEqual(await backend.readRegisters([]), [])
    assert.deepEqual(await backend.proposeRegisters([]), [])
    await backend.removeShares([])
  })

  it("takes and gives batches of hundreds of small shares and of tens of megabytes", async (t) => {
    const backend = await opened(t)
    const small = await Promise.all(Array.from({ length: 300 }, () => randomChunk(crypto, 300)))
    const large = await Promise.all(Array.from({ length: 12 }, () => randomChunk(crypto, 1_700_000)))
    const all = [...small, ...large]
    const outcomes = await backend.putShares(all.map((chunk) => chunk.shares[0]!))
    assert.equal(outcomes.filter((outcome) => outcome.ok).length, all.length)
    const got = await backend.getShares(all.map(({ id }) => ({ id })))
    for (const [i, bytes] of got.entries()) assert.equal(compare(bytes!, all[i]!.shares[0]!), 0)
  })
}

function existingContract(opened: Opened, timeStepMs: number): void {
  it("says that a share existed when it is put again, also within one batch and in parallel", async (t) => {
    const backend = await opened(t)
    for (const size of [100, 100_000]) {
      const { id, shares } = await randomChunk(crypto, size)
      const once = await backend.putShares([shares[0]!, shares[0]!])
      assert.deepEqual(once.map((outcome) => outcome.ok && outcome.existed).sort(), [false, true])
      assert.deepEqual(await backend.putShares([shares[0]!]), [{ ok: true, existed: true }])
      await Promise.all(Array.from({ length: 4 }, () => backend.putShares([shares[1]!])))
      assert.deepEqual(await backend.hasShares([id]), [[0, 1]])
    }
    assert.equal((await backend.usage()).shareCount, 4)
  })

  it("keeps its own copy of a share", async (t) => {
    const backend = await opened(t)
    const { id, shares } = await randomChunk(crypto, 200)
    const given = shares[0]!.slice()
    await backend.putShares([given])
    given.fill(0)
    assert.deepEqual(copy((await backend.getShares([{ id }]))[0]), copy(shares[0]))
  })

  it("marks a share as confirmed when it is put again or asked for with touch, and not otherwise", async (t) => {
    const backend = await opened(t)
    const { id, shares } = await randomChunk(crypto, 200)
    await backend.putShares([shares[0]!])
    const touched = async () => (await backend.listShares({ limit: 1 }))[0]!.touchedMs
    const first = await touched()
    await nextTimeStep(timeStepMs)
    await backend.hasShares([id])
    await backend.getShares([{ id }])
    assert.equal(await touched(), first)
    await backend.hasShares([id], { touch: true })
    const second = await touched()
    assert.ok(second > first)
    await nextTimeStep(timeStepMs)
    await backend.putShares([shares[0]!])
    assert.ok((await touched()) > second)
  })
}

function listContract(opened: Opened): void {
  it("lists every share once, in order of id and index, page after page", async (t) => {
    const backend = await opened(t)
    const chunks = await Promise.all(Array.from({ length: 7 }, (_, i) => randomChunk(crypto, 50 + i, 12)))
    const shares = chunks.flatMap((chunk) => [chunk.shares[0]!, chunk.shares[2]!, chunk.shares[11]!])
    await backend.putShares(shares)
    const listed: ShareInfo[] = []
    for (;;) {
      const last = listed.at(-1)
      const page = await backend.listShares({ limit: 4, ...(last && { after: { id: last.id, index: last.index } }) })
      assert.ok(page.length <= 4)
      if (page.length === 0) break
      listed.push(...page)
    }
    const expected = chunks
      .toSorted((a, b) => compare(a.id, b.id))
      .flatMap((chunk) => [0, 2, 11].map((index) => `${shareName(chunk.id, index)} ${chunk.shares[index]!.length}`))
    assert.deepEqual(
      listed.map((info) => `${shareName(info.id, info.index)} ${info.sizeBytes}`),
      expected,
    )
  })

  it("refuses a listing limit outside 1 to 4096", async (t) => {
    const backend = await opened(t)
    for (const limit of [0, 4097, 1.5])
      await assert.rejects(backend.listShares({ limit }), (error) => error instanceof HoldfastError)
  })

  it("counts what it holds in its usage", async (t) => {
    const backend = await opened(t)
    const before = await backend.usage()
    const chunk = await randomChunk(crypto, 70_000)
    await backend.putShares([chunk.shares[0]!, chunk.shares[1]!])
    const after = await backend.usage()
    assert.equal(after.shareCount - before.shareCount, 2)
    assert.equal(after.usedBytes - before.usedBytes, chunk.shares[0]!.length + chunk.shares[1]!.length)
    await backend.removeShares([{ id: chunk.id }])
    const { shareCount, usedBytes } = await backend.usage()
    assert.deepEqual({ shareCount, usedBytes }, { shareCount: before.shareCount, usedBytes: before.usedBytes })
  })
}

function removeContract(opened: Opened): void {
  it("leaves what was confirmed since it is wanted gone", async (t) => {
    const backend = await opened(t)
    const [a, b] = [await randomChunk(crypto, 100), await randomChunk(crypto, 100_000)]
    await backend.putShares([...a.shares, ...b.shares])
    const listed = await backend.listShares({ limit: 4096 })
    const touchedMs = Math.min(...listed.map((share) => share.touchedMs))
    await backend.removeShares(
      [...a.shares, ...b.shares].map((_, i) => ({ id: (i < 3 ? a : b).id, index: i % 3, touchedBeforeMs: touchedMs })),
    )
    await backend.removeShares([{ id: a.id, touchedBeforeMs: touchedMs }])
    assert.deepEqual(await backend.hasShares([a.id, b.id]), [
      [0, 1, 2],
      [0, 1, 2],
    ])
    await backend.removeShares([{ id: a.id, index: 1, touchedBeforeMs: touchedMs + 3_600_000 }])
    await backend.removeShares([{ id: b.id, touchedBeforeMs: touchedMs + 3_600_000 }])
    assert.deepEqual(await backend.hasShares([a.id, b.id]), [[0, 2], []])
  })

  it("removes one share or every share of a chunk, and what is not there is no error", async (t) => {
    const backend = await opened(t)
    const [a, b] = [await randomChunk(crypto, 100), await randomChunk(crypto, 100_000)]
    await backend.putShares([...a.shares, ...b.shares])
    await backend.removeShares([{ id: a.id, index: 1 }, { id: b.id }, { id: new Uint8Array(32) }])
    await backend.removeShares([{ id: b.id }])
    assert.deepEqual(await backend.hasShares([a.id, b.id]), [[0, 2], []])
    assert.deepEqual(await backend.getShares([{ id: a.id, index: 1 }, { id: b.id }]), [undefined, undefined])
    assert.deepEqual(await backend.putShares([b.shares[0]!]), [{ ok: true, existed: false }])
  })
}

function registerContract(opened: Opened): void {
  it("takes register values of growing sequence and gives back the newest", async (t) => {
    const backend = await opened(t)
    const { seed, id } = await newRegister()
    const other = await newRegister()
    const values = await Promise.all([1, 2, 7].map((n) => makeRegisterValue(crypto, seed, n, `value ${n}`)))
    for (const value of values) {
      assert.deepEqual(await backend.proposeRegisters([value]), [{ accepted: true }])
      assert.deepEqual((await backend.readRegisters([other.id, id])).map(copy), [undefined, copy(value)])
    }
    assert.deepEqual(await backend.proposeRegisters([values[2]!]), [{ accepted: true }], "the same value again")
  })

  it("refuses an older value and another one of the same sequence, answering with its own", async (t) => {
    const backend = await opened(t)
    const { seed, id } = await newRegister()
    const held = await makeRegisterValue(crypto, seed, 5, "held")
    await backend.proposeRegisters([held])
    const rivals = [await makeRegisterValue(crypto, seed, 4, "older"), await makeRegisterValue(crypto, seed, 5, "fork")]
    for (const outcome of await backend.proposeRegisters(rivals)) {
      assert.equal(outcome.accepted, false)
      assert.deepEqual(!outcome.accepted && copy(outcome.current), copy(held))
    }
    assert.deepEqual((await backend.readRegisters([id])).map(copy), [copy(held)])
  })

  it("refuses a register value with a wrong signature or form and keeps its own", async (t) => {
    const backend = await opened(t)
    const { seed, id } = await newRegister()
    const held = await makeRegisterValue(crypto, seed, 1, "held")
    const forged = (await makeRegisterValue(crypto, seed, 2, "forged")).slice()
    forged[forged.length - 1]! ^= 1
    const outcomes = await backend.proposeRegisters([forged, held, new Uint8Array([1, 2, 3])])
    assert.deepEqual(
      outcomes.map((outcome) => outcome.accepted || outcome.current),
      [undefined, true, undefined],
    )
    assert.deepEqual((await backend.readRegisters([id])).map(copy), [copy(held)])
  })
}

async function newRegister() {
  const seed = crypto.random(32)
  return { seed, id: registerIdOf(await crypto.publicKeyOf(seed)) }
}

/** One comparable form for any kind of byte array. */
function copy(bytes: Uint8Array | undefined): string | undefined {
  return bytes && toHex(bytes)
}

async function nextTimeStep(stepMs: number): Promise<void> {
  const step = () => Math.floor(Date.now() / stepMs)
  const start = step()
  while (step() <= start) await new Promise((resolve) => setTimeout(resolve, stepMs > 1 ? 10 : 0))
}
