/** Patches of files, held against a byte array to which the same was done; and what they cost. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import fc from "fast-check"
import {
  createFileWriter,
  createTreeIo,
  type FileContent,
  type FileEdit,
  patchFile,
  RandomReader,
  type Reference,
  readFile,
  type TreeIo,
} from "../src/index.ts"
import type { ManifestItem } from "../src/manifest.ts"
import { isOwnChunk } from "../src/reference.ts"
import { bytesOf, env, type MemoryChunks, memoryIo, noise } from "./grid.ts"

const kib = 1024
const mib = 1024 * kib
const empty: FileContent = { form: "inline", size: 0, bytes: new Uint8Array() }

async function stored(io: TreeIo, bytes: Uint8Array): Promise<FileContent> {
  const writer = createFileWriter(io)
  const adding = writer.add(bytes.slice())
  await writer.flush()
  return adding
}

/** What a content is made of, level by level; pieces last. */
async function shapeOf(io: TreeIo, content: FileContent) {
  const pieces: ManifestItem[] = []
  const nodes: number[][] = []
  const visit = async (reference: Reference, length: number) => {
    const node = await io.readManifest(reference, { length })
    nodes[node.level] ??= []
    nodes[node.level]!.push(node.items.length)
    for (const [i, item] of node.items.entries())
      if (node.level === 0) {
        assert.ok(item.reference || i === 0 || node.items[i - 1]!.reference, "two holes in a row")
        pieces.push(item)
      } else await visit(item.reference!, item.length)
  }
  if (content.form === "single") pieces.push({ length: content.size, reference: content.reference })
  if (content.form === "manifest") await visit(content.reference, content.size)
  return { pieces, nodes }
}

/** Nothing but a whole chunk looks like one, and two holes in a row are one. */
async function checkShape(io: TreeIo, chunks: MemoryChunks, content: FileContent): Promise<void> {
  const { pieces } = await shapeOf(io, content)
  for (const { reference } of pieces)
    if (reference && isOwnChunk(reference))
      assert.equal(chunks.stored.get(toHex(reference.chunk.id))!.length, reference.length)
}

type Step =
  | {
      readonly kind: "write"
      readonly writes: readonly (readonly [at: number, length: number])[]
      readonly step: number
    }
  | { readonly kind: "zeros"; readonly at: number; readonly length: number }
  | { readonly kind: "resize"; readonly to: number }
  | { readonly kind: "append"; readonly length: number }
  | { readonly kind: "reopen" }
  | { readonly kind: "read"; readonly at: number; readonly length: number }

const someBytes = fc.oneof(
  { arbitrary: fc.nat(700), weight: 4 },
  { arbitrary: fc.nat(200 * kib), weight: 3 },
  { arbitrary: fc.nat(5 * mib), weight: 1 },
)
const place = fc.double({ min: 0, max: 1, noNaN: true })
const steps: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("read" as const), at: place, length: someBytes }), weight: 4 },
  {
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      writes: fc.array(fc.tuple(place, someBytes), { minLength: 1, maxLength: 5 }),
      step: fc.constantFrom(0, 1000, 100_000),
    }),
    weight: 5,
  },
  { arbitrary: fc.record({ kind: fc.constant("zeros" as const), at: place, length: someBytes }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("resize" as const), to: fc.nat(9 * mib) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("append" as const), length: someBytes }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("reopen" as const) }), weight: 1 },
)

async function* inSteps(bytes: Uint8Array, step: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.slice(at, at + step)
}

/** A file and what it should be. */
class Twin {
  model: Uint8Array
  content: FileContent
  io: TreeIo
  readonly #chunks: MemoryChunks
  readonly #mostItems: number
  #seed = 7

  constructor(chunks: MemoryChunks, io: TreeIo, { content, model, mostItems }: TwinStart) {
    this.#chunks = chunks
    this.#mostItems = mostItems
    this.io = io
    this.content = content
    this.model = model
  }

