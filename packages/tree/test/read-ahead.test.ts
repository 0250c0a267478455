/** What a reader fetches ahead: something for who goes on, nothing for who reads here and there. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import {
  createFileWriter,
  createTreeIo,
  encodeManifestNode,
  type FileContent,
  RandomReader,
  type TreeIo,
} from "../src/index.ts"
import { env, memoryIo, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What begins without waiting for a chunk has begun. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn()
}

async function stored(io: TreeIo, bytes: Uint8Array): Promise<FileContent> {
  const writer = createFileWriter(io)
  const adding = writer.add(bytes.slice())
  await writer.flush()
  return adding
}

test("reads here and there fetch nothing ahead; those that go on do", async () => {
  const { io: writing, chunks } = memoryIo()
  const whole = noise(12 * mib)
  const content = await stored(writing, whole)
  const { gets } = chunks
  const fetched = () => chunks.gets - gets
  const reader = new RandomReader(createTreeIo({ chunks, env }), content)
  for (const at of [128 * kib, 5 * mib, 9 * mib, 2 * mib]) await reader.read(at, 100)
  await settled()
  assert.equal(fetched(), 1 + 4, "the list, and a page each")
  await reader.read(2 * mib + 64 * kib, 100)
  await settled()
  assert.equal(fetched(), 5 + 2, "a page, and those after it")
  await reader.read(2 * mib + 128 * kib, 100)
  await settled()
  assert.equal(fetched(), 7 + 1, "that is here, and what comes after it")
  const beside = new RandomReader(createTreeIo({ chunks, env }), content)
  await beside.read(128 * kib, 100)
  await settled()
  assert.equal(fetched(), 8 + 2, "a first read that is not at the beginning")
})

test("what comes after a hole is fetched ahead, and of a file that has no list nothing but its parts", async () => {
  const { io: writing, chunks } = memoryIo()
  const piece = async (length: number, seed: number) => {
    const chunk = await chunks.putChunk(noise(length, seed))
    return { length, reference: { chunk, offset: 0, length } }
  }
  const items = [await piece(300 * kib, 1), { length: 64 * kib, reference: null }, await piece(400 * kib, 2)]
  const bytes = encodeManifestNode(0, items)
  const reference = { chunk: await chunks.putChunk(bytes.slice()), offset: 0, length: bytes.length }
  const ranged: string[] = []
  const { readRange } = chunks
  chunks.readRange = (ref, range) => {
    ranged.push(toHex(ref.id))
    return readRange.call(chunks, ref, range)
  }
  const holed = new RandomReader(createTreeIo({ chunks, env }), { form: "manifest", size: 764 * kib, reference })
  await holed.read(0, 250 * kib)
  while (ranged.length < 3) await turn()
  assert.ok(ranged.includes(toHex(items[2]!.reference!.chunk.id)))
  const { form, size, reference: single } = (await stored(writing, noise(3 * mib))) as FileContent & { form: "single" }
  const { gets } = chunks
  const reader = new RandomReader(createTreeIo({ chunks, env }), { form, size, reference: single })
  await reader.read(0, 100)
  await settled()
  assert.deepEqual([chunks.gets - gets, ranged.length], [2, 5], "the part and those after it, as parts")
})

test("the rest of a file is fetched ahead, however little it is; reading the same again fetches nothing", async () => {
  const { io: writing, chunks } = memoryIo()
  const content = await stored(writing, noise(280 * kib))
  const { gets } = chunks
  const reader = new RandomReader(createTreeIo({ chunks, env }), content)
  for (let i = 0; i < 8; i++) await reader.read(0, 100)
  await settled()
  assert.equal(chunks.gets - gets, 2, "the part, and those after it")
  const other = new RandomReader(createTreeIo({ chunks, env }), content)
  await other.read(0, 250 * kib)
  await settled()
  assert.equal(chunks.gets - gets, 4)
})
