import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { registerIdOf } from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createStore, IdSet } from "@holdfast/store"
import { createFileWriter, createTree, openTree, plainAttributes, readFile } from "../src/index.ts"
import { bytesOf, collect, env, noise } from "./grid.ts"

async function freshGrid() {
  let aheadMs = 0
  const nowMs = () => Date.now() + aheadMs
  const account = await makeAccount(env.crypto)
  const places = Array.from({ length: 5 }, (_, i) => createMemoryPlace(`n${i}`, env.crypto, { nowMs }))
  const backends = places.map((place) => place.backendOf(account))
  const client = () => {
    return createStore({
      env,
      servers: backends.map((backend) => ({ backend, weight: 1 })),
      coding: { k: 3, happy: 4, n: 5 },
      registerMode: "crash",
      seen: createMemorySeen(),
    })
  }
  const pass = (ms: number) => {
    aheadMs += ms
  }
  const seed = env.crypto.random(32)
  const keys = { seed, publicKey: await env.crypto.publicKeyOf(seed), readKey: env.crypto.random(32) }
  return { client, keys, account, pass }
}

test("a tree over the real store: files come back through another client, and both may write", async () => {
  const { client, keys } = await freshGrid()
  const first = await client()
  const second = await client()
  const tree = await createTree({ ...first, env, keys })
  const other = await openTree({ ...second, env, keys })
  const writer = createFileWriter(tree.io)
  const sizes = [100, 5000, 700_000, 5_000_000]
  const adding = sizes.map((size, i) => writer.add(noise(size, i + 1)))
  await writer.flush()
  const contents = await Promise.all(adding)
  const commits = [
    tree.commit(async (session) => {
      await session.mkdir(["d"], plainAttributes(0o755, 0))
      for (const [i, content] of contents.entries())
        session.set(["d", `${i}`], {
          ...plainAttributes(0o600, 0),
          name: `${i}`,
          kind: "file",
          size: content.size,
          content,
        })
    }),
    other.commit(async (session) => session.mkdir(["e"], plainAttributes(0o755, 0))),
  ]
  await Promise.all(commits)
  const third = await client()
  const reader = await openTree({ ...third, env, keys: { publicKey: keys.publicKey, readKey: keys.readKey } })
  assert.deepEqual(
    (await collect(reader.list([]))).map(({ name }) => name),
    ["d", "e"],
  )
  for (const [i, size] of sizes.entries()) {
    const entry = await reader.lookup(["d", `${i}`])
    assert.ok(entry?.kind === "file")
    assert.ok(Buffer.from(noise(size, i + 1)).equals(await bytesOf(readFile(reader.io, entry))))
  }
})

/** A file of one chunk in a snapshot, by a client that has gone. */
async function withSnapshot() {
  const grid = await freshGrid()
  const tree = await createTree({ ...(await grid.client()), env, keys: grid.keys })
  const writer = createFileWriter(tree.io)
  const adding = writer.add(noise(20_000))
  await writer.flush()
  const content = await adding
  const entry = { ...plainAttributes(0o600, 0), name: "old", kind: "file", size: content.size, content } as const
  await tree.commit(async (session) => session.set(["old"], entry))
  await tree.snapshots.create("s")
  const other = await grid.client()
  const keeper = await openTree({ ...other, env, keys: grid.keys })
  /** The file and its snapshot go, and so many commits come that no history names it. */
  const forget = async () => {
    await keeper.commit(async (session) => session.remove(["old"]))
    await keeper.snapshots.remove("s")
    for (let i = 0; i < 17; i++)
      await keeper.commit(async (session) => session.mkdir([`${i}`], plainAttributes(0o755, 0)))
  }
  /** Begins a collection; what it gives ends it. */
  const sweep = async () => {
    const collection = await other.beginCollection()
    const [live, registers] = [new IdSet(env.crypto), new IdSet(env.crypto)]
    for (const { id } of await collect(keeper.chunks())) live.add(id)
    registers.add(registerIdOf(grid.keys.publicKey))
    const { publicKey, seed } = grid.account
    const collector = { publicKey, sign: (bytes: Uint8Array) => env.crypto.sign(seed, bytes) }
    return () => collection.run({ collector, live, registers, graceMs: 0 })
  }
  const late = await openTree({ ...(await grid.client()), env, keys: grid.keys })
  return { forget, sweep, late, pass: grid.pass }
}

const day = 86_400_000

test("a commit is refused when what it brings back was collected as garbage in the meantime", async () => {
  const { forget, sweep, late, pass } = await withSnapshot()
  const found = await late.lookup(["old"], (await late.snapshots.lookup("s"))!.reference)
  await forget()
  pass(2 * day)
  await (await sweep())()
  await assert.rejects(
    late.commit(async (session) => session.set(["back"], { ...found!, name: "back" })),
    { code: "ERR_NOT_ENOUGH_SHARES" },
  )
  assert.equal(await late.lookup(["back"]), undefined)
})

test("what a commit brings back is spared by a garbage collection that began before it", async () => {
  const { forget, sweep, late, pass } = await withSnapshot()
  const found = await late.lookup(["old"], (await late.snapshots.lookup("s"))!.reference)
  await forget()
  pass(2 * day)
  const collect = await sweep()
  await late.commit(async (session) => session.set(["back"], { ...found!, name: "back" }))
  pass(2 * day)
  await collect()
  const back = await late.lookup(["back"])
  assert.ok(back?.kind === "file")
  assert.ok(Buffer.from(noise(20_000)).equals(await bytesOf(readFile(late.io, back))))
})
