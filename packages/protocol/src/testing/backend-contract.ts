/**
 * The suite that every place passes. `open` makes a new, empty place; closing it gives back all it used. Who may take what away is in
 * ownership-contract.ts; what several places together promise is tested by the store.
 */
import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { compare, concat, HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { MarkInfo } from "../backend.ts"
import { blockBytes, blockCount } from "../block-tree.ts"
import { chunkIdOf, decodeShare, decodeShareHead, shareName } from "../chunk.ts"
import { registerIdOf } from "../register.ts"
import { leavesIn } from "../share-check.ts"
import { makeAccount, makeOrder, newBatch } from "./accounts.ts"
import type { ContractOptions, ContractPlace, Opened } from "./contract-place.ts"
import { ownershipContract } from "./ownership-contract.ts"
import { removalContract } from "./removal-contract.ts"
import { makeChunk, makeRegisterValue, randomChunk } from "./shares.ts"
import { watchContract } from "./watch-contract.ts"

/** Sizes on both sides of where backends change how they store a share. */
const sizes = [16, 4096, 65_000, 70_000, 1_500_000]

/** Declares the suite for one kind of place. */
export function backendContract(name: string, open: () => Promise<ContractPlace>, options: ContractOptions = {}): void {
  const opened: Opened = async (t) => {
    const place = await open()
    t.after(() => place.close())
    const account = await makeAccount(crypto)
    return { place, account, backend: await place.backendOf(account) }
  }
  describe(`${name} keeps the backend contract`, () => {
    sharesContract(opened)
    blocksContract(opened)
    existingContract(opened)
    listContract(opened)
    registerContract(opened)
    watchContract(opened, options)
    ownershipContract(opened, options)
    if (options.limited) removalContract(options.limited)
  })
}

function blocksContract(opened: Opened): void {
  it("gives blocks of shares with the leaves asked for, and with the descriptor unless the asker has it", async (t) => {
    const { backend } = await opened(t)
    for (const size of [100, 120_000, 400_000, 8_300_000 / 2]) {
      const plan = { k: 2, n: 3, keyCheck: new Uint8Array(32).fill(size) }
      const chunk = await makeChunk(crypto, crypto.random(Math.floor(size)), plan)
      await backend.putShares(chunk.shares.slice(1), newBatch(crypto))
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
    const { backend } = await opened(t)
    const held = await makeChunk(crypto, crypto.random(200_000), { k: 1, n: 2, keyCheck: new Uint8Array(32) })
    const old = await randomChunk(crypto, 200_000)
    await backend.putShares([held.shares[0]!, old.shares[0]!], newBatch(crypto))
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
    const { backend } = await opened(t)
    const chunks = await Promise.all(sizes.map((size) => randomChunk(crypto, size)))
    const outcomes = await backend.putShares(
      chunks.map((chunk) => chunk.shares[1]!),
      newBatch(crypto),
    )
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
    const { backend } = await opened(t)
    const [held, absent] = [await randomChunk(crypto, 100), await randomChunk(crypto, 100)]
    await backend.putShares([held.shares[2]!], newBatch(crypto))
    const got = await backend.getShares([{ id: absent.id }, { id: held.id, index: 0 }, { id: held.id }])
    assert.deepEqual(got.map(copy), [undefined, undefined, copy(held.shares[2])])
    assert.deepEqual(await backend.hasShares([absent.id, held.id]), [[], [2]])
  })

  it("refuses a share that does not match its descriptor and takes the good ones beside it", async (t) => {
    const { backend } = await opened(t)
    const [good, bad] = [await randomChunk(crypto, 5000), await randomChunk(crypto, 5000)]
    const altered = bad.shares[0]!.slice()
    altered[altered.length - 1]! ^= 1
    const cut = bad.shares[1]!.subarray(0, 100)
    const outcomes = await backend.putShares([altered, good.shares[0]!, cut, new Uint8Array()], newBatch(crypto))
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.ok ? "ok" : outcome.code)),
      ["bad-share", "ok", "bad-share", "bad-share"],
    )
    assert.deepEqual(await backend.hasShares([bad.id, good.id]), [[], [0]])
  })

  it("answers empty batches with empty answers", async (t) => {
    const { backend, account } = await opened(t)
    assert.deepEqual(await backend.putShares([], newBatch(crypto)), [])
    assert.deepEqual(await backend.markShares([], newBatch(crypto)), [])
    assert.deepEqual(await backend.getShares([]), [])
    assert.deepEqual(await backend.hasShares([]), [])
    assert.deepEqual(await backend.readRegisters([]), [])
    assert.deepEqual(await backend.proposeRegisters([]), [])
    const nothing = { marks: 0, shares: 0, bytes: 0, young: 0 }
    assert.deepEqual(await backend.unmark(await makeOrder(crypto, backend, account)), nothing)
  })

  it("takes and gives batches of hundreds of small shares and of tens of megabytes", async (t) => {
    const { backend } = await opened(t)
    const small = await Promise.all(Array.from({ length: 300 }, () => randomChunk(crypto, 300)))
    const large = await Promise.all(Array.from({ length: 12 }, () => randomChunk(crypto, 1_700_000)))
    const all = [...small, ...large]
    const outcomes = await backend.putShares(
      all.map((chunk) => chunk.shares[0]!),
      newBatch(crypto),
    )
    assert.equal(outcomes.filter((outcome) => outcome.ok).length, all.length)
    const got = await backend.getShares(all.map(({ id }) => ({ id })))
    for (const [i, bytes] of got.entries()) assert.equal(compare(bytes!, all[i]!.shares[0]!), 0)
  })
}

