/** What else may write to a bucket puts objects where ours belong: none passes for what its key says unless it is that. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { HoldfastError, limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { keptPerAnswer } from "@holdfast/protocol"
import { makeAccount, makeOrder, newBatch, randomChunk } from "@holdfast/protocol/testing"
import type { Bucket } from "../src/s3/bucket.ts"
import { registerKey, shareKey } from "../src/s3/keys.ts"
import { newBucket, newRegister } from "./bucket-fixture.ts"

async function opened(conditionalWrites = true) {
  const { open, ...rest } = newBucket()
  return { backend: await open({ conditionalWrites }), open, ...rest }
}

const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && Buffer.compare(a, b) === 0

for (const conditional of [true, false]) {
  const where = conditional ? "with conditional writes" : "without conditional writes"

  it(`${where}, a share is put over whatever other bytes lie under its key, and the same bytes stay`, async () => {
    const { bucket, backend, lay } = await opened(conditional)
    const { id, shares } = await randomChunk(crypto, 300)
    const [share, other] = shares as [Uint8Array, Uint8Array]
    const key = shareKey(id, 0)
    const cut = share.subarray(0, share.length - 1)
    for (const bytes of [cut, other, new Uint8Array(), new Uint8Array(6 * 1024 * 1024)]) {
      lay(key, bytes)
      assert.equal((await backend.putShares([share], newBatch(crypto)))[0]?.ok, true)
      assert.ok(same(bucket.objects.get(key)?.bytes, share))
    }
    bucket.requests.length = 0
    await backend.putShares([share], newBatch(crypto))
    const puts = bucket.requests.filter(({ kind, key: asked }) => kind === "put" && asked === key)
    assert.equal(puts.length, conditional ? 1 : 0)
  })

  it(`${where}, a value under another number, of another register or none is passed over, and written over`, async () => {
    const { backend, lay } = await opened(conditional)
    const [mine, other] = [await newRegister(), await newRegister()]
    const first = await mine.value(1)
    assert.equal((await backend.proposeRegisters([first]))[0]?.accepted, true)
    lay(registerKey(mine.id, 9), first)
    lay(registerKey(mine.id, 8), await other.value(8))
    lay(registerKey(mine.id, 7), new Uint8Array(10))
    lay(registerKey(mine.id, 6), new Uint8Array(limits.registerValueBytes + 1))
    assert.ok(same((await backend.readRegisters([mine.id]))[0], first))
    assert.deepEqual(
      (await backend.keptValues(mine.id)).map(({ sequence }) => sequence),
      [1],
    )
    for (const sequence of [6, 7, 8, 9]) {
      const next = await mine.value(sequence)
      assert.equal((await backend.proposeRegisters([next]))[0]?.accepted, true)
      assert.ok(same((await backend.readRegisters([mine.id]))[0], next))
    }
  })

  it(`${where}, a value that is refused answers with the newest one, and leaves all as it was`, async () => {
    const { bucket, backend } = await opened(conditional)
    const { id, value } = await newRegister()
    const [two, three] = [await value(2), await value(3)]
    await backend.proposeRegisters([two])
    await backend.proposeRegisters([three])
    for (const late of [await value(1), await value(2, "another"), await value(3, "another")]) {
      const [outcome] = await backend.proposeRegisters([late])
      assert.ok(outcome && !outcome.accepted && same(outcome.current, three))
    }
    assert.deepEqual(bucket.keys("registers/"), [registerKey(id, 3), registerKey(id, 2)])
    assert.ok(same(bucket.objects.get(registerKey(id, 2))!.bytes, two))
  })
}

it("kept values come newest first, a full answer at a time, and no number of objects that are none hides them", async () => {
  const { backend, lay } = await opened()
  const { id, value } = await newRegister()
  const kept = async (below?: number) =>
    (await backend.keptValues(id, below === undefined ? {} : { below })).map(({ sequence }) => sequence)
  assert.deepEqual(await kept(), [])
  const count = keptPerAnswer + 2
  for (let sequence = 1; sequence <= count; sequence++) lay(registerKey(id, sequence), await value(sequence))
  for (let sequence = 201; sequence <= 200 + keptPerAnswer; sequence++)
    lay(registerKey(id, sequence), new Uint8Array(9))
  const newest = Array.from({ length: keptPerAnswer }, (_, i) => count - i)
  assert.deepEqual(await kept(), newest)
  assert.deepEqual(await kept(3), [2, 1])
  assert.deepEqual(await kept(1), [])
})

/** A bucket that fails for these requests. */
const failing =
  (code: "ERR_REMOTE" | "ERR_SERVER_FULL", kind: "get" | "put", prefix: string) =>
  (bucket: Bucket): Bucket => ({
    ...bucket,
    [kind]: async (key: string, ...rest: [never, never]) => {
      if (key.startsWith(prefix)) throw new HoldfastError(code, "It does not want to.")
      return bucket[kind](key, ...rest)
    },
  })