  async take(step: Step): Promise<void> {
    const { length: size } = this.model
    if (step.kind === "reopen") this.io = createTreeIo({ chunks: this.#chunks, env, pageCacheBytes: 8 * mib })
    else if (step.kind === "read") await this.#read(Math.floor(step.at * size), step.length)
    else if (step.kind === "resize") await this.#patch([], step.to)
    else if (step.kind === "append") await this.#patch([[size, step.length]])
    else if (step.kind === "zeros") await this.#patch([[Math.floor(step.at * size), -step.length]])
    else
      await this.#patch(apart(step.writes.map(([at, length]) => [Math.floor(at * size), length])), undefined, step.step)
  }

  async check(): Promise<void> {
    assert.equal(this.content.size, this.model.length)
    assert.ok(Buffer.from(this.model).equals(await bytesOf(readFile(this.io, this.content))))
    await checkShape(this.io, this.#chunks, this.content)
  }

  /** A negative length is for so many zeros. */
  async #patch(changes: readonly (readonly [at: number, length: number])[], size?: number, step = 0): Promise<void> {
    const end = Math.max(this.model.length, ...changes.map(([at, length]) => at + Math.abs(length)))
    const model = new Uint8Array(size ?? end)
    model.set(this.model.subarray(0, model.length))
    const edits = changes.map(([offset, length]): FileEdit => {
      if (length < 0) {
        model.fill(0, offset, offset - length)
        return { offset, zeros: -length }
      }
      const bytes = noise(length, this.#seed++)
      model.set(bytes, offset)
      return { offset, bytes: step > 0 ? inSteps(bytes, step) : bytes }
    })
    const options = { mostItems: this.#mostItems, ...(size !== undefined && { size }) }
    this.content = await patchFile(this.io, this.content, edits, options)
    this.model = model
  }

  async #read(offset: number, length: number): Promise<void> {
    const reader = new RandomReader(this.io, this.content)
    const bytes = await reader.read(offset, length)
    assert.ok(Buffer.from(bytes).equals(this.model.subarray(offset, offset + length)), `${length} bytes at ${offset}`)
  }
}

interface TwinStart {
  readonly content: FileContent
  readonly model: Uint8Array
  readonly mostItems: number
}

/** In order, and each cut where the next begins. */
function apart(changes: readonly (readonly [at: number, length: number])[]): (readonly [at: number, length: number])[] {
  const sorted = [...changes].sort(([a], [b]) => a - b)
  return sorted.map(([at, length], i) => [at, Math.min(length, (sorted[i + 1]?.[0] ?? Number.MAX_SAFE_INTEGER) - at)])
}

test("any sequence of writes, truncations, holes and appends gives what a byte array has", async () => {
  const plans = fc.record({
    size: fc.constantFrom(0, 1, 512, 513, 200 * kib, 256 * kib + 1, mib + 1, 4 * mib, 4 * mib + 1, 9 * mib),
    mostItems: fc.constantFrom(4, 5, 256),
    steps: fc.array(steps, { minLength: 1, maxLength: 14 }),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ size, mostItems, steps }) => {
      const { io, chunks } = memoryIo()
      const model = noise(size)
      const twin = new Twin(chunks, io, { content: await stored(io, model), model, mostItems })
      for (const step of steps) await twin.take(step)
      await twin.check()
    }),
    { numRuns: 40, ...(process.env["FC_SEED"] && { seed: Number(process.env["FC_SEED"]) }) },
  )
})

test("a file that was changed hundreds of times stays flat, and its windows are made one again", async () => {
  const { io, chunks } = memoryIo()
  const model = noise(8 * mib)
  let content = await stored(io, model)
  let seed = 1
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return seed % limit
  }
  for (let round = 0; round < 150; round++) {
    const offset = random(model.length - 5000)
    const bytes = noise(1 + random(5000), round + 1)
    model.set(bytes, offset)
    content = await patchFile(io, content, [{ offset, bytes }], { mostItems: 16 })
  }
  const appended = noise(1000, 9)
  let whole = Buffer.from(model)
  for (let round = 0; round < 50; round++) {
    content = await patchFile(io, content, [{ offset: content.size, bytes: appended }], { mostItems: 16 })
    whole = Buffer.concat([whole, appended])
  }
  assert.ok(whole.equals(await bytesOf(readFile(io, content))))
  const { pieces } = await shapeOf(io, content)
  assert.ok(pieces.length <= 2 * 34 + 2, `${pieces.length} pieces`)
  let start = 0
  for (const { length } of pieces) {
    assert.equal(start % (64 * kib), 0, "a piece begins within a page")
    start += length
  }
  // Whole pages, so that nothing of what is there changes with them.
  for (let round = 0; round < 60; round++)
    content = await patchFile(
      io,
      content,
      [{ offset: 9 * mib + round * 64 * kib, bytes: noise(64 * kib, round + 1) }],
      {
        mostItems: 16,
      },
    )
  const { pieces: after, nodes } = await shapeOf(io, content)
  assert.ok(nodes.length <= 2, `${nodes.length} levels`)
  assert.ok(nodes[0]!.length <= after.length / 4 + 1, `${nodes[0]!.length} leaves of ${after.length} pieces`)
  await checkShape(io, chunks, content)
})

test("what lies between changes after the end is zeros, whatever the memory had before", async () => {
  const { io, chunks } = memoryIo()
  const { buffers } = chunks
  const take = buffers.take.bind(buffers)
  buffers.take = (length) => take(length).fill(0xaa)
  for (const size of [300 * kib + 5, 8 * mib - 100]) {
    const content = await stored(io, noise(size))
    const edits = [size + 10, size + 300, size + 70_000, size + 400_000].map((offset) => ({
      offset,
      bytes: noise(50, 2),
    }))
    const model = new Uint8Array(size + 400_050)
    model.set(noise(size))
    for (const { offset, bytes } of edits) model.set(bytes, offset)
    const patched = await patchFile(io, content, edits)
    assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, patched))), `${size}`)
  }
})

