/**
 * Trees that a hostile writer may have made: any reference leads to one of a few pieces, so that nodes may hold each other.
 * Input: how many pieces, the length of each (u16), three roots (piece u8, offset u16, length u16), then the pieces.
 */
import { BufferPool, concat, HoldfastError } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import type { ChunkRef, ChunkStore } from "@holdfast/store"
import {
  createTreeIo,
  type DirectoryChanges,
  type DirectoryRef,
  decodeManifestNode,
  diff,
  type Entry,
  encodeManifestNode,
  type FileEdit,
  type ManifestItem,
  merge,
  patchFile,
  plainAttributes,
  RandomReader,
  type Reference,
  readFile,
  type TreeIo,
  updateDirectory,
  walk,
  withOwnChunks,
} from "@holdfast/tree"
import type { Target } from "./targets.ts"

const plain = plainAttributes(0o644, 0)
/** Nobody reads on from a tree of a few kilobytes for so long. */
const mostItems = 20_000
const mostChunks = 200_000

/** Walks, compares, merges and changes what the input describes. */
export async function hostileTreeTarget(): Promise<Target> {
  return { name: "trees of a hostile writer", seeds: [await seedTree()], maxBytes: 8192, run: runTree }
}

async function runTree(input: Uint8Array): Promise<void> {
  const parsed = parse(input)
  if (!parsed) return
  const io = () => createTreeIo({ chunks: new Pieces(parsed.pieces), env: nodeEnv })
  const [a, b, c] = parsed.roots as [DirectoryRef, DirectoryRef, DirectoryRef]
  const mine: Entry = { ...plain, name: "mine", kind: "file", size: 3, content: inline("new") }
  const changes: DirectoryChanges = new Map<string, Entry | null>([
    ["mine", mine],
    ["n7", null],
  ])
  await tolerated(() => walkAll(io(), a))
  await tolerated(() => patchAll(io(), a))
  await tolerated(() => some(diff(io(), a, b)))
  await tolerated(() => merge(io(), a, b, c))
  await tolerated(() => withOwnChunks(io(), { ...plain, name: "given", kind: "directory", size: 0, reference: a }))
  await tolerated(async () => {
    const trees = io()
    return updateDirectory(trees, trees.newPack(), a, changes)
  })
}

/** Only our own errors may come of it. */
async function tolerated(work: () => Promise<unknown>): Promise<void> {
  await work().catch((error: unknown) => {
    if (!(error instanceof HoldfastError)) throw error
  })
}

async function walkAll(io: TreeIo, root: DirectoryRef): Promise<void> {
  let files = 0
  for (const { entry } of await some(walk(io, root)))
    if (entry.kind === "file" && files++ < 20) await tolerated(() => some(readFile(io, entry, { end: 100_000 })))
}

/** Changes a part of each file, where its list is asked for what is at the beginning, in the middle and at the end. */
async function patchAll(io: TreeIo, root: DirectoryRef): Promise<void> {
  let files = 0
  for (const { entry } of await some(walk(io, root))) {
    if (entry.kind !== "file" || files++ >= 3) continue
    const { size } = entry
    const middle = Math.floor(size / 2)
    const bytes = new Uint8Array(100).fill(7)
    const edits: FileEdit[] = [
      { offset: 0, bytes: bytes.subarray(0, Math.min(100, middle)) },
      { offset: middle, bytes },
    ]
    await tolerated(() => patchFile(io, entry, edits))
    await tolerated(() => patchFile(io, entry, [{ offset: middle, zeros: 1_000_000 }]))
    await tolerated(() => patchFile(io, entry, [{ offset: size, bytes }], { size: size + 10_000_000 }))
    await tolerated(async () => {
      const cut = await patchFile(io, entry, [], { size: middle })
      return new RandomReader(io, cut).read(Math.max(0, middle - 5000), 5000)
    })
  }
}

async function some<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) if (found.push(item) >= mostItems) break
  return found
}

function inline(text: string) {
  const bytes = new TextEncoder().encode(text)
  return { form: "inline" as const, size: bytes.length, bytes }
}

