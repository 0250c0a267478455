import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { concat, encodeCbor, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import fc from "fast-check"
import {
  checkUnmark,
  decodeFailure,
  decodeFrames,
  decodeHashes,
  decodeHeld,
  decodeIds,
  decodeKept,
  decodeKeptRequest,
  decodeListRequest,
  decodeMarked,
  decodeMarkInfos,
  decodeMarkOutcomes,
  decodeMarkRequest,
  decodeProposeOutcomes,
  decodePutOutcomes,
  decodeQueries,
  decodeRegistersRequest,
  decodeRegisterValue,
  decodeShare,
  decodeUnmark,
  decodeUnmarkOutcome,
  decodeUsage,
  decodeWaitRequest,
  encodeFailure,
  encodeFrames,
  encodeHashes,
  encodeHeld,
  encodeIds,
  encodeKept,
  encodeKeptRequest,
  encodeListRequest,
  encodeMarked,
  encodeMarkInfos,
  encodeMarkOutcomes,
  encodeMarkRequest,
  encodeProposeOutcomes,
  encodePutOutcomes,
  encodeQueries,
  encodeRegistersRequest,
  encodeUnmark,
  encodeUnmarkOutcome,
  encodeUsage,
  encodeWaitRequest,
  signUnmark,
  verifyShare,
} from "../src/index.ts"
import { makeAccount, makeRegisterValue, randomChunk } from "../src/testing/index.ts"

const bounds = { maxItems: 100, maxItemBytes: 1000 }
const id = fc.uint8Array({ minLength: 32, maxLength: 32 })
const index = fc.nat(254)

describe("wire messages", () => {
  it("frames come back as they were sent, absent items too", () => {
    const item = fc.option(fc.uint8Array({ maxLength: 50 }), { nil: undefined })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (items) => {
        assert.deepEqual(decodeFrames(concat(...encodeFrames(items)), bounds), items)
      }),
    )
  })

  it("frames over the bounds are refused before their items are looked at", () => {
    assert.throws(() => decodeFrames(new Uint8Array([255, 255, 255, 255]), bounds), { code: "ERR_LIMIT" })
    const long = concat(...encodeFrames([new Uint8Array(1001)]))
    assert.throws(() => decodeFrames(long, bounds), { code: "ERR_LIMIT" })
    const cut = concat(...encodeFrames([new Uint8Array(10)])).subarray(0, 15)
    assert.throws(() => decodeFrames(cut, bounds), { code: "ERR_BAD_FORMAT" })
  })

  it("queries, ids and list requests come back as they were sent", () => {
    const query = fc.oneof(fc.record({ id }), fc.record({ id, index }))
    fc.assert(
      fc.property(fc.array(query, { maxLength: 9 }), fc.array(id, { maxLength: 9 }), (queries, ids) => {
        assert.deepEqual(
          decodeQueries(encodeQueries(queries)),
          queries.map((one) => ({ ...one })),
        )
        assert.deepEqual(decodeIds(encodeIds(ids), 9), ids)
        const after = ids[0] && { id: ids[0], index: 7 }
        const list = { limit: 5, ...(after && { after }) }
        assert.deepEqual(decodeListRequest(encodeListRequest(list)), list)
      }),
    )
  })

  it("answers come back as they were sent", () => {
    const puts = [
      { ok: true, existed: false },
      { ok: false, code: "full", message: "no space" },
    ] as const
    assert.deepEqual(decodePutOutcomes(encodePutOutcomes(puts), 2), puts)
    const proposals = [
      { accepted: true, vouches: true },
      { accepted: true, vouches: false },
      { accepted: false, message: "gone", marksGone: true },
      { accepted: false, message: "older", current: new Uint8Array([1]) },
      { accepted: false, message: "bad" },
    ] as const
    assert.deepEqual(decodeProposeOutcomes(encodeProposeOutcomes(proposals, { isCoded: false }), 5), proposals)
    const refused = (["quota", "full", "refused", "moved"] as const).map(
      (code) => ({ accepted: false, message: "no", code }) as const,
    )
    const all = [...proposals, ...refused]
    assert.deepEqual(decodeProposeOutcomes(encodeProposeOutcomes(all, { isCoded: true }), 9), all)
    const uncoded = refused.map(({ accepted, message }) => ({ accepted, message }))
    const plain = [...proposals, ...uncoded]
    assert.deepEqual(decodeProposeOutcomes(encodeProposeOutcomes(all, { isCoded: false }), 9), plain)
    const unknown = encodeCbor([["no", null, false, "on strike"]])
    assert.deepEqual(decodeProposeOutcomes(unknown, 1), [{ accepted: false, message: "no" }])
    for (const code of [7, false, "x".repeat(33), ["quota"]])
      assert.throws(() => decodeProposeOutcomes(encodeCbor([["no", null, false, code]]), 1), { code: "ERR_BAD_FORMAT" })
    assert.deepEqual(decodeHeld(encodeHeld([[], [0, 254]]), 2), [[], [0, 254]])
    const infos = [{ id: new Uint8Array(32), index: 3, sizeBytes: 9 }]
    assert.deepEqual(decodeMarkInfos(encodeMarkInfos(infos), 1), infos)
    const usage = { usedBytes: 7, shareCount: 1, availableBytes: 2 ** 45 }
    assert.deepEqual(decodeUsage(encodeUsage(usage)), usage)
    const marks = [
      { ok: true, held: [0, 254] },
      { ok: false, code: "quota", message: "used up" },
    ] as const
    assert.deepEqual(decodeMarkOutcomes(encodeMarkOutcomes(marks), 2), marks)
    const done = { marks: 3, shares: 2, bytes: 2 ** 41, young: 1 }
    assert.deepEqual(decodeUnmarkOutcome(encodeUnmarkOutcome(done)), done)
    const kept = [{ sequence: 7, receivedMs: 1_790_000_000_000, bytes: new Uint8Array([1, 2]) }]
    assert.deepEqual(decodeKept(concat(...encodeKept(kept))), kept)
    assert.deepEqual(decodeFailure(encodeFailure("ERR_LIMIT", "too much")), { code: "ERR_LIMIT", message: "too much" })
  })

  it("marks and orders come back as they were sent", async () => {
    const { seed, account } = await makeAccount(crypto)
    const random = (length: number) => Uint8Array.from(crypto.random(length))
    const [batch, ids] = [random(16), [random(32), random(32)]]
    const options = { batch, accounts: [account] }
    assert.deepEqual(decodeMarkRequest(encodeMarkRequest(ids, options)), { header: options, ids })
    const items = [new Uint8Array([1]), new Uint8Array(9)]
    assert.deepEqual(decodeMarked(concat(...encodeMarked(options, items)), bounds), { header: options, items })
    assert.deepEqual(decodeMarked(concat(...encodeMarked({}, [])), bounds), { header: { accounts: [] }, items: [] })
    const list = { limit: 7, after: ids[0]! }
    assert.deepEqual(decodeRegistersRequest(encodeRegistersRequest(list)), list)
    assert.deepEqual(decodeKeptRequest(encodeKeptRequest(ids[1]!, 5)), { id: ids[1]!, below: 5 })
    const trims = [{ register: ids[0]!, below: 3 }]
    const lists = { chunks: ids, registers: ids, trims }
    const order = await signUnmark(crypto, seed, { place: "n1", token: batch, graceMs: 9, ...lists })
    const decoded = decodeUnmark(encodeUnmark(order))
    await checkUnmark(crypto, decoded, { account, place: "n1" })
    assert.deepEqual(
      decoded.trims.map(({ below }) => below),
      [3],
    )
  })

  it("requests to wait come back as they were sent, and are what the specification shows", () => {
    const hash = fc.option(id, { nil: undefined })
    const one = fc.record({ id, hash }).map(({ id, hash }) => (hash?.some((byte) => byte > 0) ? { id, hash } : { id }))
    const wait = fc.record({ waitMs: fc.nat(25_000), watched: fc.array(one, { minLength: 1, maxLength: 64 }) })
    fc.assert(
      fc.property(wait, (request) => {
        assert.deepEqual(decodeWaitRequest(encodeWaitRequest(request)), { ...request })
        const hashes = request.watched.map(({ hash }) => hash)
        assert.deepEqual(decodeHashes(encodeHashes(hashes), hashes.length), hashes)
      }),
    )
    const [elevens, zeros] = ["11".repeat(32), "00".repeat(32)]
    const shown = encodeWaitRequest({ waitMs: 10, watched: [{ id: fromHex(elevens) }] })
    assert.equal(toHex(shown), `830a5820${elevens}5820${zeros}`)
    assert.equal(toHex(encodeHashes([undefined])), `5820${zeros}`)
  })

  it("what was decoded of a request to wait is no part of the memory that the request came in", () => {
    const bytes = Buffer.from(
      encodeWaitRequest({ waitMs: 1, watched: [{ id: new Uint8Array(32).fill(7), hash: new Uint8Array(32).fill(8) }] }),
    )
    const [watched] = decodeWaitRequest(bytes).watched
    bytes.fill(0)
    assert.deepEqual([watched!.id[0], watched!.hash![0]], [7, 8])
  })

  it("an answer with the wrong number of items is refused", () => {
    assert.throws(() => decodePutOutcomes(encodePutOutcomes([]), 1), { code: "ERR_BAD_FORMAT" })
    assert.throws(() => decodeHeld(encodeHeld([[1], [2]]), 1), { code: "ERR_LIMIT" })
    for (const count of [1, 3])
      assert.throws(() => decodeHashes(encodeHashes([undefined, undefined]), count), { code: "ERR_BAD_FORMAT" })
  })
})

