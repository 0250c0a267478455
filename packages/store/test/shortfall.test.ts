/** A write that enough places took and others did not: who did not, why, and how many chunks lack a place. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { createMemorySeen, createStore, type Store } from "@holdfast/store"
import { commit, emptyParts, newKeys, owner, testGrid } from "./fixture.ts"

const content = (text: string) => utf8(text.padEnd(5000, "."))

async function putAndCommit(store: Store, texts: readonly string[]): Promise<void> {
  const refs = await Promise.all(texts.map((text) => store.chunks.putChunk(content(text))))
  await commit(
    store,
    refs.map(({ id }) => id),
  )
}

test("a write that all places took is short of nothing", async () => {
  const store = await testGrid().client()
  await putAndCommit(store, ["a", "b"])
  assert.equal(await store.shortfall(), undefined)
})

test("a place that is down is named with what it missed, and each chunk that lacks it is counted", async () => {
  const grid = testGrid()
  const store = await grid.client()
  await store.chunks.putChunk(content("before"))
  grid.servers[1]!.down = true
  await putAndCommit(store, ["a", "b", "c"])
  const shortfall = await store.shortfall()
  assert.equal(shortfall?.chunks, 3)
  assert.deepEqual(
    shortfall.places.map(({ server, why, shares, registers, tookSome }) => [server, why, shares, registers, tookSome]),
    [["n2", "n2 is down", 3, 1, true]],
  )
})

test("where others took its part no chunk lacks a place, and the place is named all the same", async () => {
  const grid = testGrid(6)
  grid.servers[0]!.down = true
  const store = await grid.client()
  for (let i = 0; i < 8; i++) await store.chunks.putChunk(content(`${i}`))
  const shortfall = await store.shortfall()
  assert.equal(shortfall?.chunks, 0)
  assert.deepEqual(
    shortfall.places.map(({ server, tookSome }) => [server, tookSome]),
    [["n1", false]],
  )
})

test("a place whose quota is used up says so", async () => {
  const backends = Array.from({ length: 5 }, (_, i) =>
    createMemoryPlace(`n${i + 1}`, nodeCrypto, i === 4 ? { quotaBytes: 1000 } : {}).backendOf(owner),
  )
  const store = await storeOver(backends)
  await store.chunks.putChunk(content("a"))
  const [place, ...others] = (await store.shortfall())!.places
  assert.deepEqual([place!.server, place!.code, place!.shares, others.length], ["n5", "quota", 1, 0])
  assert.match(place!.why, /quota of 1000 bytes/)
})

test("a root that only a quorum took is told, and so is a place that never answers", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const keys = await newKeys()
  grid.servers[4]!.down = true
  assert.ok(await store.registers.write(keys, 0, emptyParts))
  const [place] = (await store.shortfall())!.places
  assert.deepEqual([place!.server, place!.registers, place!.shares], ["n5", 1, 0])

  const backends = grid.servers.map(({ backend }) => backend)
  grid.servers[4]!.down = false
  const hanging: Backend = { ...backends[4]!, id: "n5", proposeRegisters: () => new Promise(() => undefined) }
  const second = await storeOver([...backends.slice(0, 4), hanging])
  assert.ok(await second.registers.write(keys, 1, emptyParts))
  const [silent] = (await second.shortfall())!.places
  assert.deepEqual([silent!.server, silent!.why, silent!.registers], ["n5", "it did not answer in time", 1])
})

test("a repair that a place does not take its share of says why; a race that is lost is no shortfall", async () => {
  const grid = testGrid()
  const { id } = await (await grid.client()).chunks.putChunk(content("a"))
  grid.servers[2]!.empty()
  const refusing = grid.servers.map(({ backend }, i): Backend => {
    const message = "The server has no space left for shares."
    return i === 2
      ? { ...backend, id: "n3", putShares: async (shares) => shares.map(() => ({ ok: false, code: "full", message })) }
      : backend
  })
  const store = await storeOver(refusing)
  const { placed } = await store.checkChunk(id, { repair: true })
  assert.equal(placed, 0)
  const [place] = (await store.shortfall())!.places
  assert.deepEqual([place!.server, place!.code, place!.why], ["n3", "full", "The server has no space left for shares."])

  const keys = await newKeys()
  const [first, late] = [await grid.client(), await grid.client()]
  assert.ok(await first.registers.write(keys, 0, emptyParts))
  assert.equal(await late.registers.write(keys, 0, { ...emptyParts, content: utf8("other") }), false)
  assert.equal(await late.shortfall(), undefined)
})

function storeOver(backends: readonly Backend[]) {
  return createStore({
    env: nodeEnv,
    servers: backends.map((backend) => ({ backend, weight: 1 })),
    account: owner.account,
    coding: { k: 3, happy: 4, n: 5 },
    registerMode: "crash",
    seen: createMemorySeen(),
    hedgeMs: 50,
  })
}