test("memory does not follow from how much is changed", async () => {
  const { io, chunks } = memoryIo()
  let given = 0
  let held = 0
  const put = chunks.putChunk.bind(chunks)
  chunks.putChunk = async (bytes) => {
    held = Math.max(held, given - chunks.putBytes)
    const result = await put(bytes)
    chunks.stored.clear() // nobody reads it
    return result
  }
  const source = async function* () {
    for (let i = 0; i < 160; i++) {
      const bytes = noise(mib, i + 1)
      given += bytes.length
      yield bytes
    }
  }
  const content = await patchFile(io, empty, [{ offset: 3 * mib, bytes: source() }])
  assert.equal(content.size, 163 * mib)
  assert.ok(held <= 24 * mib, `${held} bytes were held`)
})

test("edits that are not in order, overlap, go beyond the size or are no numbers are refused, and store nothing", async () => {
  const { io, chunks } = memoryIo()
  const content = await stored(io, noise(2 * mib))
  const before = chunks.stored.size
  const bytes = noise(100)
  const refused: (readonly [readonly FileEdit[], { size?: number }?])[] = [
    [
      [
        { offset: 50, bytes },
        { offset: 149, bytes },
      ],
    ],
    [
      [
        { offset: 500, bytes },
        { offset: 20, bytes },
      ],
    ],
    [[{ offset: 0, bytes }], { size: 99 }],
    [[{ offset: -1, bytes }]],
    [[{ offset: 0.5, bytes }]],
    [[{ offset: 2 ** 53 - 50, bytes }]],
    [[{ offset: 10, zeros: -1 }]],
    [[{ offset: 10, zeros: Number.NaN }]],
    [[], { size: -1 }],
    [[], { size: 0.5 }],
    [[], { size: 2 ** 53 }],
  ]
  for (const [edits, options] of refused)
    await assert.rejects(patchFile(io, content, edits, options), { code: "ERR_INVALID_ARGUMENT" })
  assert.equal(chunks.stored.size, before)
})

test("a patch of nothing gives the same content and stores nothing; what is small is kept in its entry", async () => {
  const { io, chunks } = memoryIo()
  for (const size of [0, 100, 512, 513, 200 * kib]) {
    const content = await stored(io, noise(size))
    const before = chunks.putBytes
    assert.equal(await patchFile(io, content, []), content)
    assert.equal(await patchFile(io, content, [], { size }), content)
    assert.equal(chunks.putBytes, before)
    const { form } = await patchFile(io, content, [{ offset: 0, bytes: noise(5, 2) }])
    assert.equal(form, size <= 512 ? "inline" : "single")
  }
})

test("a patch whose source fails or that is stopped fails, and the file is as it was", async () => {
  const { io } = memoryIo()
  const model = noise(9 * mib)
  const content = await stored(io, model)
  const failing = async function* () {
    yield noise(6 * mib, 2)
    throw new Error("the client is gone")
  }
  await assert.rejects(patchFile(io, content, [{ offset: 100, bytes: failing() }]), /the client is gone/)
  const stop = new AbortController()
  let given = 0
  const endless = async function* () {
    for (;;) {
      if (++given === 5) stop.abort(new Error("stopped"))
      yield noise(mib, given)
    }
  }
  await assert.rejects(patchFile(io, content, [{ offset: 100, bytes: endless() }], { signal: stop.signal }), /stopped/)
  assert.ok(given < 10)
  assert.ok(Buffer.from(model).equals(await bytesOf(readFile(io, content))))
})

test("a chunk that is lost or a list that lies fails the patch that needs it, and no other", async () => {
  const { io, chunks } = memoryIo()
  const model = noise(9 * mib)
  const content = await stored(io, model)
  const { pieces } = await shapeOf(io, content)
  chunks.stored.delete(toHex(pieces[1]!.reference!.chunk.id))
  const fresh = () => createTreeIo({ chunks, env })
  const bytes = noise(1000, 5)
  const lost = { code: "ERR_NOT_ENOUGH_SHARES" }
  await assert.rejects(patchFile(fresh(), content, [{ offset: 5 * mib + 1, bytes }]), lost)
  const beside = await patchFile(fresh(), content, [{ offset: 100, bytes }])
  const head = await bytesOf(readFile(fresh(), beside, { end: 4 * mib }))
  model.set(bytes, 100)
  assert.ok(Buffer.from(head).equals(model.subarray(0, 4 * mib)))
  // Whole pages of the lost piece can be written over.
  await patchFile(fresh(), content, [{ offset: 4 * mib, bytes: noise(4 * mib, 6) }])
  const longer = { ...content, size: 12 * mib } as FileContent
  await assert.rejects(patchFile(fresh(), longer, [{ offset: 100, bytes }]), { code: "ERR_BAD_FORMAT" })
})
