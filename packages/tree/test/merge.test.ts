import assert from "node:assert/strict"
import { test } from "node:test"
import { fromUtf8, toHex } from "@holdfast/core"
import { createMemoryChunks } from "@holdfast/store/testing"
import fc from "fast-check"
import {
  createFileWriter,
  createTreeIo,
  type DirectoryEntry,
  type DirectoryRef,
  diff,
  type Entry,
  encodeManifestNode,
  lookupEntry,
  merge,
  plainAttributes,
  sameContent,
  type TreeIo,
  walk,
} from "../src/index.ts"
import { collect, directoryOf, env, file, memoryIo, noise, update } from "./grid.ts"

/** A tree of two levels in words: path to text. Directories are there when something is in them. */
type Model = Readonly<Record<string, string>>

async function treeOf(io: TreeIo, model: Model): Promise<DirectoryRef> {
  const top: Entry[] = []
  const below = new Map<string, Entry[]>()
  for (const [path, text] of Object.entries(model)) {
    const [first, second] = path.split("/") as [string, string?]
    if (second === undefined) top.push(file(first, text))
    else below.set(first, [...(below.get(first) ?? []), file(second, text)])
  }
  for (const [name, entries] of below) top.push(directory(name, await directoryOf(io, entries)))
  return directoryOf(io, top)
}

function directory(name: string, reference: DirectoryRef): DirectoryEntry {
  return { ...plainAttributes(0o755, 0), name, kind: "directory", size: 0, reference }
}

async function modelOf(io: TreeIo, root: DirectoryRef): Promise<Model> {
  const model: Record<string, string> = {}
  for await (const { path, entry } of walk(io, root))
    if (entry.kind === "file" && entry.content.form === "inline") model[path.join("/")] = fromUtf8(entry.content.bytes)
  return model
}

const path = fc.tuple(fc.constantFrom("", "d/", "e/"), fc.integer({ min: 0, max: 12 })).map(([at, i]) => `${at}f${i}`)
const model = fc.dictionary(path, fc.constantFrom("one", "two", "three"), { maxKeys: 20, noNullPrototype: true })

test("merging a tree with its own ancestor gives the tree", async () => {
  await fc.assert(
    fc.asyncProperty(model, model, async (baseModel, changed) => {
      const { io } = memoryIo()
      const base = await treeOf(io, baseModel)
      const mine = await treeOf(io, changed)
      assert.deepEqual(await modelOf(io, (await merge(io, base, mine, base)).root), changed)
      assert.deepEqual(await modelOf(io, (await merge(io, base, base, mine)).root), changed)
      assert.deepEqual(await modelOf(io, (await merge(io, base, mine, mine)).root), changed)
    }),
    { numRuns: 50 },
  )
})

test("a merge of any three trees keeps every change of both, and each conflict twice", async () => {
  await fc.assert(
    fc.asyncProperty(model, model, model, async (base, mine, theirs) => {
      const { io } = memoryIo()
      const result = await merge(io, await treeOf(io, base), await treeOf(io, mine), await treeOf(io, theirs))
      const merged = await modelOf(io, result.root)
      let conflicts = 0
      for (const name of new Set([...Object.keys(base), ...Object.keys(mine), ...Object.keys(theirs)])) {
        const [was, my, their] = [base[name], mine[name], theirs[name]]
        if (my === their || their === was) assert.equal(merged[name], my, name)
        else if (my === was) assert.equal(merged[name], their, name)
        else if (my === undefined || their === undefined) assert.equal(merged[name], my ?? their, name)
        else {
          conflicts++
          assert.equal(merged[name], their)
          const copies = Object.keys(merged).filter((key) => key.startsWith(`${name} (conflict `))
          assert.deepEqual(
            copies.map((key) => merged[key]),
            [my],
          )
        }
      }
      assert.equal(result.conflicts.length, conflicts)
    }),
    { numRuns: 100 },
  )
})

test("one changes the mode and the other the content: both are kept in one entry", async () => {
  const { io } = memoryIo()
  const base = await directoryOf(io, [file("a", "old")])
  const mine = await update(io, base, new Map([["a", { ...file("a", "old"), mode: 0o600 }]]))
  const theirs = await update(io, base, new Map([["a", file("a", "new")]]))
  for (const [x, y] of [
    [mine, theirs],
    [theirs, mine],
  ] as const) {
    const { root, conflicts } = await merge(io, base, x, y)
    const entry = await lookupEntry(io, root, "a")
    assert.equal(entry?.mode, 0o600)
    assert.deepEqual(await modelOf(io, root), { a: "new" })
    assert.equal(conflicts.length, 0)
  }
})

test("of a directory removed by one only what the other changed in it stays", async () => {
  const { io } = memoryIo()
  const base = await treeOf(io, { "d/a": "1", "d/b": "1" })
  const gone = await treeOf(io, {})
  const changed = await treeOf(io, { "d/a": "2", "d/b": "1" })
  for (const [x, y] of [
    [gone, changed],
    [changed, gone],
  ] as const)
    assert.deepEqual(await modelOf(io, (await merge(io, base, x, y)).root), { "d/a": "2" })
})

