import assert from "node:assert/strict"
import { test } from "node:test"
import { fromUtf8 } from "@holdfast/core"
import fc from "fast-check"
import {
  compareNames,
  countEntries,
  createTreeIo,
  type DirectoryRef,
  type Entry,
  type FileEntry,
  listDirectory,
  listPages,
  lookupEntry,
  plainAttributes,
  type TreeIo,
} from "../src/index.ts"
import { nameBytes, nameHash } from "../src/name.ts"
import { collect, directoryOf, env, file, memoryIo, update } from "./grid.ts"

const textOf = (entry: Entry) =>
  entry.kind === "file" && entry.content.form === "inline" ? fromUtf8(entry.content.bytes) : undefined

/** The first and last name and the level of every node. */
async function shape(io: TreeIo, directory: DirectoryRef): Promise<string[]> {
  if (!directory) return []
  const node = await io.readNode(directory)
  const lines = [`${node.level} ${node.items.length} ${node.items[0]!.name} ${node.items.at(-1)!.name}`]
  for (const item of node.items) if (!("kind" in item)) lines.push(...(await shape(io, item.reference)))
  return lines
}

// Long texts make nodes small in entries, so that few entries give several levels.
const big = (name: string, version: number) => file(name, `${version}`.padEnd(4000, "x"))
const names = fc.integer({ min: 0, max: 150 }).map((i) => `${"zyxäé\u{1f600}\uffee"[i % 7]}${i}`.toWellFormed())
const steps = fc.array(
  fc.array(fc.tuple(names, fc.option(fc.integer({ min: 0, max: 3 }), { freq: 3 })), { maxLength: 60 }),
  { minLength: 1, maxLength: 6 },
)

test("a directory behaves as a sorted map and has the nodes of one made afresh", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (batches) => {
      const { io } = memoryIo()
      const model = new Map<string, Entry>()
      let directory: DirectoryRef = null
      for (const batch of batches) {
        const changes = new Map<string, Entry | null>()
        for (const [name, version] of batch) changes.set(name, version === null ? null : big(name, version))
        for (const [name, entry] of changes) entry ? model.set(name, entry) : model.delete(name)
        directory = await update(io, directory, changes)
        const sorted = [...model.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const listed = await collect(listDirectory(io, directory))
        assert.deepEqual(
          listed.map((entry) => [entry.name, textOf(entry)]),
          sorted.map((name) => [name, textOf(model.get(name)!)]),
        )
        assert.equal(await countEntries(io, directory), sorted.length)
      }
      const afresh = await directoryOf(io, [...model.values()])
      assert.deepEqual(await shape(io, directory), await shape(io, afresh))
    }),
    { numRuns: 60 },
  )
})

test("small entries in many levels: removing all but one leaves a single leaf", async () => {
  const { io } = memoryIo()
  const all = Array.from({ length: 30_000 }, (_, i) => file(`f${i}`))
  const full = await directoryOf(io, all)
  assert.ok((await io.readNode(full!)).level >= 1)
  const one = await update(io, full, new Map(all.slice(1).map(({ name }) => [name, null])))
  assert.deepEqual(await shape(io, one), ["0 1 f0 f0"])
  assert.equal(await update(io, one, new Map([["f0", null]])), null)
})

test("every name is found, and no other", async () => {
  const { io } = memoryIo()
  const directory = await directoryOf(
    io,
    Array.from({ length: 5000 }, (_, i) => file(`name ${i * 2}`)),
  )
  for (let i = 0; i < 5000; i += 37) {
    assert.equal((await lookupEntry(io, directory, `name ${i * 2}`))?.name, `name ${i * 2}`)
    assert.equal(await lookupEntry(io, directory, `name ${i * 2 + 1}`), undefined)
  }
  assert.equal(await lookupEntry(io, directory, "a"), undefined)
  assert.equal(await lookupEntry(io, directory, "zz"), undefined)
})

test("a listing goes on after any name", async () => {
  const { io } = memoryIo()
  const directory = await directoryOf(
    io,
    Array.from({ length: 3000 }, (_, i) => file(`${i}`)),
  )
  const all = (await collect(listDirectory(io, directory))).map(({ name }) => name)
  for (const after of ["", "0", "1500", "1500x", "999", "zzz"])
    assert.deepEqual(
      (await collect(listDirectory(io, directory, { after }))).map(({ name }) => name),
      all.filter((name) => compareNames(name, after) > 0),
    )
})

