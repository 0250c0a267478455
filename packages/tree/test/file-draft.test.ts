/** Files held open and changed, against a byte array; several calls at once, little memory, failing places. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { createFileWriter, createTreeIo, type FileContent, FileDraft, readFile, type TreeIo } from "../src/index.ts"
import { bytesOf, env, memoryIo, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib

async function stored(io: TreeIo, bytes: Uint8Array): Promise<FileContent> {
  const writer = createFileWriter(io)
  const adding = writer.add(bytes.slice())
  await writer.flush()
  return adding
}

const spot = fc.nat(1200 * kib)
const length = fc.oneof(fc.nat(300), fc.nat(70 * kib), fc.nat(400 * kib))
const call = fc.oneof(
  { arbitrary: fc.tuple(fc.constant("write" as const), spot, length), weight: 6 },
  { arbitrary: fc.tuple(fc.constant("read" as const), spot, length), weight: 4 },
  { arbitrary: fc.tuple(fc.constant("resize" as const), spot, length), weight: 2 },
  { arbitrary: fc.tuple(fc.constant("zero" as const), spot, length), weight: 1 },
  { arbitrary: fc.tuple(fc.constant("flush" as const), spot, length), weight: 1 },
  { arbitrary: fc.tuple(fc.constant("reopen" as const), spot, length), weight: 1 },
)

test("any sequence of calls on an open file gives what a byte array has, before and after it is stored", async () => {
  const plans = fc.record({
    size: fc.constantFrom(0, 100, 5000, 300 * kib, 1100 * kib),
    mostDirtyBytes: fc.constantFrom(64 * kib, 256 * kib, 8 * mib),
    calls: fc.array(call, { minLength: 1, maxLength: 25 }),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ size, mostDirtyBytes, calls }) => {
      const { io, chunks } = memoryIo()
      let model = noise(size)
      let draft = new FileDraft(io, await stored(io, model), { mostDirtyBytes })
      for (const [round, [kind, at, length]] of calls.entries()) {
        if (kind === "write") {
          const bytes = noise(length, round + 1)
          const grown = new Uint8Array(length > 0 ? Math.max(model.length, at + length) : model.length)
          grown.set(model)
          grown.set(bytes, Math.min(at, grown.length - length))
          model = grown
          await draft.write(at, bytes)
        } else if (kind === "read") {
          const bytes = await draft.read(at, length)
          assert.ok(Buffer.from(bytes).equals(model.subarray(at, at + length)), `${length} at ${at}`)
        } else if (kind === "resize") {
          const resized = new Uint8Array(at)
          resized.set(model.subarray(0, at))
          model = resized
          await draft.resize(at)
        } else if (kind === "zero") {
          model.fill(0, at, at + length)
          await draft.zero(at, length)
        } else {
          const content = await draft.flush()
          assert.equal(draft.isChanged, false)
          if (kind === "reopen") draft = new FileDraft(createTreeIo({ chunks, env }), content, { mostDirtyBytes })
        }
        assert.equal(draft.size, model.length)
      }
      assert.ok(Buffer.from(await draft.read(0, model.length)).equals(model))
      const content = await draft.flush()
      assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, content))))
    }),
    { numRuns: 60 },
  )
})

test("calls at once are done in their order, and reads beside them see what was done", async () => {
  const { io } = memoryIo()
  const draft = new FileDraft(io, await stored(io, noise(3 * mib)), { mostDirtyBytes: 256 * kib })
  const done: Promise<void>[] = []
  for (let i = 0; i < 40; i++) done.push(draft.write((i % 7) * 100_000, new Uint8Array(150_000).fill(i + 1)))
  const [seen] = await Promise.all([draft.read(0, 10), ...done])
  assert.ok(seen.every((byte) => byte === seen[0]) || Buffer.from(seen).equals(noise(3 * mib).subarray(0, 10)))
  const model = noise(3 * mib)
  for (let i = 0; i < 40; i++) model.fill(i + 1, (i % 7) * 100_000, (i % 7) * 100_000 + 150_000)
  assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, await draft.flush()))))
})

test("a file written from beginning to end in small parts is stored as it goes, in pieces as of a whole", async () => {
  const { io, chunks } = memoryIo()
  const empty: FileContent = { form: "inline", size: 0, bytes: new Uint8Array() }
  const draft = new FileDraft(io, empty, { mostDirtyBytes: 4 * mib })
  const whole = noise(24 * mib)
  for (let at = 0; at < whole.length; at += 50_000) {
    await draft.write(at, whole.subarray(at, at + 50_000))
    assert.ok(at + 50_000 - chunks.putBytes <= 5 * mib, "more is kept than should be")
  }
  const content = await draft.flush()
  assert.ok(chunks.stored.size <= 14, `${chunks.stored.size} chunks`)
  assert.ok(Buffer.from(whole).equals(await bytesOf(readFile(io, content))))
})

test("what was cut off does not come back where the file has grown to its size again", async () => {
  for (const size of [400, 300 * kib]) {
    const { io, chunks } = memoryIo()
    const content = await stored(io, noise(size))
    const draft = new FileDraft(io, content)
    await draft.resize(100)
    await draft.resize(size)
    assert.equal(draft.isChanged, true)
    const model = new Uint8Array(size)
    model.set(noise(size).subarray(0, 100))
    assert.ok(Buffer.from(await draft.read(0, size)).equals(model))
    const kept = await draft.flush()
    assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, kept))))
    const before = chunks.putBytes
    assert.equal(await draft.flush(), kept, "nothing was changed since")
    assert.equal(chunks.putBytes, before)
  }
})

test("when storing fails what was written stays, and the next flush stores it", async () => {
  const { io, chunks } = memoryIo()
  const draft = new FileDraft(io, await stored(io, noise(2 * mib)))
  const bytes = noise(100_000, 3)
  await draft.resize(mib)
  await draft.write(2 * mib - 50_000, bytes)
  const put = chunks.putChunk
  chunks.putChunk = async () => {
    throw new Error("no servers")
  }
  await assert.rejects(draft.flush(), /no servers/)
  assert.equal(draft.isChanged, true)
  const model = new Uint8Array(2 * mib + 50_000)
  model.set(noise(2 * mib).subarray(0, mib))
  model.set(bytes, 2 * mib - 50_000)
  assert.ok(Buffer.from(await draft.read(0, model.length)).equals(model))
  chunks.putChunk = put
  assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, await draft.flush()))))
})

test("what is no part of a file is refused, however large the file says it is, and changes nothing", async () => {
  const { io } = memoryIo()
  const draft = new FileDraft(io, await stored(io, noise(100)))
  await draft.resize(2 ** 50)
  const bytes = noise(10)
  for (const call of [
    () => draft.read(0, 2 ** 40),
    () => draft.read(-1, 5),
    () => draft.write(-5, bytes),
    () => draft.write(2 ** 53 - 5, bytes),
    () => draft.resize(-1),
    () => draft.resize(0.5),
    () => draft.zero(5, -1),
  ])
    await assert.rejects(call, { code: "ERR_INVALID_ARGUMENT" })
  assert.equal(draft.size, 2 ** 50)
  await draft.write(2 ** 50 - 10, bytes)
  const content = await draft.flush()
  assert.equal(content.size, 2 ** 50)
  assert.deepEqual([...(await draft.read(2 ** 50 - 11, 20))], [0, ...bytes])
})