describe("bytes from outside", () => {
  const decoders: Record<string, (bytes: Uint8Array) => unknown> = {
    share: decodeShare,
    frames: (bytes) => decodeFrames(bytes, bounds),
    queries: decodeQueries,
    ids: (bytes) => decodeIds(bytes, 10),
    list: decodeListRequest,
    puts: (bytes) => decodePutOutcomes(bytes, 2),
    proposals: (bytes) => decodeProposeOutcomes(bytes, 2),
    held: (bytes) => decodeHeld(bytes, 2),
    infos: (bytes) => decodeMarkInfos(bytes, 10),
    usage: decodeUsage,
    failure: decodeFailure,
    marked: (bytes) => decodeMarked(bytes, bounds),
    "mark request": decodeMarkRequest,
    "mark outcomes": (bytes) => decodeMarkOutcomes(bytes, 2),
    "registers request": decodeRegistersRequest,
    "kept request": decodeKeptRequest,
    kept: decodeKept,
    unmark: decodeUnmark,
    "unmark outcome": decodeUnmarkOutcome,
    "request to wait": decodeWaitRequest,
    hashes: (bytes) => decodeHashes(bytes, 2),
  }

  for (const [name, decode] of Object.entries(decoders))
    it(`${name}: anything at all decodes or throws a typed error`, () => {
      fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => typedErrorsOnly(() => decode(bytes))))
      typedErrorsOnly(() => decode(new Uint8Array(1_000_000).fill(0x81))) // a million nested lists
      typedErrorsOnly(() => decode(Uint8Array.from([0x9b, 0, 0, 0, 255, 255, 255, 255, 255]))) // a list of 2^40
    })

  it("a share with any one byte changed is refused or is another share, never a crash", async () => {
    const { shares } = await randomChunk(crypto, 64)
    const good = shares[1]!
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice()
      bad[at]! ^= 1 << (at % 8)
      const decoded = await verifyShare(crypto, bad).catch((error: unknown) => error)
      if (decoded instanceof Error) assert.ok(decoded instanceof HoldfastError, String(decoded))
      else assert.ok(at < good.length - 64, "a changed payload must not verify")
    }
    for (let length = 0; length < good.length; length++)
      await assert.rejects(verifyShare(crypto, good.subarray(0, length)), HoldfastError)
  })

  it("a register value with any one byte changed is refused with a typed error", async () => {
    const good = await makeRegisterValue(crypto, crypto.random(32), 3, "some content")
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice()
      bad[at]! ^= 1 << (at % 8)
      await assert.rejects(decodeRegisterValue(crypto, bad), HoldfastError)
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await assert.rejects(decodeRegisterValue(crypto, bytes), HoldfastError)
      }),
    )
  })
})

function typedErrorsOnly(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error))
  }
}