test("one file more in a directory of 100,000 writes a few small nodes", async () => {
  const { io, chunks } = memoryIo()
  const reference = { chunk: { id: new Uint8Array(32), key: new Uint8Array(32) }, offset: 0, length: 4096 }
  const content = { form: "single", size: 4096, reference } as const
  const entry = (name: string): FileEntry => ({ ...plainAttributes(0o644, 0), name, kind: "file", size: 4096, content })
  const directory = await directoryOf(
    io,
    Array.from({ length: 100_000 }, (_, i) => entry(`file-${i}`)),
  )
  assert.equal((await collect(listDirectory(io, directory))).length, 100_000)
  const whole = chunks.putBytes
  let most = 0
  for (let i = 0; i < 20; i++) {
    const before = chunks.putBytes
    const name = `file-${i * 4711}-new`
    const updated = await update(io, directory, new Map([[name, entry(name)]]))
    most = Math.max(most, chunks.putBytes - before)
    assert.equal((await lookupEntry(io, updated, name))?.name, name)
    assert.equal(await countEntries(io, updated), 100_001)
  }
  assert.ok(whole > 9_000_000, `${whole}`)
  assert.ok(most < 200_000, `wrote ${most} bytes`)
})

test("putting what is there writes nothing and gives the same reference", async () => {
  const { io, chunks } = memoryIo()
  const directory = await directoryOf(io, [file("a"), file("b")])
  const before = chunks.putBytes
  const same = await update(
    io,
    directory,
    new Map<string, Entry | null>([
      ["a", file("a")],
      ["missing", null],
    ]),
  )
  assert.deepEqual(same, directory)
  assert.equal(chunks.putBytes, before)
})

test("names are ordered as their UTF-8 bytes are", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
      assert.equal(Math.sign(compareNames(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
  const edges = ["a", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"]
  assert.deepEqual(edges.toReversed().sort(compareNames), edges)
})

test("a name is hashed and measured by its UTF-8 bytes", () => {
  const edges = [
    "a",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\u{10000}",
    "a\u00e4b\u{10ffff}",
  ]
  for (const name of edges) {
    const bytes = Buffer.from(name)
    assert.equal(nameBytes(name), bytes.length)
    let hash = Math.imul(0x811c9dc5 ^ 3, 0x01000193)
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    assert.equal(nameHash(3, name), (hash ^ (hash >>> 16)) >>> 0, JSON.stringify(name))
  }
})

test("names that no directory may hold are refused", async () => {
  const { io } = memoryIo()
  for (const [name, why] of [
    ["", "is empty"],
    [".", '"." or ".."'],
    ["..", '"." or ".."'],
    ["a/b", 'contains "/"'],
    ["a\0", "zero byte"],
    ["\ud800", "valid Unicode"],
    ["ä".repeat(128), "longer than 255 bytes"],
    ["a".repeat(256), "longer than 255 bytes"],
  ] as const)
    await assert.rejects(directoryOf(io, [file(name, "x")]), { code: "ERR_INVALID_NAME", message: new RegExp(why) })
  assert.ok(await directoryOf(io, [file("ä".repeat(127), "x")]))
})

test("a long listing fetches one chunk ahead for who goes on, and none for who only looks", async () => {
  const { io: writing, chunks } = memoryIo()
  const xattrs = new Map([["user.large", new Uint8Array(40_000)]]) // so that one node above the leaves spans several chunks
  const all = Array.from({ length: 250 }, (_, i) => ({ ...file(`${1000 + i}`), xattrs }))
  const directory = await directoryOf(writing, all)
  const io = createTreeIo({ chunks, env })
  assert.ok(chunks.stored.size > 2, "the directory has several chunks of nodes")
  const fetched = () => chunks.gets - before
  const before = chunks.gets
  const pages = listPages(io, directory)
  const first = (await pages.next()).value!
  const looked = fetched()
  const second = (await pages.next()).value!
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(fetched(), looked + 1)
  const names = [...first, ...second].map(({ name }) => name)
  for await (const page of pages) for (const { name } of page) names.push(name)
  assert.deepEqual(
    names,
    all.map(({ name }) => name),
  )
  assert.ok(fetched() <= chunks.stored.size, "no chunk is fetched twice")
})

test("listing a directory of very many entries leaves what was read before in the cache", async () => {
  const { io: writing, chunks } = memoryIo()
  const directory = await directoryOf(
    writing,
    Array.from({ length: 60_000 }, (_, i) => file(`${100_000 + i}`, "")),
  )
  const small = await directoryOf(writing, [file("a")])
  const io = createTreeIo({ chunks, env })
  const before = await io.readNode(small!)
  assert.equal((await collect(listDirectory(io, directory))).length, 60_000)
  assert.equal(await io.readNode(small!), before)
})
