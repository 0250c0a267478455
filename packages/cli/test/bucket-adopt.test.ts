/** What a collection adopts in a bucket is certain before anything is taken away: its marks are looked at with a value. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { registerIdOf, toReadCap } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, randomChunk } from "@holdfast/protocol/testing"
import { createMemorySeen, createStore, IdSet } from "@holdfast/store"
import { MemoryBucket } from "../../backends/test/memory-bucket.ts"

const hourMs = 3_600_000
const coding = { k: 1, happy: 1, n: 1 } as const

test("a chunk that a sweep deletes while a collection adopts it does not count as kept", async () => {
  const owner = await makeAccount(crypto)
  const seed = crypto.random(32)
  const { publicKey } = await toReadCap(crypto, { kind: "fw", seed })
  const list = registerIdOf(publicKey)
  let meanwhile: (() => Promise<void>) | undefined
  const bucket = new MemoryBucket({
    async before(client, { kind, key }) {
      if (client !== "collector" || kind !== "put" || !key.startsWith(`marks/${toHex(owner.account)}/0`)) return
      const work = meanwhile
      meanwhile = undefined
      await work?.()
    },
  })
  const open = (client: string) =>
    createObjectBackend(bucket.connect(client), { id: "bucket", crypto, access: owner, conditionalWrites: true })
  // Nobody marks it: an old client's copy by reference, or what the one who put it collects now.
  const { id, shares } = await randomChunk(crypto, 300)
  bucket.objects.set(`shares/${toHex(id)}.000`, { bytes: shares[0]!, modifiedMs: bucket.nowMs })
  await open("writer").proposeRegisters([await makeRegisterValue(crypto, seed, 1, "list")])
  bucket.nowMs += 48 * hourMs
  const adopting = async () => {
    const store = await createStore({
      ...{ env: nodeEnv, coding, registerMode: "crash", account: owner.account },
      ...{ servers: [{ backend: open("collector"), weight: 1 }], seen: createMemorySeen() },
    })
    const [live, registers] = [new IdSet(crypto), new IdSet(crypto)]
    live.add(id)
    registers.add(list)
    const collection = await store.beginCollection({ takes: false })
    const adopted = await collection.adopt({ live, registers, list })
    return { adopted: adopted.get("bucket"), leftOut: [...collection.leftOut.values()] }
  }
  const sweeper = open("sweeper")
  meanwhile = async () => {
    await sweeper.sweep()
    bucket.nowMs += 25 * hourMs
    await sweeper.sweep()
  }
  assert.deepEqual(await adopting(), { adopted: 0, leftOut: [] })
  assert.deepEqual(bucket.keys("shares/"), [], "the sweep was in time")

  // Put again, it stays: the marks of the try before name the chunk.
  bucket.objects.set(`shares/${toHex(id)}.000.000001`, { bytes: shares[0]!, modifiedMs: bucket.nowMs })
  assert.deepEqual((await adopting()).leftOut, [])
  for (let run = 0; run < 4; run++) {
    bucket.nowMs += 25 * hourMs
    await sweeper.sweep()
  }
  assert.equal(bucket.keys("shares/").length, 1)
})
