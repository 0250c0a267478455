/** Chunks of version 2 among those of version 1: all of them are read, checked and repaired, and shares keep their leaves. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeShare, decodeShareHead, verifyShare, versionOf } from "@holdfast/protocol"
import { makeTwoFaced } from "@holdfast/store/testing"
import { someBatch, testGrid } from "./fixture.ts"

const deps = { crypto: nodeCrypto, erasure: await createErasure() }
const sample = (length: number) => new Uint8Array(length).map((_, i) => (i * 31 + (i >> 8)) & 255)

test("new chunks are of version 2, and no share of them verifies with any of its leaves changed", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(600_000))
  for (const { backend } of grid.servers) {
    const [bytes] = await backend.getShares([{ id: ref.id }])
    const share = decodeShare(bytes!)
    assert.equal(versionOf(share.descriptor), 2)
    await verifyShare(nodeCrypto, bytes!)
    const { leavesStart, payloadStart } = decodeShareHead(bytes!)
    const lists = share.index < 3 ? 3 : 4
    assert.equal(payloadStart - leavesStart, lists * Math.ceil(share.payload.length / 65_536) * 32)
    for (let at = leavesStart; at < payloadStart; at += 32) {
      const changed = bytes!.map((byte, i) => (i === at ? byte ^ 1 : byte))
      await assert.rejects(verifyShare(nodeCrypto, changed), { code: "ERR_CORRUPT" })
    }
  }
})

for (const version of [1, 2] as const)
  for (const length of [1000, 600_000])
    test(`a chunk of version ${version} with ${length} bytes is read, repaired without its key, and read from what was repaired`, async () => {
      const grid = testGrid()
      const plaintext = sample(length)
      const chunk = await makeTwoFaced(deps, { k: 3, n: 5 }, [plaintext], [0, 0, 0, 0, 0], version)
      for (const [i, share] of chunk.shares.entries()) await grid.servers[i]!.backend.putShares([share], someBatch)
      for (const lost of [0, 3]) grid.servers[lost]!.empty()
      const store = await grid.client()
      const repaired = await store.checkChunk(chunk.id, { repair: true })
      assert.deepEqual([repaired.placed, repaired.goodShares, repaired.inconsistent], [2, 5, false])
      const shares = await Promise.all(grid.servers.map(({ backend }) => backend.getShares([{ id: chunk.id }])))
      const sorted = shares.flat().toSorted((a, b) => a![4]! - b![4]!)
      for (const [index, share] of sorted.entries()) assert.ok(Buffer.from(share!).equals(chunk.shares[index]!))
      for (const gone of [1, 2]) grid.servers[gone]!.down = true
      const read = await (await grid.client()).chunks.getChunk({ id: chunk.id, key: chunk.key })
      assert.ok(Buffer.from(read).equals(plaintext))
    })

test("a check finds a share whose leaves rotted, though its data is good and read", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(600_000))
  grid.servers[2]!.tamper = (share) =>
    share.map((byte, i) => (i === decodeShareHead(share).leavesStart + 5 ? byte ^ 1 : byte))
  const store = await grid.client()
  assert.equal((await store.checkChunk(ref.id, { verify: true })).corrupt.length, 1)
  const read = await store.chunks.getChunk(ref)
  assert.ok(Buffer.from(read.subarray(0, 600_000)).equals(sample(600_000)))
})

test("a chunk of version 2 opens with no other key", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(5000))
  const key = ref.key.map((byte, i) => (i === 0 ? byte ^ 1 : byte))
  const { chunks } = await grid.client()
  await assert.rejects(chunks.getChunk({ id: ref.id, key }), { code: "ERR_CORRUPT" })
})
