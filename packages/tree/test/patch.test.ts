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
  NodePack,
  patchFile,
  RandomReader,
  type Reference,
  readFile,
  type TreeIo,
} from "../src/index.ts"
import { type ManifestItem, writeManifest } from "../src/manifest.ts"
import { isOwnChunk, settle } from "../src/reference.ts"
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
      }
      else await visit(item.reference!, item.length)
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
  | { readonly kind: "write"; readonly writes: readonly (readonly [at: number, length: number])[]; readonly step: number }
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
    else await this.#patch(apart(step.writes.map(([at, length]) => [Math.floor(at * size), length])), undefined, step.step)
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
    { numRuns: 60, ...(process.env["FC_SEED"] && { seed: Number(process.env["FC_SEED"]) }) },
  )
})