class Pieces implements ChunkStore {
  readonly buffers = new BufferPool({ maxIdleBytes: 0 })
  readonly #pieces: Uint8Array[]
  #reads = 0

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = [...pieces]
  }

  async putChunk(plaintext: Uint8Array) {
    const id = new Uint8Array(32)
    id[0] = this.#pieces.push(plaintext.slice()) - 1
    return { id, key: new Uint8Array(32), sentBytes: plaintext.length }
  }

  async getChunk({ id }: ChunkRef): Promise<Uint8Array> {
    if (++this.#reads > mostChunks)
      throw new Error(`more than ${mostChunks} chunks were read of a tree of ${this.#pieces.length}`)
    return this.#pieces[id[0]! % this.#pieces.length]!
  }

  async readRange(ref: ChunkRef, { offset, length }: { offset: number; length: number }): Promise<Uint8Array> {
    return (await this.getChunk(ref)).subarray(offset, offset + length)
  }
}

function parse(input: Uint8Array): { pieces: Uint8Array[]; roots: DirectoryRef[] } | undefined {
  const count = (input[0] ?? 0) % 17
  const head = 1 + 2 * count + 15
  if (count === 0 || input.length < head) return undefined
  const view = new DataView(input.buffer, input.byteOffset)
  let at = head
  const pieces = Array.from({ length: count }, (_, i) => {
    const from = at
    at += view.getUint16(1 + 2 * i)
    return input.slice(from, at)
  })
  const roots = Array.from({ length: 3 }, (_, i): DirectoryRef => {
    const start = 1 + 2 * count + 5 * i
    const id = new Uint8Array(32)
    id[0] = input[start]!
    const [offset, length] = [view.getUint16(start + 1), Math.max(1, view.getUint16(start + 3))]
    return { chunk: { id, key: new Uint8Array(32) }, offset, length }
  })
  return { pieces, roots }
}

/** A file of two levels of lists, whose pieces are all the same. */
async function listedFile(io: TreeIo, piece: Reference): Promise<Entry> {
  const pack = io.newPack()
  const node = (level: number, item: ManifestItem, count: number) =>
    pack.write((holder) => encodeManifestNode(level, Array(count).fill(item), holder), decodeManifestNode)
  const list = await node(0, { length: piece.length, reference: piece }, 3)
  const twice = await node(1, { length: 3 * piece.length, reference: list }, 2)
  await pack.seal()
  const { chunk, offset, length } = twice
  const size = 6 * piece.length
  const content = { form: "manifest", size, reference: { chunk, offset, length } } as const
  return { ...plain, name: "l", kind: "file", size, content }
}

/** A small tree with folders, a file of several pieces and nodes on two levels. */
async function seedTree(): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  const chunks = new Pieces([])
  const recording: ChunkStore = {
    buffers: chunks.buffers,
    getChunk: (ref) => chunks.getChunk(ref),
    readRange: (ref, range) => chunks.readRange(ref, range),
    async putChunk(plaintext) {
      pieces.push(plaintext.slice())
      return chunks.putChunk(plaintext)
    },
  }
  const io = createTreeIo({ chunks: recording, env: nodeEnv })
  const directory = async (before: DirectoryRef, entries: readonly Entry[]) => {
    const pack = io.newPack()
    const root = await updateDirectory(io, pack, before, new Map(entries.map((entry) => [entry.name, entry])))
    await pack.seal()
    return root && { chunk: root.chunk, offset: root.offset, length: root.length }
  }
  const files = Array.from(
    { length: 60 },
    (_, i): Entry => ({ ...plain, name: `n${i}`, kind: "file", size: 3, content: inline("old") }),
  )
  const inner = await directory(null, files)
  const folder: Entry = { ...plain, name: "d", kind: "directory", size: 0, reference: inner }
  const reference = inner!
  const file: Entry = {
    ...plain,
    name: "f",
    kind: "file",
    size: reference.length,
    content: { form: "single", size: reference.length, reference },
  }
  const first = await directory(null, [folder, file, await listedFile(io, reference)])
  const second = await directory(first, files.slice(0, 5))
  const third = await directory(first, files.slice(3, 9))
  const roots = [first, second, third].flatMap((root) => {
    const { chunk, offset, length } = root!
    return [chunk.id[0]!, offset >> 8, offset & 255, length >> 8, length & 255]
  })
  const lengths = pieces.flatMap(({ length }) => [length >> 8, length & 255])
  return concat(Uint8Array.from([pieces.length, ...lengths, ...roots]), ...pieces)
}
