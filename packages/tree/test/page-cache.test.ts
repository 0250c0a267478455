/** The cache of pages by itself, over chunks that come when the test lets them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import type { ChunkRange, ChunkRef } from "@holdfast/store"
import { PageCache } from "../src/index.ts"
import { MemoryChunks, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib
const turn = () => new Promise((resolve) => setImmediate(resolve))

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.ok(Buffer.from(expected.buffer, expected.byteOffset, expected.length).equals(actual), what)
}

/** Chunks that are read when they are told to. */
class SlowChunks extends MemoryChunks {
  readonly reads: { readonly length: number; go(error?: Error): void }[] = []
  /** Bytes that each read of a part gives less than it was asked for. */
  missing = 0

  override async readRange(ref: ChunkRef, range: ChunkRange): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.reads.push({ length: range.length, go: (error) => (error ? reject(error) : resolve()) })
    await promise
    return super.readRange(ref, { ...range, length: range.length - this.missing })
  }
}

async function slowChunk(bytes: number, maxBytes = 8 * mib) {
  const chunks = new SlowChunks()
  const chunk = await chunks.putChunk(noise(bytes))
  const part = (length: number) => ({ chunk, offset: 0, length })
  return { chunks, part, pages: new PageCache(chunks, maxBytes) }
}

for (const fails of [false, true])
  test(`a page that was asked for again, longer, is not ${fails ? "forgotten" : "replaced"} when the first ends later`, async () => {
    const { chunks, part, pages } = await slowChunk(300 * kib)
    const learning = pages.read(part(300 * kib), 64 * kib, 70 * kib) // from now on that it has blocks is known
    await turn()
    chunks.reads[0]!.go()
    await learning
    const before = pages.heldBytes
    const short = pages.read(part(100), 0, 100)
    const long = pages.read(part(300 * kib), 0, 64 * kib)
    await turn()
    assert.deepEqual(
      chunks.reads.map(({ length }) => length),
      [64 * kib, 100, 64 * kib],
    )
    chunks.reads[2]!.go()
    sameBytes(await long, noise(300 * kib).subarray(0, 64 * kib), "the longer one")
    const held = pages.heldBytes
    chunks.reads[1]!.go(fails ? new HoldfastError("ERR_NOT_ENOUGH_SHARES", "gone") : undefined)
    if (fails) await assert.rejects(short, { code: "ERR_NOT_ENOUGH_SHARES" })
    else sameBytes(await short, noise(100), "the shorter one")
    await turn()
    assert.ok(pages.heldBytes < held && pages.heldBytes - before < 65 * kib, `${pages.heldBytes} bytes are held`)
    sameBytes(await pages.read(part(300 * kib), 0, 64 * kib), noise(300 * kib).subarray(0, 64 * kib), "again")
    assert.equal(chunks.reads.length, 3)
  })

test("pages of a chunk that is known are fetched at once, each holds no more than itself, and one that comes short is an error", async () => {
  const { chunks, part, pages } = await slowChunk(300 * kib)
  const learning = pages.read(part(300 * kib), 0, 10)
  await turn()
  chunks.reads[0]!.go()
  assert.ok((await learning).buffer.byteLength <= 64 * kib, "the rest of the chunk can go")
  const both = [64, 192].map((at) => pages.read(part(300 * kib), at * kib, at * kib + 10))
  await turn()
  assert.equal(chunks.reads.length, 3)
  for (const { go } of chunks.reads) go()
  await Promise.all(both)
  chunks.missing = 1
  const short = pages.read(part(300 * kib), 128 * kib, 128 * kib + 10)
  await turn()
  chunks.reads[3]!.go()
  await assert.rejects(short, { code: "ERR_CORRUPT" })
})

test("nothing is fetched ahead while as much is under way as may be", async () => {
  const { chunks, part, pages } = await slowChunk(4 * mib)
  const learning = pages.read(part(4 * mib), 0, 10)
  await turn()
  assert.equal(pages.prefetch(part(4 * mib), mib, mib + 10), false)
  chunks.reads[0]!.go()
  await learning
  assert.equal(pages.prefetch(part(4 * mib), mib, mib + 10), true)
  await turn()
  assert.equal(chunks.reads.length, 2)
})

test("most of a chunk is fetched as the whole, whose pages are held once, and each alone", async () => {
  const { chunks, part, pages } = await slowChunk(4 * mib, 32 * mib)
  const learning = pages.read(part(4 * mib), 0, 10)
  await turn()
  chunks.reads[0]!.go()
  await learning
  sameBytes(await pages.read(part(4 * mib), 5, 3 * mib), noise(4 * mib).subarray(5, 3 * mib), "most")
  assert.equal(chunks.reads.length, 1)
  assert.equal(pages.heldBytes, 64 * (64 * kib + 512))
  for (const at of [10, 64 * kib, 4 * mib - 10])
    assert.equal((await pages.read(part(4 * mib), at, at + 5)).buffer.byteLength, 64 * kib)
})
