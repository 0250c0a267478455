/** Two places with shares and a witness, which keeps registers alone. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HoldfastError, isHoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, registerIdOf, toReadCap } from "@holdfast/protocol"
import { IdSet } from "../src/id-set.ts"
import { createMemorySeen, createStore, type RegisterKeys, type Store } from "../src/index.ts"
import { collectorOf, owner, switchedServer } from "./fixture.ts"

type Name = "a" | "b" | "w"

const ofShares = ["putShares", "getShares", "getBlocks", "hasShares", "markShares"] as const

/** The backend as one client reaches it; `calls` are told the names of what is asked. */
function seenBy(backend: Backend, isUp: () => boolean, calls: string[]): Backend {
  return new Proxy(backend, {
    get(target, name: keyof Backend) {
      const member = target[name]
      if (typeof member !== "function") return member
      return (...args: never[]) => {
        calls.push(name)
        if (!isUp() && name !== "close")
          return Promise.reject(new HoldfastError("ERR_SERVER_UNREACHABLE", `${backend.id} is away`))
        return (member as (...args: never[]) => unknown).apply(target, args)
      }
    },
  })
}

/** Three places; clients that reach some of them. */
function pair() {
  const servers = { a: switchedServer("a"), b: switchedServer("b"), w: switchedServer("w") }
  const asked: Record<Name, string[]> = { a: [], b: [], w: [] }
  const client = (reach: { up: readonly Name[] }): Promise<Store> =>
    createStore({
      env: nodeEnv,
      servers: (["a", "b", "w"] as const).map((name) => ({
        backend: seenBy(servers[name].backend, () => reach.up.includes(name), asked[name]),
        weight: 1,
        keeps: { shares: name !== "w", registers: true },
      })),
      account: owner.account,
      coding: { k: 1, happy: 1, n: 2 },
      registerMode: "crash",
      seen: createMemorySeen(),
      hedgeMs: 10,
    })
  return { servers, asked, client }
}

async function newKeys(): Promise<RegisterKeys> {
  const seed = nodeCrypto.random(32)
  return { ...(await toReadCap(nodeCrypto, { kind: "fw", seed })), seed }
}

const parts = (text: string) => ({ content: utf8(text), care: new Uint8Array() })

/** Stores a chunk and a value that refers to it. */
async function commit(store: Store, keys: RegisterKeys, after: number, text: string) {
  const ref = await store.chunks.putChunk(nodeCrypto.random(5_000))
  return { ref, taken: await store.registers.write(keys, after, parts(text), { chunks: [ref.id] }) }
}

for (const gone of ["a", "b", "w"] as const)
  test(`with ${gone} of a, b and the witness w gone, what was stored is read and more is stored`, async () => {
    const { client } = pair()
    const reach: { up: readonly Name[] } = { up: ["a", "b", "w"] }
    const keys = await newKeys()
    const before = await client(reach)
    const first = await commit(before, keys, 0, "one")
    assert.ok(first.taken)
    await before.close()
    reach.up = reach.up.filter((name) => name !== gone)
    const store = await client(reach)
    assert.equal((await store.registers.read(keys))?.sequence, 1)
    assert.ok((await store.chunks.getChunk(first.ref)).length >= 5_000)
    const second = await commit(store, keys, 1, "two")
    assert.ok(second.taken)
    assert.ok((await store.chunks.getChunk(second.ref)).length >= 5_000)
    await store.close()
    const other = await client({ up: ["a", "b", "w"] })
    assert.deepEqual((await other.registers.read(keys))?.content, utf8("two"), "who reaches all sees the newest")
    await other.close()
  })

