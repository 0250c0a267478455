/** What else may write to a bucket puts objects where ours belong: none passes for what its key says unless it is that. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { registerKey, shareKey } from "../src/s3/keys.ts"
import { createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket } from "./memory-bucket.ts"

async function opened(conditionalWrites = true) {
  const bucket = new MemoryBucket()
  const access = await makeAccount(crypto)
  const backend = createObjectBackend(bucket.connect(), { id: "bucket", crypto, access, conditionalWrites })
  const lay = (key: string, bytes: Uint8Array) => bucket.objects.set(key, { bytes, modifiedMs: bucket.nowMs })
  return { bucket, backend, lay }
}

async function register() {
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  return { id, value: (sequence: number, text = "root") => makeRegisterValue(crypto, seed, sequence, text) }
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
    const [mine, other] = [await register(), await register()]
    const first = await mine.value(1)
    assert.equal((await backend.proposeRegisters([first]))[0]?.accepted, true)
    lay(registerKey(mine.id, 9), first)
    lay(registerKey(mine.id, 8), await other.value(8))
    lay(registerKey(mine.id, 7), new Uint8Array(10))
    assert.ok(same((await backend.readRegisters([mine.id]))[0], first))
    assert.deepEqual(
      (await backend.keptValues(mine.id)).map(({ sequence }) => sequence),
      [1],
    )
    for (const sequence of [7, 8, 9]) {
      const next = await mine.value(sequence)
      assert.equal((await backend.proposeRegisters([next]))[0]?.accepted, true)
      assert.ok(same((await backend.readRegisters([mine.id]))[0], next))
    }
  })
}

it("a value that is refused answers with the newest one, and leaves nothing behind", async () => {
  const { bucket, backend } = await opened()
  const { id, value } = await register()
  const [two, three] = [await value(2), await value(3)]
  await backend.proposeRegisters([two])
  await backend.proposeRegisters([three])
  for (const late of [await value(1), await value(2, "another"), await value(3, "another")]) {
    const [outcome] = await backend.proposeRegisters([late])
    assert.ok(outcome && !outcome.accepted && same(outcome.current, three))
  }
  assert.deepEqual(bucket.keys("registers/"), [registerKey(id, 3), registerKey(id, 2)])
})
