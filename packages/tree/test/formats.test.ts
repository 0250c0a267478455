import assert from "node:assert/strict"
import { test } from "node:test"
import { decodeCbor, encodeCbor, HoldfastError, limits } from "@holdfast/core"
import { decodeCap, encodeCap, toReadCap } from "@holdfast/protocol"
import fc from "fast-check"
import {
  chunksOf,
  createFileWriter,
  createTreeIo,
  type DirectoryRef,
  decodeCare,
  decodeDirectoryNode,
  decodeEntry,
  decodeEntryCap,
  decodeManifestNode,
  decodeReference,
  decodeRoot,
  type Entry,
  encodeCare,
  encodeDirectoryNode,
  encodeEntry,
  encodeEntryCap,
  encodeManifestNode,
  encodeRoot,
  NodePack,
  openJunction,
  plainAttributes,
  type Reference,
  sameEntry,
  sealJunction,
  walk,
} from "../src/index.ts"
import { collect, directoryOf, env, file, MemoryChunks, memoryIo, noise } from "./grid.ts"

const chunk = { id: noise(32, 3), key: noise(32, 4) }
/** Stands for the decoder of what is no node. */
const noNode = () => undefined
/** Where a node lies that ends its chunk. */
const holder = { chunk, offset: limits.chunkBytes, length: 1 }
const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const reference: fc.Arbitrary<Reference> = fc
  .tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(9999))
  .chain(([id, key, offset]) =>
    fc.integer({ min: 1, max: 99999 }).map((length) => ({ chunk: { id, key }, offset, length })),
  )
const text = (maxLength: number) =>
  fc.string({ unit: "grapheme", minLength: 1, maxLength }).filter((t) => !t.includes("\0"))
const attributes = fc.record({
  name: text(30).map((name) => `n${name.replaceAll("/", "_")}`),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 0xffffffff }),
  gid: fc.integer({ min: 0, max: 0xffffffff }),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ctimeNs: fc.bigInt({ min: -1000n, max: 1000n }),
  xattrs: fc.option(
    fc
      .uniqueArray(fc.tuple(text(12), bytes(20)), { minLength: 1, maxLength: 4, selector: ([key]) => key })
      .map((all) => new Map(all)),
  ),
})
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.tuple(attributes, bytes(600)).map(
    ([own, content]): Entry => ({
      ...own,
      kind: "file",
      size: content.length,
      content: { form: "inline", size: content.length, bytes: content },
    }),
  ),
  fc.tuple(attributes, reference).map(
    ([own, at]): Entry => ({
      ...own,
      kind: "file",
      size: at.length,
      content: { form: "single", size: at.length, reference: at },
    }),
  ),
  fc
    .tuple(attributes, reference, fc.nat())
    .map(
      ([own, at, size]): Entry => ({ ...own, kind: "file", size, content: { form: "manifest", size, reference: at } }),
    ),
  fc
    .tuple(attributes, fc.option(reference))
    .map(([own, at]): Entry => ({ ...own, kind: "directory", size: 0, reference: at })),
  fc
    .tuple(attributes, text(40))
    .map(([own, target]): Entry => ({ ...own, kind: "symlink", size: Buffer.byteLength(target), target })),
  fc
    .tuple(attributes, fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.option(bytes(200)))
    .map(([own, readCap, sealedWriteCap]): Entry => ({ ...own, kind: "junction", size: 0, readCap, sealedWriteCap })),
)

test("every entry decodes to what was encoded, in one way only", () => {
  fc.assert(
    fc.property(entry, (original) => {
      const encoded = encodeEntry(original)
      const decoded = decodeEntry(encoded)
      assert.ok(sameEntry(original, decoded))
      assert.deepEqual(encodeEntry(decoded), encoded)
      assert.deepEqual(encodeEntryCap(original).entry, encoded)
    }),
  )
})

test("equal entries only are the same", () => {
  fc.assert(
    fc.property(entry, entry, (a, b) => {
      assert.equal(sameEntry(a, b), Buffer.from(encodeEntry(a)).equals(encodeEntry(b)))
    }),
  )
})

const decoders: Readonly<Record<string, (input: Uint8Array) => unknown>> = {
  entry: (input) => decodeEntry(input, holder),
  "directory node": (input) => decodeDirectoryNode(input, holder),
  manifest: (input) => decodeManifestNode(input, holder),
  root: decodeRoot,
  "care list": decodeCare,
  "entry capability": (input) => decodeEntryCap({ kind: "ci", entry: input }),
}

function throwsTyped(decode: (input: Uint8Array) => unknown, input: Uint8Array): void {
  try {
    decode(input)
  } catch (error) {
    assert.ok(error instanceof HoldfastError, `${error}`)
  }
}