for (const alone of ["a", "b", "w"] as const)
  test(`${alone} alone acknowledges and gives nothing of registers`, async () => {
    const { client } = pair()
    const keys = await newKeys()
    const whole = await client({ up: ["a", "b", "w"] })
    assert.ok((await commit(whole, keys, 0, "one")).taken)
    const store = await client({ up: [alone] })
    await assert.rejects(store.registers.read(keys), { code: "ERR_NO_QUORUM" })
    await assert.rejects(store.registers.write(keys, 1, parts("two")), { code: "ERR_NO_QUORUM" })
    if (alone === "w")
      await assert.rejects(store.chunks.putChunk(nodeCrypto.random(100)), (error) => isHoldfastError(error))
    await whole.close()
    await store.close()
  })

test("two writers that reach different places with shares, and the witness both, fork nothing and lose nothing acknowledged", async () => {
  const { client } = pair()
  const keys = await newKeys()
  const writers = await Promise.all([client({ up: ["a", "w"] }), client({ up: ["b", "w"] })])
  const acknowledged: string[] = []
  const add = async (store: Store, word: string) => {
    for (;;) {
      const now = await store.registers.read(keys)
      const list = now
        ? [now, ...(now.siblings ?? [])].flatMap(({ content }) => JSON.parse(Buffer.from(content).toString()))
        : []
      const next = JSON.stringify([...new Set([...list, word])])
      if (!(await store.registers.write(keys, now?.sequence ?? 0, parts(next)))) continue
      acknowledged.push(word)
      return
    }
  }
  await Promise.all(
    writers.map(async (store, who) => {
      for (let i = 0; i < 15; i++) await add(store, `${who}-${i}`)
    }),
  )
  assert.equal(acknowledged.length, 30)
  for (const up of [
    ["a", "b"],
    ["a", "w"],
    ["b", "w"],
  ] as const) {
    const reader = await client({ up })
    const held = await reader.registers.read(keys)
    assert.deepEqual(JSON.parse(Buffer.from(held!.content).toString()).sort(), acknowledged.toSorted())
    await reader.close()
  }
  await Promise.all(writers.map((store) => store.close()))
})

test("nothing of shares is ever asked of a witness: not by puts, reads, commits, checks, repairs, samples, holding or collecting", async () => {
  const { servers, asked, client } = pair()
  const reach: { up: readonly Name[] } = { up: ["a", "b", "w"] }
  const keys = await newKeys()
  let store = await client(reach)
  const { ref } = await commit(store, keys, 0, "one")
  reach.up = ["a", "w"]
  store = await client(reach)
  const { ref: late } = await commit(store, keys, 1, "two") // lies on a alone
  reach.up = ["a", "b", "w"]
  store = await client(reach)
  const live = new IdSet(nodeCrypto)
  for (const { id } of [ref, late]) live.add(id)
  const registers = new IdSet(nodeCrypto)
  registers.add(registerIdOf(keys.publicKey))
  const collection = await store.beginCollection()
  await collection.adopt({ live, registers })
  await collection.adopt({ live, registers, dryRun: true })
  const collected = await collection.run({ live, registers, collector: collectorOf(owner), graceMs: 0 })
  assert.deepEqual([...collected.keys()].sort(), ["a", "b", "w"], "the witness takes part")
  assert.equal(collection.leftOut.size, 0)
  await store.hold(live, registers)
  for (const { id } of [ref, late]) {
    await store.checkChunk(id, { repair: true })
    await store.rebalanceChunk(id)
    await store.sampleBlock(id)
    const health = await store.checkChunk(id, { verify: true })
    assert.deepEqual([health.goodShares, health.distinctServers], [2, 2])
  }
  await store.chunks.getChunk(late)
  await store.chunks.readRange(late, { offset: 0, length: 10 })
  assert.deepEqual(
    asked.w.filter((name) => (ofShares as readonly string[]).includes(name)),
    [],
  )
  assert.ok(asked.w.includes("proposeRegisters") && asked.w.includes("collectToken"))
  assert.equal((await servers.w.backend.usage()).shareCount, 0)
  assert.deepEqual(
    store.backends.map(({ id }) => id),
    ["a", "b"],
  )
  await store.close()
})
