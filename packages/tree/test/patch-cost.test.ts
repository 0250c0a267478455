/** What patches cost: chunks read and written, whatever the size of the file. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createTreeIo, type FileContent, NodePack, patchFile, readFile } from "../src/index.ts"
import { writeManifest } from "../src/manifest.ts"
import { settle } from "../src/reference.ts"
import { bytesOf, env, type MemoryChunks, memoryIo, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib

/** A file that says it has `count` pieces of 4 MiB, which are all the same chunk. */
async function wideFile(count: number) {
  const { chunks } = memoryIo()
  const { id, key } = await chunks.putChunk(noise(4 * mib))
  const piece = { length: 4 * mib, reference: { chunk: { id, key }, offset: 0, length: 4 * mib } }
  const pieces = Array.from({ length: count }, () => piece)
  const size = count * 4 * mib
  const pack = new NodePack(chunks)
  const root = await writeManifest(pack, pieces)
  await pack.seal()
  return {
    io: createTreeIo({ chunks, env }),
    chunks,
    content: { form: "manifest", size, reference: settle(root) } as FileContent,
  }
}

/** What `work` asks of the chunks. */
async function costOf<T>(chunks: MemoryChunks, work: () => Promise<T>) {
  const before = {
    gets: chunks.gets - chunks.ranges,
    ranges: chunks.ranges,
    put: chunks.putBytes,
    puts: chunks.stored.size,
  }
  const result = await work()
  return {
    result,
    wholes: chunks.gets - chunks.ranges - before.gets,
    ranges: chunks.ranges - before.ranges,
    putBytes: chunks.putBytes - before.put,
    puts: chunks.stored.size - before.puts,
  }
}

test("4 KiB in a file of 1 GiB cost a page and the node that lists it, in one chunk", async () => {
  const { io, chunks, content } = await wideFile(256)
  const change = { offset: 500 * mib + 70_000, bytes: noise(4096, 3) }
  const cost = await costOf(chunks, () => patchFile(io, content, [change]))
  assert.deepEqual([cost.wholes, cost.ranges, cost.puts], [1, 1, 1]) // the list; the page
  assert.ok(cost.putBytes < 64 * kib + 256 * 100, `${cost.putBytes} bytes`)
  const range = { start: change.offset - 2, end: change.offset + 4098 }
  const around = await bytesOf(readFile(io, cost.result, range))
  assert.ok(Buffer.from(around.subarray(2, 4098)).equals(change.bytes))
})

test("a change in a file of 100 GiB reads and writes one node of each level", async () => {
  const { io, chunks, content } = await wideFile(25_600)
  const first = await patchFile(io, content, [{ offset: 7, bytes: noise(4096, 3) }])
  let latest = first
  for (const gib of [20, 41, 99]) {
    const offset = gib * 1024 * mib + 5 * mib
    const fresh = createTreeIo({ chunks, env })
    const cost = await costOf(chunks, () => patchFile(fresh, latest, [{ offset, bytes: noise(4096, gib) }]))
    // Node of the root, node below it, and the page on both sides of the change.
    assert.ok(cost.wholes + cost.ranges <= 4, `${cost.wholes} and ${cost.ranges}`)
    assert.equal(cost.puts, 1)
    assert.ok(cost.putBytes < 64 * kib + 2000 * 100 + 2 * 256 * 100, `${cost.putBytes} bytes`)
    latest = cost.result
  }
})

test("cutting off and extending cost nodes alone, whatever the size", async () => {
  const { io, chunks, content } = await wideFile(25_600)
  for (const size of [1, 37 * 1024 * mib + 5, 99 * 1024 * mib, 300 * 1024 * mib, 2 ** 52]) {
    const cost = await costOf(chunks, () => patchFile(io, content, [], { size }))
    assert.equal(cost.result.size, size)
    assert.ok(cost.putBytes < 2000 * 100, `${cost.putBytes} bytes for ${size}`)
    assert.ok(cost.wholes + cost.ranges <= 20, `${cost.wholes} and ${cost.ranges} for ${size}`)
  }
})

test("many small changes of one patch share chunks", async () => {
  const { io, chunks, content } = await wideFile(256)
  const edits = Array.from({ length: 200 }, (_, i) => ({ offset: i * 5 * mib + 3, bytes: noise(100, i + 1) }))
  const cost = await costOf(chunks, () => patchFile(io, content, edits))
  assert.ok(cost.puts <= 5, `${cost.puts} chunks`)
  assert.ok(cost.putBytes < 200 * 64 * kib + 3 * 50_000, `${cost.putBytes} bytes`)
})