const at: Reference = { chunk, offset: 7, length: 9 }
const goodOnes = [
  encodeEntry(file("a")),
  encodeDirectoryNode(0, [file("a"), file("b")]),
  encodeDirectoryNode(1, [{ name: "a", reference: at, count: 3 }]),
  encodeManifestNode(0, [
    { length: 9, reference: at },
    { length: 5, reference: null },
  ]),
  encodeRoot({ root: at, commitTimeMs: 5, history: [{ sequence: 1, timeMs: 2, root: null }], snapshots: at }),
  encodeCare({ inline: new Uint8Array(64), segments: [{ chunk, offset: 0, length: 96 }], accounts: [chunk.id] }),
]

for (const [what, decode] of Object.entries(decoders)) {
  test(`the decoder of ${what} answers any bytes with a value or a typed error`, () => {
    fc.assert(
      fc.property(bytes(200), (input) => throwsTyped(decode, input)),
      { numRuns: 300 },
    )
    const place = fc.tuple(fc.constantFrom(...goodOnes), fc.nat(), fc.nat(255))
    const damaged = place.map(([good, position, byte]) => good.with(position % good.length, byte))
    fc.assert(
      fc.property(damaged, (input) => throwsTyped(decode, input)),
      { numRuns: 500 },
    )
    const tree = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, 0, 1, 2, 4096, "a", "b"),
        bytes(40),
        fc.array(tie("value"), { maxLength: 10 }),
      ),
    }))
    fc.assert(
      fc.property(tree.value, (value) => throwsTyped(decode, encodeCbor(value as never))),
      { numRuns: 300 },
    )
    for (const good of goodOnes) for (let end = 0; end < good.length; end++) throwsTyped(decode, good.subarray(0, end))
  })
}

test("entries with a wrong field are refused", () => {
  const good = decodeCbor(encodeEntry(file("a", "xyz")), "entry") as unknown[]
  const wrong: readonly (readonly [number, unknown])[] = [
    [0, ""],
    [0, "a/b"],
    [0, ".."],
    [1, 4],
    [1, -1],
    [2, 0o10000],
    [3, -1],
    [3, 2 ** 32],
    [5, 2n ** 63n],
    [5, "0"],
    [7, 4],
    [7, -1],
    [8, {}],
    [8, []],
    [8, { x: 1 }],
    [9, null],
    [9, "xyz"],
    [9, [3, [1, 2]]],
    [9, [1, [1, 2]]],
    [9, [1, [1, 0]]],
    [9, new Uint8Array(limits.inlineBytes + 1)],
  ]
  for (const [field, value] of wrong)
    assert.throws(
      () => decodeEntry(encodeCbor(good.with(field, value) as never), holder),
      { code: "ERR_BAD_FORMAT" },
      `${field}`,
    )
  assert.throws(() => decodeEntry(encodeCbor([...good, 0] as never), holder), { code: "ERR_BAD_FORMAT" })
  assert.ok(decodeEntry(encodeCbor([...good] as never), holder))
})

