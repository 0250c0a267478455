import assert from "node:assert/strict"
import { test } from "node:test"
import { freshChunks } from "../src/fresh-chunks.ts"
import {
  chunksOf,
  type DirectoryRef,
  diff,
  type Entry,
  encodeManifestNode,
  hasOwnChunks,
  merge,
  plainAttributes,
  type Reference,
  RepeatGuard,
  readFile,
  type TreeIo,
  updateDirectory,
  walk,
  withOwnChunks,
} from "../src/index.ts"
import { settle } from "../src/reference.ts"
import { bytesOf, collect, directoryOf, file, memoryIo } from "./grid.ts"

const depth = 60

/** Directories that hold each other twice: a few KB with 2^60 paths. What is at their end is named `last`. */
async function doubled(io: TreeIo, last: string): Promise<DirectoryRef> {
  let directory = await directoryOf(io, [file(last)])
  for (let level = 0; level < depth; level++) {
    const below = { ...plainAttributes(0o755, 0), kind: "directory", size: 0, reference: directory } as const
    directory = await directoryOf(
      io,
      ["x", "y"].map((name) => ({ ...below, name })),
    )
  }
  return directory
}

test("a walk or a diff that tells every path of directories doubled sixty deep ends with an error, soon", async () => {
  const { io, chunks } = memoryIo()
  const [one, two] = [await doubled(io, "a"), await doubled(io, "b")]
  const before = chunks.gets
  for (const told of [walk(io, one), diff(io, null, one), diff(io, one, null), diff(io, one, two)]) {
    let items = 0
    const count = async () => {
      for await (const _ of told) items++
    }
    await assert.rejects(count(), { code: "ERR_LIMIT" })
    assert.ok(items < 10_000, `${items} were told`)
  }
  assert.ok(chunks.gets - before <= 2 * (depth + 1), "each directory is fetched once")
})

test("what needs each directory of those once takes each once", async () => {
  const { io } = memoryIo()
  const [one, two] = [await doubled(io, "a"), await doubled(io, "b")]
  assert.equal((await collect(chunksOf(io, one))).length, depth + 1)
  assert.equal((await freshChunks(io, [{ before: null, after: one }])).length, depth + 1)
  assert.equal((await freshChunks(io, [{ before: one, after: two }])).length, depth + 1)
})

/** A file that claims 320 TB in a list of a few KB: each node names the one below 200 times. */
async function hugeFile({ io, chunks }: ReturnType<typeof memoryIo>, levels = 5) {
  const stored = async (bytes: Uint8Array): Promise<Reference> => {
    const { length } = bytes
    return { chunk: await chunks.putChunk(bytes), offset: 0, length }
  }
  let reference = await stored(new Uint8Array(1000).fill(1))
  let size = 1000
  for (let level = 0; level < levels; level++) {
    const item = { length: size, reference }
    reference = await stored(
      encodeManifestNode(
        level,
        Array.from({ length: 200 }, () => item),
      ),
    )
    size *= 200
  }
  const content = { form: "manifest", size, reference } as const
  return { size, directory: await directoryOf(io, [{ ...file("f"), size, content }]) }
}

test("a file whose manifest names the same nodes a thousand times on each level needs each chunk once, soon", async () => {
  const memory = memoryIo()
  const { io, chunks } = memory
  const { directory } = await hugeFile(memory)
  const before = chunks.gets
  assert.equal((await freshChunks(io, [{ before: null, after: directory }])).length, 7)
  assert.equal((await collect(chunksOf(io, directory))).length, 7)
  assert.ok(chunks.gets - before <= 14, `${chunks.gets - before} were fetched`)
})

test("such a file is given chunks of its own node by node, soon and in little memory", async () => {
  const memory = memoryIo()
  const { io, chunks } = memory
  const { directory, size } = await hugeFile(memory)
  // In one pack with another directory: so what it lies in has to be stored anew.
  const pack = io.newPack()
  const entries = new Map((await io.readNode(directory!)).items.map((item) => [item.name, item as Entry]))
  const reference = await updateDirectory(io, pack, null, entries)
  await updateDirectory(io, pack, null, new Map([["private", file("private")]]))
  await pack.seal()
  const shared = {
    ...plainAttributes(0o755, 0),
    name: "d",
    kind: "directory",
    size: 0,
    reference: settle(reference),
  } as const
  assert.equal(await hasOwnChunks(io, shared), false)
  const [gets, stored, heapBytes, startMs] = [
    chunks.gets,
    chunks.stored.size,
    process.memoryUsage().heapUsed,
    performance.now(),
  ]
  const copy = await withOwnChunks(io, shared)
  assert.ok(performance.now() - startMs < 5_000, "it takes as long as the pieces that are claimed")
  assert.ok(process.memoryUsage().heapUsed - heapBytes < 64 * 2 ** 20, "it holds the pieces that are claimed")
  assert.ok(chunks.gets - gets <= 20 && chunks.stored.size - stored <= 2)
  assert.equal(await hasOwnChunks(io, copy), true)
  assert.ok(copy.kind === "directory")
  const [item] = (await io.readNode(copy.reference!)).items
  assert.ok(item && "kind" in item && item.kind === "file")
  assert.equal(item.content.size, size)
  const middle = { start: size / 2 - 1500, end: size / 2 + 1500 }
  assert.deepEqual(await bytesOf(readFile(io, item, middle)), new Uint8Array(3000).fill(1))
})

test("directories doubled sixty deep are merged, each once", async () => {
  const { io, chunks } = memoryIo()
  const [base, mine, theirs] = [await doubled(io, "a"), await doubled(io, "b"), await doubled(io, "c")]
  const before = chunks.stored.size
  const { root, conflicts } = await merge(io, base, mine, theirs)
  assert.ok(chunks.stored.size - before <= depth + 1)
  assert.deepEqual(conflicts, [])
  let directory = root
  for (let level = 0; level < depth; level++) {
    const { items } = await io.readNode(directory!)
    assert.deepEqual(
      items.map(({ name }) => name),
      ["x", "y"],
    )
    const last = items[level % 2]!
    assert.ok("kind" in last && last.kind === "directory")
    directory = last.reference
  }
  assert.deepEqual(
    (await io.readNode(directory!)).items.map(({ name }) => name),
    ["b", "c"],
  )
})

test("a directory copied a thousand times is no endless one", () => {
  const guard = new RepeatGuard()
  const top = guard.enter("top")
  for (let copy = 0; copy < 3000; copy++) {
    top(1)
    guard.enter("copied")(15)
  }
  const nightly = new RepeatGuard()
  for (let copy = 0; copy < 90; copy++) nightly.enter("large")(5000)
})