function existingContract(opened: Opened): void {
  it("says that a share existed when it is put again, also within one batch and in parallel", async (t) => {
    const { backend } = await opened(t)
    for (const size of [100, 100_000]) {
      const { id, shares } = await randomChunk(crypto, size)
      const options = newBatch(crypto)
      const once = await backend.putShares([shares[0]!, shares[0]!], options)
      assert.deepEqual(once.map((outcome) => outcome.ok && outcome.existed).sort(), [false, true])
      assert.deepEqual(await backend.putShares([shares[0]!], newBatch(crypto)), [{ ok: true, existed: true }])
      await Promise.all(Array.from({ length: 4 }, () => backend.putShares([shares[1]!], newBatch(crypto))))
      assert.deepEqual(await backend.hasShares([id]), [[0, 1]])
    }
    assert.equal((await backend.usage()).shareCount, 4)
  })

  it("keeps its own copy of a share", async (t) => {
    const { backend } = await opened(t)
    const { id, shares } = await randomChunk(crypto, 200)
    const given = shares[0]!.slice()
    await backend.putShares([given], newBatch(crypto))
    given.fill(0)
    assert.deepEqual(copy((await backend.getShares([{ id }]))[0]), copy(shares[0]))
  })
}

function listContract(opened: Opened): void {
  it("lists every mark once, in order of id and index, page after page", async (t) => {
    const { backend } = await opened(t)
    const chunks = await Promise.all(Array.from({ length: 7 }, (_, i) => randomChunk(crypto, 50 + i, 12)))
    const shares = chunks.flatMap((chunk) => [chunk.shares[0]!, chunk.shares[2]!, chunk.shares[11]!])
    await backend.putShares(shares, newBatch(crypto))
    const listed: MarkInfo[] = []
    for (;;) {
      const last = listed.at(-1)
      const page = await backend.listMarks({ limit: 4, ...(last && { after: { id: last.id, index: last.index } }) })
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

  it("lists the registers that its account proposed, in order, page after page", async (t) => {
    const { backend } = await opened(t)
    const registers = await Promise.all(Array.from({ length: 5 }, newRegister))
    const values = await Promise.all(registers.map(({ seed }) => makeRegisterValue(crypto, seed, 1, "one")))
    await backend.proposeRegisters(values)
    const listed: Uint8Array[] = []
    for (;;) {
      const after = listed.at(-1)
      const page = await backend.listRegisters({ limit: 2, ...(after && { after }) })
      assert.ok(page.length <= 2)
      if (page.length === 0) break
      listed.push(...page)
    }
    assert.deepEqual(listed.map(toHex), registers.map(({ id }) => toHex(id)).sort())
  })

  it("refuses a listing limit outside 1 to 4096", async (t) => {
    const { backend } = await opened(t)
    for (const limit of [0, 4097, 1.5]) {
      await assert.rejects(backend.listMarks({ limit }), (error) => error instanceof HoldfastError)
      await assert.rejects(backend.listRegisters({ limit }), (error) => error instanceof HoldfastError)
    }
  })

  it("counts what it holds in its usage", async (t) => {
    const { backend } = await opened(t)
    const before = await backend.usage()
    const chunk = await randomChunk(crypto, 70_000)
    await backend.putShares([chunk.shares[0]!, chunk.shares[1]!], newBatch(crypto))
    const after = await backend.usage()
    assert.equal(after.shareCount - before.shareCount, 2)
    const moreBytes = after.usedBytes - before.usedBytes
    const bytes = chunk.shares[0]!.length + chunk.shares[1]!.length
    assert.ok(moreBytes >= bytes && moreBytes <= bytes + 1024, `${moreBytes} bytes for ${bytes}`)
  })
}

function registerContract(opened: Opened): void {
  it("takes register values of growing sequence and gives back the newest", async (t) => {
    const { backend } = await opened(t)
    const { seed, id } = await newRegister()
    const other = await newRegister()
    const values = await Promise.all([1, 2, 7].map((n) => makeRegisterValue(crypto, seed, n, `value ${n}`)))
    for (const value of values) {
      assert.deepEqual(await backend.proposeRegisters([value]), [{ accepted: true, vouches: false }])
      assert.deepEqual((await backend.readRegisters([other.id, id])).map(copy), [undefined, copy(value)])
    }
    const again = await backend.proposeRegisters([values[2]!])
    assert.deepEqual(again, [{ accepted: true, vouches: false }], "the same value again")
  })

  it("refuses an older value and another one of the same sequence, answering with its own", async (t) => {
    const { backend } = await opened(t)
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
    const { backend } = await opened(t)
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