test("nodes out of order, empty, too large or of a later version are refused", () => {
  const node = (items: readonly Entry[]) => decodeDirectoryNode(encodeDirectoryNode(0, items), holder)
  assert.throws(() => node([file("b"), file("a")]), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => node([file("a"), file("a")]), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => node([]), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => decodeDirectoryNode(encodeCbor([2, 0, []]), holder), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.throws(() => decodeManifestNode(encodeCbor([2, 0, []]), holder), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.throws(() => decodeRoot(encodeCbor([2, 0, []])), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.throws(() => decodeCare(encodeCbor([3, 0, []])), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.throws(() => decodeDirectoryNode(new Uint8Array(limits.treeNodeBytes + 1), holder), { code: "ERR_LIMIT" })
})

test("a self reference is to what comes before it in the chunk that holds it, and means nothing without one", () => {
  assert.deepEqual(decodeReference([5, 6], holder), { chunk, offset: 5, length: 6 })
  assert.throws(() => decodeReference([5, 6], undefined), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => decodeReference([5, limits.chunkBytes], holder), { code: "ERR_BAD_FORMAT" })
  assert.throws(() => decodeReference([5, 0], holder), { code: "ERR_BAD_FORMAT" })
  const node = { chunk, offset: 20, length: 30 }
  assert.deepEqual(decodeReference([5, 15], node), { chunk, offset: 5, length: 15 })
  for (const [offset, length] of [
    [20, 30],
    [5, 16],
    [25, 5],
    [60, 10],
  ] as const)
    assert.throws(() => decodeReference([offset, length], node), { code: "ERR_BAD_FORMAT" }, `${offset}, ${length}`)
})

test("directories nested in one another beyond the deepest path end a walk with an error", async () => {
  const { io } = memoryIo()
  const pack = io.newPack()
  const inside = (reference: DirectoryRef): Entry => ({
    ...plainAttributes(0o755, 0),
    name: "d",
    kind: "directory",
    size: 0,
    reference,
  })
  let reference: DirectoryRef = null
  for (let depth = 0; depth <= limits.pathDepth + 1; depth++) {
    const below = reference
    reference = await pack.write((into) => encodeDirectoryNode(0, [inside(below)], into), decodeDirectoryNode)
  }
  await pack.seal()
  const drain = async (items: AsyncIterable<unknown>) => {
    for await (const _ of items);
  }
  await assert.rejects(drain(walk(io, reference)), { code: "ERR_LIMIT" })
  await assert.rejects(drain(chunksOf(io, reference)), { code: "ERR_LIMIT" })
})

test("nodes of one commit refer to each other within a chunk, and by id across chunks", async () => {
  const chunks = new MemoryChunks()
  const pack = new NodePack(chunks)
  const io = createTreeIo({ chunks, env })
  const leaf = await pack.write((holder) => encodeDirectoryNode(0, [file("a")], holder), decodeDirectoryNode)
  const child = { name: "a", reference: leaf, count: 1 }
  const near = await pack.write((holder) => encodeDirectoryNode(1, [child], holder), decodeDirectoryNode)
  assert.ok(near.length < 20, "a self reference is short")
  for (let i = 0; i < 5; i++) await pack.write(() => noise(1024 * 1024, i + 1), noNode)
  const far = await pack.write((holder) => encodeDirectoryNode(1, [child], holder), decodeDirectoryNode)
  await pack.seal()
  assert.notDeepEqual(far.chunk, near.chunk)
  for (const reference of [near, far]) {
    const node = await io.readNode(reference)
    assert.ok(node.level === 1)
    assert.deepEqual((await io.readNode((node.items[0] as typeof child).reference)).items, [file("a")])
  }
})

test("a node that could not be read again is not written", async () => {
  const chunks = new MemoryChunks()
  const pack = new NodePack(chunks)
  const bytes = encodeDirectoryNode(0, [file("b"), file("a")])
  await assert.rejects(
    pack.write(() => bytes, decodeDirectoryNode),
    { code: "ERR_BAD_FORMAT" },
  )
  await pack.seal()
  assert.equal(chunks.stored.size, 0)
})

test("a node that is not what its parent says is refused", async () => {
  const { io } = memoryIo()
  const leaf = (await directoryOf(io, [file("a")]))!
  const place = { level: 0, name: "a", count: 1, before: "b" }
  assert.equal((await io.readNode(leaf, place)).level, 0)
  for (const wrong of [{ name: "b" }, { level: 1 }, { count: 2 }, { before: "a" }])
    await assert.rejects(io.readNode(leaf, { ...place, ...wrong }), { code: "ERR_BAD_FORMAT" })
  await assert.rejects(io.readNode({ ...leaf, length: 5000 }), { code: "ERR_CORRUPT" })
})

test("only the parent's writers open a child's write capability", async () => {
  const { crypto } = env
  const [parent, other, child] = [crypto.random(32), crypto.random(32), crypto.random(32)]
  const write = { kind: "dw", seed: child } as const
  const read = await toReadCap(crypto, write)
  const junction = await sealJunction(crypto, parent, write)
  assert.deepEqual(await openJunction(crypto, parent, junction), decodeCap(encodeCap(write)))
  assert.deepEqual(encodeCap(await openJunction(crypto, undefined, junction)), encodeCap(read))
  await assert.rejects(openJunction(crypto, other, junction), { code: "ERR_CORRUPT" })
  const swapped = { ...junction, readCap: (await sealJunction(crypto, parent, { kind: "dw", seed: other })).readCap }
  await assert.rejects(openJunction(crypto, parent, swapped), { code: "ERR_CORRUPT" })
  assert.equal((await sealJunction(crypto, parent, read)).sealedWriteCap, null)
})

test("every chunk that a tree needs is listed once, and no other", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const adding = [3000, 4000, 9_000_000].map((size, i) => writer.add(noise(size, i + 1)))
  await writer.flush()
  const files = (await Promise.all(adding)).map(
    (content, i): Entry => ({ ...plainAttributes(0o644, 0), name: `f${i}`, kind: "file", size: content.size, content }),
  )
  const below = await directoryOf(io, files)
  const root = await directoryOf(io, [
    ...files,
    { ...plainAttributes(0o755, 0), name: "sub", kind: "directory", size: 0, reference: below },
  ])
  const needed = [...chunks.stored.keys()].sort()
  await directoryOf(io, [file("elsewhere")])
  const listed = (await collect(chunksOf(io, [root, null, below]))).map(({ id }) => Buffer.from(id).toString("hex"))
  assert.deepEqual(listed.sort(), needed)
})

test("a walk over directories that hold each other twice, sixty deep, ends with an error", async () => {
  const { io } = memoryIo()
  let directory = await directoryOf(io, [file("a")])
  for (let level = 0; level < 60; level++) {
    const below = { ...plainAttributes(0o755, 0), kind: "directory", size: 0, reference: directory } as const
    directory = await directoryOf(
      io,
      ["x", "y"].map((name) => ({ ...below, name })),
    )
  }
  const told = async () => {
    for await (const _ of walk(io, directory));
  }
  await assert.rejects(told, { code: "ERR_LIMIT" })
})
