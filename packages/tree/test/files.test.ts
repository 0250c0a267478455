import assert from "node:assert/strict"
import { test } from "node:test"
import {
  createFileWriter,
  createTreeIo,
  decodeManifestNode,
  encodeManifestNode,
  type FileContent,
  NodePack,
  readFile,
  sameReference,
  type TreeIo,
} from "../src/index.ts"
import { writeManifest } from "../src/manifest.ts"
import { bytesOf, collect, env, MemoryChunks, memoryIo, noise } from "./grid.ts"

const mib = 1024 * 1024

async function* slices(bytes: Uint8Array, step = 60_000): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.slice(at, at + step)
}

test("files of any size come back byte for byte", async () => {
  const { io } = memoryIo()
  const writer = createFileWriter(io)
  const sizes = [0, 1, 512, 513, 4096, mib, mib + 1, 4 * mib, 4 * mib + 1, 9 * mib + 77]
  const adding = sizes.map((size, i) => writer.add(slices(noise(size, i + 1))))
  await writer.flush()
  for (const [i, content] of (await Promise.all(adding)).entries()) {
    assert.equal(content.size, sizes[i])
    assert.ok(Buffer.from(noise(sizes[i]!, i + 1)).equals(await bytesOf(readFile(io, content))), `size ${sizes[i]}`)
  }
})

test("the memory of a small file may be used again as soon as it was added", async () => {
  const { io } = memoryIo()
  const writer = createFileWriter(io)
  const memory = new Uint8Array(mib)
  const sizes = [1, 512, 513, 4096, mib, mib, mib, mib, mib - 1, 7] // more than one pack
  const adding = sizes.map((size, i) => {
    memory.set(noise(size, i + 1))
    return writer.add(memory.subarray(0, size))
  })
  memory.fill(0)
  await writer.flush()
  for (const [i, content] of (await Promise.all(adding)).entries())
    assert.ok(Buffer.from(noise(sizes[i]!, i + 1)).equals(await bytesOf(readFile(io, content))), `file ${i}`)
})

test("any range of a file is what a slice of it is", async () => {
  const { io } = memoryIo()
  const whole = noise(13 * mib + 5)
  const writer = createFileWriter(io)
  const adding = writer.add(slices(whole))
  await writer.flush()
  const content = await adding
  for (const [start, end] of [
    [0, 1],
    [5, 4 * mib],
    [4 * mib - 1, 4 * mib + 1],
    [9 * mib, 20 * mib],
    [7, 7],
    [13 * mib + 4, 13 * mib + 5],
  ] as const)
    assert.ok(Buffer.from(whole.slice(start, end)).equals(await bytesOf(readFile(io, content, { start, end }))))
})

test("a read that starts nowhere is refused, and one after the end gives nothing", async () => {
  const { io } = memoryIo()
  const writer = createFileWriter(io)
  const adding = [100, 1000, 9 * mib].map((size) => writer.add(slices(noise(size))))
  await writer.flush()
  for (const content of await Promise.all(adding)) {
    for (const start of [-1, 0.5, Number.NaN, 2 ** 60])
      await assert.rejects(bytesOf(readFile(io, content, { start })), { code: "ERR_INVALID_ARGUMENT" }, `${start}`)
    for (const start of [content.size, content.size + 5])
      assert.equal((await collect(readFile(io, content, { start }))).length, 0)
    assert.equal((await collect(readFile(io, content, { start: 5, end: 5 }))).length, 0)
  }
})

test("what lies in a chunk that is shorter than its reference says is an error, however it is read", async () => {
  const { io, chunks } = memoryIo()
  for (const size of [mib, 3 * mib]) {
    const chunk = await chunks.putChunk(noise(300_000))
    const content: FileContent = { form: "single", size, reference: { chunk, offset: 0, length: size } }
    await assert.rejects(bytesOf(readFile(io, content)), { code: "ERR_CORRUPT" })
    await assert.rejects(io.readSlice(content.reference), { code: "ERR_CORRUPT" })
  }
})

