import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { createMemorySeen, createStore } from "@holdfast/store"
import { createFileWriter, createTree, openTree, plainAttributes, readFile } from "../src/index.ts"
import { bytesOf, collect, env, noise } from "./grid.ts"

test("a tree over the real store: files come back through another client, and both may write", async () => {
  const backends = Array.from({ length: 5 }, (_, i) => createMemoryBackend(`n${i}`, env.crypto))
  const client = () => {
    return createStore({
      env,
      servers: backends.map((backend) => ({ backend, weight: 1 })),
      coding: { k: 3, happy: 4, n: 5 },
      registerMode: "crash",
      convergenceSecret: new Uint8Array(32).fill(7),
      seen: createMemorySeen(),
    })
  }
  const seed = env.crypto.random(32)
  const keys = { seed, publicKey: await env.crypto.publicKeyOf(seed), readKey: env.crypto.random(32) }
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
