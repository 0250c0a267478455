/**
 * A hostile list of a few KB that cuts a file into more pieces than anybody can go through keeps no reader, and nothing beside it,
 * waiting.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  encodeManifestNode,
  FileDraft,
  type ManifestItem,
  patchFile,
  RandomReader,
  type Reference,
  readFile,
  type TreeIo,
} from "../src/index.ts"
import { memoryIo } from "./grid.ts"

/** A gigabyte of pieces of `pieceBytes`, in four chunks. */
async function cutSmall({ io, chunks }: ReturnType<typeof memoryIo>, pieceBytes: number) {
  const stored = async (bytes: Uint8Array): Promise<Reference> => {
    const { length } = bytes
    return { chunk: await chunks.putChunk(bytes), offset: 0, length }
  }
  let item: ManifestItem = { length: pieceBytes, reference: await stored(new Uint8Array(pieceBytes).fill(7)) }
  for (let level = 0; level < 3; level++) {
    const reference = await stored(encodeManifestNode(level, Array<ManifestItem>(1000).fill(item)))
    item = { length: 1000 * item.length, reference }
  }
  return { io, content: { form: "manifest", size: item.length, reference: item.reference! } as const }
}

/** The longest time that a timer was late while `work` ran. */
async function latenessOf(work: () => Promise<unknown>): Promise<number> {
  let [worstMs, lastMs] = [0, performance.now()]
  const timer = setInterval(() => {
    worstMs = Math.max(worstMs, performance.now() - lastMs)
    lastMs = performance.now()
  }, 5)
  await work()
  await new Promise((resolve) => setTimeout(resolve, 10))
  clearInterval(timer)
  return worstMs
}

type Content = Awaited<ReturnType<typeof cutSmall>>["content"]

const reads: Readonly<Record<string, (io: TreeIo, content: Content) => Promise<unknown>>> = {
  "one read of a mebibyte": (io, content) => new RandomReader(io, content).read(500_000, 1024 * 1024),
  "a stream of a range": async (io, content) => {
    for await (const _ of readFile(io, content, { start: 10, end: 2_000_000 }));
  },
  "a stream of all": async (io, content) => {
    for await (const _ of readFile(io, content));
  },
  "a patch": (io, content) => patchFile(io, content, [{ offset: 500_000_000, bytes: new Uint8Array(10) }]),
  "a draft": async (io, content) => {
    const draft = new FileDraft(io, content)
    await draft.write(3, new Uint8Array(10))
    await draft.flush()
  },
}

for (const [name, read] of Object.entries(reads))
  test(`${name} of a file of pieces of a byte ends soon, and others have their turn meanwhile`, async () => {
    const { io, content } = await cutSmall(memoryIo(), 1)
    const startMs = performance.now()
    const lateMs = await latenessOf(() =>
      assert.rejects(read(io, content), { code: "ERR_LIMIT", message: /too small|out of all proportion/ }),
    )
    assert.ok(performance.now() - startMs < 10_000, `${performance.now() - startMs} ms`)
    assert.ok(lateMs < 1_500, `a timer was ${lateMs} ms late`)
  })

test("pieces of half a kilobyte are read, and can be stopped among them", async () => {
  const { io, content } = await cutSmall(memoryIo(), 512)
  const reader = new RandomReader(io, content)
  assert.deepEqual(await reader.read(7, 1024 * 1024), new Uint8Array(1024 * 1024).fill(7))
  const signal = AbortSignal.timeout(20)
  await assert.rejects(reader.read(0, 64 * 1024 * 1024, { signal }), { name: "TimeoutError" })
})
