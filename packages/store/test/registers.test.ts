import assert from "node:assert/strict"
import { test } from "node:test"
import { utf8 } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { registerIdOf, toReadCap, verifyKeyOf } from "@holdfast/protocol"
import { createMemorySeen, IdSet, quorumOf, type RegisterKeys } from "@holdfast/store"
import { collectorOf, owner, testGrid } from "./fixture.ts"

async function newKeys(): Promise<Required<RegisterKeys>> {
  const seed = nodeCrypto.random(32)
  const read = await toReadCap(nodeCrypto, { kind: "dw", seed })
  return { seed, publicKey: read.publicKey, readKey: read.readKey }
}

const parts = (text: string) => ({ content: utf8(text), care: utf8(`care of ${text}`) })

test("what was written is read by another client, with two of five servers gone", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const writer = await grid.client()
  assert.equal(await writer.registers.read(keys), undefined)
  assert.ok(await writer.registers.write(keys, 0, parts("one")))
  assert.ok(await writer.registers.write(keys, 1, parts("two")))
  grid.servers[0]!.down = true
  grid.servers[4]!.down = true
  const read = await (await grid.client()).registers.read({ publicKey: keys.publicKey, readKey: keys.readKey })
  assert.equal(read?.sequence, 2)
  assert.deepEqual(Buffer.from(read!.content), Buffer.from("two"))
})

test("with three of five servers gone there is no quorum, to read or to write", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const store = await grid.client()
  await store.registers.write(keys, 0, parts("one"))
  for (const server of grid.servers.slice(1, 4)) server.down = true
  await assert.rejects(store.registers.read(keys), { code: "ERR_NO_QUORUM" })
  await assert.rejects(store.registers.write(keys, 1, parts("two")), { code: "ERR_NO_QUORUM" })
})

test("the slower of two writers learns that it lost the race", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const [a, b] = [await grid.client(), await grid.client()]
  await a.registers.write(keys, 0, parts("base"))
  await b.registers.read(keys)
  assert.equal(await a.registers.write(keys, 1, parts("from a")), true)
  assert.equal(await b.registers.write(keys, 1, parts("from b")), false)
})

test("a rollback by every server is refused by a client that saw more", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const seen = createMemorySeen()
  const store = await grid.client(seen)
  await store.registers.write(keys, 0, parts("one"))
  await store.registers.write(keys, 1, parts("two"))
  for (const server of grid.servers) server.empty()
  await (await grid.client()).registers.write(keys, 0, parts("one again"))
  await assert.rejects((await grid.client(seen)).registers.read(keys), { code: "ERR_ROLLBACK" })
})

test("who reads while another command of the profile writes takes the older value for no rollback", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const seen = createMemorySeen()
  const writer = await grid.client(seen)
  await writer.registers.write(keys, 0, parts("one"))
  // The reader has its answers when the other's value is acknowledged and remembered, and judges them only then.
  let isOvertaken = false
  const [reader, mostAnswers] = [await grid.client({ ...seen, get: getLate }), 5]
  let answers = 0
  async function getLate(id: string) {
    if (answers >= mostAnswers && !isOvertaken) {
      isOvertaken = true
      assert.ok(await writer.registers.write(keys, 1, parts("two")))
    }
    return seen.get(id)
  }
  for (const { backend } of grid.servers) {
    const { readRegisters } = backend
    backend.readRegisters = async (...args) => {
      const values = await readRegisters(...args)
      answers++
      return values
    }
  }
  assert.equal((await reader.registers.read(keys))!.sequence, 1)
  assert.ok(isOvertaken)
  assert.equal(await reader.registers.write(keys, 1, parts("late")), false)
  assert.equal((await reader.registers.read(keys))!.sequence, 2)
  for (const server of grid.servers) server.empty()
  await (await grid.client()).registers.write(keys, 0, parts("one again"))
  await assert.rejects(reader.registers.read(keys), { code: "ERR_ROLLBACK" })
})

test("a read brings servers that came back empty up to date", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  await (await grid.client()).registers.write(keys, 0, parts("kept"))
  grid.servers[0]!.empty()
  grid.servers[1]!.empty()
  await (await grid.client()).registers.read(keys)
  grid.servers[2]!.down = true
  grid.servers[3]!.down = true
  const read = await (await grid.client()).registers.read(keys)
  assert.deepEqual(Buffer.from(read!.content), Buffer.from("kept"))
})

test("a read capability's holder cannot write", async () => {
  const keys = await newKeys()
  const store = await testGrid().client()
  const readOnly = { publicKey: keys.publicKey, readKey: keys.readKey }
  await assert.rejects(store.registers.write(readOnly, 0, parts("x")), { code: "ERR_WRONG_CAPABILITY" })
})