it("a value or a share that cannot be read just now passes for no other, and is not written over", async () => {
  const { bucket, backend, open } = await opened()
  const { id, value } = await newRegister()
  const { shares } = await randomChunk(crypto, 300)
  await backend.proposeRegisters([await value(1)])
  await backend.putShares([shares[0]!], newBatch(crypto))
  const held = bucket.objects.get(registerKey(id, 1))!.bytes
  for (const conditionalWrites of [true, false]) {
    const cut = await open({ conditionalWrites, through: failing("ERR_REMOTE", "get", "registers/") })
    await assert.rejects(cut.readRegisters([id]), { code: "ERR_REMOTE" })
    await assert.rejects(cut.keptValues(id), { code: "ERR_REMOTE" })
    await assert.rejects(cut.proposeRegisters([await value(1, "another")]), { code: "ERR_REMOTE" })
    assert.equal(bucket.objects.get(registerKey(id, 1))!.bytes, held)
    const blind = await open({ conditionalWrites, through: failing("ERR_REMOTE", "get", "shares/") })
    await assert.rejects(blind.putShares([shares[0]!], newBatch(crypto)), { code: "ERR_REMOTE" })
  }
})

it("a bucket that is full says so of each share, and any other failure is one of the call", async () => {
  const { open } = await opened()
  const [one, two] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
  const full = await open({ through: failing("ERR_SERVER_FULL", "put", "shares/") })
  const outcomes = await full.putShares([one.shares[0]!, two.shares[0]!], newBatch(crypto))
  assert.deepEqual(
    outcomes.map((outcome) => !outcome.ok && outcome.code),
    ["full", "full"],
  )
  const cut = await open({ through: failing("ERR_REMOTE", "put", "shares/") })
  await assert.rejects(cut.putShares([one.shares[0]!], newBatch(crypto)), { code: "ERR_REMOTE" })
})

it("without conditional writes a value that another writer's came in place of is refused", async () => {
  const { id, value } = await newRegister()
  const [mine, theirs] = [await value(1), await value(1, "theirs")]
  const { open, lay } = newBucket()
  let isWritten = false
  const backend = await open({
    conditionalWrites: false,
    through: (bucket) => ({
      ...bucket,
      put: async (key, ...rest) => {
        const answer = await bucket.put(key, ...rest)
        if (key === registerKey(id, 1) && !isWritten) lay(key, theirs)
        isWritten ||= key === registerKey(id, 1)
        return answer
      },
    }),
  })
  const [outcome] = await backend.proposeRegisters([mine])
  assert.ok(outcome && !outcome.accepted && same(outcome.current, theirs))
  assert.ok(same((await backend.readRegisters([id]))[0], theirs))
})

it("what is trimmed of a register that the bucket no longer has is nothing", async () => {
  const { bucket, open } = newBucket()
  const access = await makeAccount(crypto)
  const backend = await open({ access })
  const { id, value } = await newRegister()
  await backend.proposeRegisters([await value(1)])
  bucket.objects.delete(registerKey(id, 1))
  const order = await makeOrder(crypto, backend, { seed: access.seed, trims: [{ register: id, below: 9 }] })
  assert.equal((await backend.unmark(order)).marks, 0)
})
