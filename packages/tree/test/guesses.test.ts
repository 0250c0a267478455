/**
 * Who puts files of his own into somebody's tree, and watches servers, must not learn what else is stored there: what a right
 * guess makes a client say is what a wrong one makes it say, and what two files share is nowhere to be seen.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { concat, toHex } from "@holdfast/core"
import { decodeShare } from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createStore } from "@holdfast/store"
import {
  createFileWriter,
  createTree,
  type FileContent,
  openTree,
  plainAttributes,
  readFile,
  type Tree,
} from "../src/index.ts"
import { bytesOf, env, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib

/** One request as a server hears it: what is asked, of how much. */
type Heard = readonly [call: string, sizes: readonly number[]]

/** Servers that write down what they hear, and the ids of chunks that were put or marked. */
async function watchedGrid() {
  const account = await makeAccount(env.crypto)
  const heard: Heard[] = []
  const ids: string[] = []
  const servers = Array.from({ length: 5 }, (_, i) => {
    const backend = createMemoryPlace(`n${i}`, env.crypto, {}).backendOf(account)
    const { putShares, markShares, hasShares } = backend
    backend.putShares = (shares, options) => {
      heard.push(["put", shares.map(({ length }) => length)])
      ids.push(...shares.map((share) => toHex(decodeShare(share).id)))
      return putShares(shares, options)
    }
    backend.markShares = (chunks, options) => {
      heard.push(["mark", [chunks.length]])
      ids.push(...chunks.map(toHex))
      return markShares(chunks, options)
    }
    backend.hasShares = (chunks, options) => {
      heard.push(["has", [chunks.length]])
      return hasShares(chunks, options)
    }
    return { backend, weight: 1 }
  })
  const seed = env.crypto.random(32)
  const keys = { seed, publicKey: await env.crypto.publicKeyOf(seed), readKey: env.crypto.random(32) }
  const client = () =>
    createStore({
      ...{ env, servers, registerMode: "crash", seen: createMemorySeen() },
      coding: { k: 3, happy: 4, n: 5 },
    })
  /** What servers hear of `work`, and the chunks that it speaks of. */
  const watch = async (work: () => Promise<unknown>) => {
    heard.length = 0
    ids.length = 0
    await work()
    return { heard: heard.map(String).sort(), ids: new Set(ids) }
  }
  return { client, keys, watch, open: async () => openTree({ ...(await client()), env, keys }) }
}

/** Stores `bytes` as `name`, over `before` when that is there. */
async function put(tree: Tree, name: string, bytes: Uint8Array): Promise<FileContent> {
  const writer = createFileWriter(tree.io)
  const there = await tree.lookup([name])
  const adding = writer.add(bytes.slice(), there?.kind === "file" ? { before: there.content } : {})
  await writer.flush()
  const content = await adding
  const file = { ...plainAttributes(0o600, 0), name, kind: "file", size: content.size, content } as const
  await tree.commit(async (session) => session.set([name], file))
  return content
}

const sizes = { "734 bytes": 734, "300 KiB": 300 * kib, "3 MiB": 3 * mib, "9 MiB": 9 * mib }
for (const [name, size] of Object.entries(sizes))
  test(`a guess at a file of ${name} looks the same to servers whether it is right or wrong`, async () => {
    const { client, keys, watch, open } = await watchedGrid()
    const secret = noise(size, 1)
    const first = await watch(async () => put(await createTree({ ...(await client()), env, keys }), "secret", secret))
    const right = await watch(async () => put(await open(), "guess", secret))
    const wrong = await watch(async () => put(await open(), "guess", noise(size, 2)))
    assert.deepEqual(right.heard, wrong.heard)
    for (const id of right.ids) assert.ok(!first.ids.has(id), "a chunk of the secret is spoken of again")
  })

test("of a large file that is stored again, only what changed is sent, and nothing when nothing did", async () => {
  const { client, keys, watch, open } = await watchedGrid()
  const bytes = noise(9 * mib)
  await put(await createTree({ ...(await client()), env, keys }), "disk", bytes)
  const sentFor = async (next: Uint8Array) => {
    const { heard } = await watch(async () => put(await open(), "disk", next))
    const sizes = heard.filter((line) => line.startsWith("put")).flatMap((line) => line.split(",").slice(1).map(Number))
    const tree = await open()
    const file = await tree.lookup(["disk"])
    assert.ok(file?.kind === "file" && Buffer.from(next).equals(await bytesOf(readFile(tree.io, file))))
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  assert.ok((await sentFor(bytes)) < 0.1 * mib)
  const changed = bytes.slice().fill(1, 5 * mib, 5 * mib + 3)
  const sent = await sentFor(changed)
  assert.ok(sent > (4 * mib * 5) / 3 && sent < 4.1 * mib * (5 / 3), `${sent} bytes for a piece of 4 MiB`)
  const longer = await sentFor(concat(changed, noise(2 * mib, 3)))
  assert.ok(longer < 3.2 * mib * (5 / 3), `${longer} bytes for what was appended, and the last piece`)
})

test("whoever has the secrets of the account cannot tell what it stores from the ids of chunks", async () => {
  const { client } = await watchedGrid()
  const bytes = noise(3 * mib)
  const [one, another] = [await client(), await client()]
  const puts = [await one.chunks.putChunk(bytes.slice()), await another.chunks.putChunk(bytes.slice())]
  assert.notEqual(toHex(puts[0]!.id), toHex(puts[1]!.id))
  assert.notEqual(toHex(puts[0]!.key), toHex(puts[1]!.key))
})