test("a verify key opens the care of a register and nothing else", async () => {
  const keys = await newKeys()
  const grid = testGrid()
  await (await grid.client()).registers.write(keys, 0, parts("secret"))
  const verifyKey = verifyKeyOf(keys.readKey)
  const { registers } = await grid.client()
  const read = await registers.readCare({ publicKey: keys.publicKey, verifyKey })
  assert.equal(read?.sequence, 1)
  assert.deepEqual(
    read.care.map((bytes) => Buffer.from(bytes).toString()),
    ["care of secret"],
  )
  await assert.rejects(registers.read({ publicKey: keys.publicKey, readKey: verifyKey }), { code: "ERR_CORRUPT" })
  const wrong = { publicKey: keys.publicKey, verifyKey: keys.readKey }
  await assert.rejects(registers.readCare(wrong), { code: "ERR_CORRUPT" })
})

test("quorums leave out f servers of 2f+1 or 3f+1", () => {
  assert.deepEqual(
    [1, 3, 4, 5, 7].map((n) => quorumOf(n, "crash")),
    [1, 2, 3, 3, 4],
  )
  assert.deepEqual(
    [1, 3, 4, 5, 7].map((n) => quorumOf(n, "byzantine")),
    [1, 3, 3, 4, 5],
  )
})

test("a rollback that was accepted is told, read, never written, and not forgotten", async () => {
  const grid = testGrid()
  const keys = await newKeys()
  const seen = createMemorySeen()
  const store = await grid.client(seen)
  await store.registers.write(keys, 0, parts("one"))
  await store.registers.write(keys, 1, parts("two"))
  for (const server of grid.servers) server.empty()
  await (await grid.client()).registers.write(keys, 0, parts("one again"))
  const told: { offered: number; seen: number }[] = []
  const accepting = await grid.client(seen, { onRollback: (rollback) => void told.push(rollback) })
  const begun = await accepting.beginCollection()
  const read = await accepting.registers.read(keys)
  assert.deepEqual(Buffer.from(read!.content), Buffer.from("one again"))
  await accepting.registers.read(keys)
  assert.deepEqual(
    told.map(({ offered, seen }) => [offered, seen]),
    [[1, 2]],
  )
  await assert.rejects(accepting.registers.write(keys, 1, parts("three")), { code: "ERR_ROLLBACK" })
  await assert.rejects(accepting.beginCollection(), { code: "ERR_ROLLBACK" })
  // Nor does a collection that had begun before the older root was read.
  const collector = collectorOf(owner)
  const nothing = { live: new IdSet(nodeCrypto), registers: new IdSet(nodeCrypto) }
  await assert.rejects(begun.release(collector, new Map()), { code: "ERR_ROLLBACK" })
  await assert.rejects(begun.run({ collector, graceMs: 0, ...nothing }), { code: "ERR_ROLLBACK" })
  await assert.rejects((await grid.client(seen)).registers.read(keys), { code: "ERR_ROLLBACK" })
})

test("a refusal loses the race for another value of the same register that could have come first, and for nothing else", async () => {
  const grid = testGrid(3, { k: 1, n: 3, happy: 2 })
  const [keys, others] = [await newKeys(), await newKeys()]
  const writer = await grid.client()
  const held = async ({ publicKey }: RegisterKeys) => {
    const [bytes] = await grid.servers[0]!.backend.readRegisters([registerIdOf(publicKey)])
    return bytes!
  }
  await writer.registers.write(keys, 0, parts("one"))
  const older = await held(keys)
  for (let n = 0; n < 3; n++) await writer.registers.write(others, n, parts("of another register"))
  const foreign = await held(others)
  assert.ok(await writer.registers.write(keys, 1, parts("two")))
  const two = await held(keys)
  const elsewhere = testGrid(3, { k: 1, n: 3, happy: 2 })
  for (const { backend } of elsewhere.servers) await backend.proposeRegisters([older])
  assert.ok(await (await elsewhere.client()).registers.write(keys, 1, parts("another two")))
  const [another] = await elsewhere.servers[0]!.backend.readRegisters([registerIdOf(keys.publicKey)])

  /** What becomes of a third value when all servers refuse it with `answer`. */
  const refusedWith = async (answer: (proposed: Uint8Array) => Uint8Array | undefined) => {
    const store = await grid.client()
    await store.registers.read(keys)
    for (const { backend } of grid.servers)
      backend.proposeRegisters = async ([proposed]) => [
        { accepted: false, message: "no", ...currentOf(answer(proposed!)) },
      ]
    return store.registers.write(keys, 2, parts("three"))
  }
  const currentOf = (current: Uint8Array | undefined) => (current ? { current } : {})
  const damaged = two.slice()
  damaged[damaged.length - 1]! ^= 1
  const never = { code: "ERR_NO_QUORUM" }
  await assert.rejects(
    refusedWith((proposed) => proposed),
    never,
  )
  for (const answer of [undefined, older, two, another, foreign, damaged, new Uint8Array(3)])
    await assert.rejects(
      refusedWith(() => answer),
      never,
    )
})