test("little of a large piece is fetched as a part, all else as its whole chunk, once", async () => {
  const chunks = new MemoryChunks()
  const whole = noise(4 * mib)
  const chunk = await chunks.putChunk(whole.slice())
  const part = (offset: number, length: number) => ({ chunk, offset, length })
  /** Fetches, of which parts, of reads one after another of a client that has nothing yet. */
  const costOf = async (...reads: ((io: TreeIo) => Promise<unknown>)[]) => {
    const io = createTreeIo({ chunks, env })
    const [gets, ranges] = [chunks.gets, chunks.ranges]
    for (const read of reads) await read(io)
    return [chunks.gets - gets, chunks.ranges - ranges]
  }
  const slice = (offset: number, length: number) => async (io: TreeIo) =>
    assert.ok(Buffer.from(whole.subarray(offset, offset + length)).equals(await io.readSlice(part(offset, length))))
  const piece = (how: "readPart" | "readAt", length: number, start: number, end: number) => async (io: TreeIo) =>
    assert.ok(Buffer.from(whole.subarray(mib + start, mib + end)).equals(await io[how](part(mib, length), start, end)))
  assert.deepEqual(await costOf(slice(0, 1000), slice(mib, 1000), slice(0, 3 * mib)), [1, 0])
  assert.deepEqual(await costOf(slice(0, 3 * mib), slice(0, 3 * mib)), [2, 0], "nobody keeps large ones")
  for (const how of ["readPart", "readAt"] as const) {
    assert.deepEqual(await costOf(piece(how, 400_000, 5, 1000)), [1, 1])
    assert.deepEqual(await costOf(slice(0, 5), piece(how, 400_000, 5, 1000)), [1, 0], "the chunk is here")
    assert.deepEqual(await costOf(piece(how, 200_000, 5, 10), piece(how, 200_000, 70_000, 70_010)), [1, 0])
  }
  assert.deepEqual(await costOf(piece("readPart", 400_000, 5, 300_000)), [1, 0], "it is most of the piece")
})

test("a list of pieces that lies behind these is fetched as a part, others with what lies beside them", async () => {
  const chunks = new MemoryChunks()
  const { key, id } = await chunks.putChunk(noise(100))
  const items = [{ length: 100, reference: { chunk: { id, key }, offset: 0, length: 100 } }]
  const node = encodeManifestNode(0, items)
  /** Fetches of the list at an offset in its chunk, of which parts; of a client that may have the chunk. */
  const costOf = async (offset: number, { isHere = false, count = 1 } = {}) => {
    const list = count === 1 ? node : encodeManifestNode(0, Array(count).fill(items[0]))
    const bytes = noise(offset + list.length)
    bytes.set(list, offset)
    const chunk = await chunks.putChunk(bytes)
    const io = createTreeIo({ chunks, env })
    if (isHere) await io.readSlice({ chunk, offset: 0, length: 10 })
    const [gets, ranges] = [chunks.gets, chunks.ranges]
    await io.readManifest({ chunk, offset, length: list.length }, { length: 100 * count })
    return [chunks.gets - gets, chunks.ranges - ranges]
  }
  assert.deepEqual(await costOf(300_000), [1, 1])
  assert.deepEqual(await costOf(300_000, { isHere: true }), [0, 0])
  assert.deepEqual(await costOf(200_000), [1, 0])
  assert.deepEqual(await costOf(300_000, { count: 2000 }), [1, 0])
})

test("a transient read gives the same pieces and frees the whole ones when the next is asked for", async () => {
  const { io } = memoryIo()
  const whole = noise(9 * mib)
  const writer = createFileWriter(io)
  const adding = [writer.add(slices(whole)), writer.add(noise(mib, 2))]
  await writer.flush()
  const [large, packed] = (await Promise.all(adding)) as [FileContent, FileContent]
  for (let round = 0; round < 2; round++) {
    const seen: Uint8Array[] = []
    const copies: Uint8Array[] = []
    for (const content of [large, packed])
      for await (const piece of readFile(io, content, { transient: true })) {
        seen.push(piece)
        copies.push(piece.slice())
      }
    assert.ok(Buffer.concat(copies).equals(Buffer.concat([whole, noise(mib, 2)])))
    assert.deepEqual(
      seen.map(({ length }) => length),
      [0, 0, mib, mib],
    )
  }
})

test("a transient read leaves alone what others read too", async () => {
  const { io } = memoryIo()
  const whole = noise(9 * mib)
  const writer = createFileWriter(io)
  const adding = writer.add(slices(whole))
  await writer.flush()
  const content = (await adding) as FileContent & { form: "manifest" }
  const { items } = await io.readManifest(content.reference, { length: content.size })
  const little = { ...items[0]!.reference!, length: 1000 } // as of a patched file, whose pieces share a chunk
  const before = (await io.readSlice(little)).slice()
  for (let round = 0; round < 2; round++) {
    const copies: Uint8Array[] = []
    for await (const piece of readFile(io, content, { transient: true })) copies.push(piece.slice())
    assert.ok(Buffer.concat(copies).equals(whole))
  }
  assert.deepEqual(await io.readSlice(little), before)
})