test("a file and a directory of one name are both kept, and a long name is cut to fit", async () => {
  const { io } = memoryIo()
  const name = "ü".repeat(127)
  const mine = await directoryOf(io, [file(name, "mine")])
  const theirs = await directoryOf(io, [directory(name, await directoryOf(io, [file("in", "theirs")]))])
  const { root, conflicts } = await merge(io, null, mine, theirs)
  assert.equal(conflicts.length, 1)
  const copy = conflicts[0]![0]!
  assert.ok(Buffer.byteLength(copy) <= 255 && copy.startsWith("üü"))
  assert.deepEqual(await modelOf(io, root), { [copy]: "mine", [`${name}/in`]: "theirs" })
  assert.deepEqual(await merge(io, null, mine, root), { root, conflicts })
})

test("what two writers stored each for itself is one file when the bytes are the same, and two when not or unreadable", async () => {
  const chunks = createMemoryChunks(env.crypto)
  const io = createTreeIo({ chunks, env })
  const stored = async (bytes: Uint8Array) => {
    const writer = createFileWriter(io)
    const adding = writer.add(bytes.slice())
    await writer.flush()
    const content = await adding
    return { ...file("f"), size: content.size, content }
  }
  for (const size of [700, 5_000_000]) {
    const [mine, theirs, other] = [await stored(noise(size)), await stored(noise(size)), await stored(noise(size, 2))]
    assert.ok(!sameContent(mine, theirs))
    const [a, b, c] = [await directoryOf(io, [mine]), await directoryOf(io, [theirs]), await directoryOf(io, [other])]
    assert.deepEqual((await merge(io, null, a, b)).conflicts, [])
    assert.equal((await merge(io, null, a, c)).conflicts.length, 1)
    const { content } = theirs
    assert.ok(content.form !== "inline")
    chunks.held.delete(toHex(content.reference.chunk.id))
    const fresh = createTreeIo({ chunks, env })
    assert.equal((await merge(fresh, null, a, b)).conflicts.length, 1)
  }
})

test("files of a few bytes that say they have any length are two, and are not read to their end", async () => {
  const chunks = createMemoryChunks(env.crypto)
  const io = createTreeIo({ chunks, env })
  const stored = async (name: string, size: number): Promise<Entry> => {
    const bytes = encodeManifestNode(0, [{ length: size, reference: null }])
    const reference = { chunk: await chunks.putChunk(bytes.slice()), offset: 0, length: bytes.length }
    return { ...file(name), size, content: { form: "manifest", size, reference } }
  }
  const names = Array.from({ length: 60 }, (_, i) => `f${i + 10}`)
  const filesOf = (size: number) => Promise.all(names.map((name) => stored(name, size)))
  const merged = async (size: number) =>
    (await merge(io, null, await directoryOf(io, await filesOf(size)), await directoryOf(io, await filesOf(size))))
      .conflicts
  assert.equal((await merged(2 ** 52)).length, names.length)
  // All that one merge reads is bounded, not what it reads of each file.
  const conflicts = (await merged(100 * 2 ** 20)).length
  assert.equal(conflicts, names.length - 2)
})

test("a diff lists what was added, removed and changed, and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(model, model, async (before, after) => {
      const { io } = memoryIo()
      const found: Record<string, string> = {}
      for await (const item of diff(io, await treeOf(io, before), await treeOf(io, after)))
        if ((item.after ?? item.before)?.kind === "file") found[item.path.join("/")] = item.kind
      const expected: Record<string, string> = {}
      for (const name of new Set([...Object.keys(before), ...Object.keys(after)]))
        if (before[name] !== after[name])
          expected[name] = before[name] === undefined ? "added" : after[name] === undefined ? "removed" : "changed"
      assert.deepEqual(found, expected)
    }),
    { numRuns: 100 },
  )
})

test("a diff of two large directories reads only where they differ", async () => {
  const { io, chunks } = memoryIo()
  const entries = Array.from({ length: 40_000 }, (_, i) => file(`file-${i}`))
  const a = await directoryOf(io, entries)
  const b = await update(
    io,
    a,
    new Map<string, Entry | null>([
      ["file-777", file("file-777", "new")],
      ["file-9", null],
      ["g", file("g")],
    ]),
  )
  const cold = memoryIo()
  for (const [key, bytes] of chunks.stored) cold.chunks.stored.set(key, bytes)
  let nodes = 0
  const read = cold.io.readNode.bind(cold.io)
  cold.io.readNode = (...parameters) => {
    nodes++
    return read(...parameters)
  }
  const found = await collect(diff(cold.io, a, b))
  assert.deepEqual(
    found.map(({ kind, path: at }) => `${kind} ${at.join("/")}`),
    ["changed file-777", "removed file-9", "added g"],
  )
  assert.ok(nodes < 20, `${nodes} nodes were read`)
})