test("small files share chunks", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const adding = Array.from({ length: 2000 }, (_, i) => writer.add(noise(4096, i + 1)))
  await writer.flush()
  const contents = await Promise.all(adding)
  assert.equal(chunks.stored.size, 2)
  assert.ok(Buffer.from(noise(4096, 1234)).equals(await bytesOf(readFile(io, contents[1233]!))))
})

test("zeros become holes that cost no chunk and read as zeros", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const adding = writer.add(slices(new Uint8Array(40 * mib), mib))
  await writer.flush()
  const content = await adding
  assert.equal(chunks.stored.size, 1)
  const read = await bytesOf(readFile(io, content))
  assert.equal(read.length, 40 * mib)
  assert.ok(read.every((byte) => byte === 0))
})

test("a source is read only as fast as chunks are stored", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const put = chunks.putChunk.bind(chunks)
  chunks.putChunk = async (bytes) => {
    await gate
    return put(bytes)
  }
  let given = 0
  const source = async function* () {
    for (let i = 0; i < 100; i++) {
      given += mib
      yield noise(mib, i + 1)
    }
  }
  const adding = [writer.add(source()), writer.add(source())]
  let before = -1
  while (given !== before) {
    before = given
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(given >= 16 * mib && given <= 28 * mib, `${given / mib} MiB were read ahead`)
  open()
  await writer.flush()
  for (const { size } of await Promise.all(adding)) assert.equal(size, 100 * mib)
  assert.ok(chunks.mostInFlight <= 4)
})

test("a source that fails fails its file alone, a store that fails everyone's", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const broken = async function* () {
    yield noise(3 * mib)
    throw new Error("the disk is gone")
  }
  const failing = assert.rejects(writer.add(broken()), /the disk is gone/)
  const fine = writer.add(noise(2000))
  await failing
  await writer.flush()
  assert.equal((await fine).size, 2000)
  chunks.putChunk = async () => {
    throw new Error("no servers")
  }
  const small = assert.rejects(writer.add(noise(2000, 2)), /no servers/)
  const large = assert.rejects(writer.add(slices(noise(9 * mib))), /no servers/)
  await assert.rejects(writer.flush(), /no servers/)
  await Promise.all([small, large])
})

test("a missing chunk is an error, never zeros or a shorter file", async () => {
  const { io, chunks } = memoryIo()
  const writer = createFileWriter(io)
  const adding = writer.add(slices(noise(9 * mib)))
  await writer.flush()
  const content = await adding
  chunks.stored.delete([...chunks.stored.keys()][1]!)
  await assert.rejects(bytesOf(readFile(io, content)), { code: "ERR_NOT_ENOUGH_SHARES" })
})

test("a manifest that does not add up to the file is refused", async () => {
  const { io } = memoryIo()
  const writer = createFileWriter(io)
  const adding = writer.add(slices(noise(5 * mib)))
  await writer.flush()
  const content = { ...(await adding), size: 6 * mib } as FileContent
  await assert.rejects(bytesOf(readFile(io, content)), { code: "ERR_BAD_FORMAT" })
})

test("long manifests are trees, read only where a range needs it", async () => {
  const { io, chunks } = memoryIo()
  const pieces = Array.from({ length: 5000 }, () => ({ length: mib, reference: null }))
  const { id, key } = await chunks.putChunk(noise(1000))
  pieces.push({ length: 1000, reference: { chunk: { id, key }, offset: 0, length: 1000 } } as never)
  const pack = new NodePack(chunks)
  const root = await writeManifest(pack, pieces)
  await pack.seal()
  assert.equal((await io.readManifest(root, { length: 5000 * mib + 1000 })).level, 1)
  const content: FileContent = { form: "manifest", size: 5000 * mib + 1000, reference: root }
  const end = await bytesOf(readFile(io, content, { start: 5000 * mib - 10 }))
  assert.ok(Buffer.concat([Buffer.alloc(10), noise(1000)]).equals(end))
  assert.ok(sameReference(root, { chunk: root.chunk, offset: root.offset, length: root.length }))
  assert.throws(() => decodeManifestNode(new Uint8Array([0x83, 1, 0, 0x80]), root), { code: "ERR_BAD_FORMAT" })
})
