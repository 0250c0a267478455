/** Patched files in a tree: committed, kept, given away, written again. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { decodeCbor, fromHex, toHex } from "@holdfast/core"
import { freshChunks } from "../src/fresh-chunks.ts"
import {
  chunksOf,
  createFileWriter,
  createTree,
  decodeReference,
  type FileContent,
  type FileEntry,
  hasOwnChunks,
  openTree,
  patchFile,
  plainAttributes,
  RandomReader,
  readFile,
  type Tree,
  type TreeIo,
  withOwnChunks,
} from "../src/index.ts"
import {
  bytesOf,
  collect,
  directoryOf,
  env,
  file,
  MemoryChunks,
  MemoryRegisters,
  memoryIo,
  newKeys,
  noise,
} from "./grid.ts"

const kib = 1024
const mib = 1024 * kib

function entryOf(name: string, content: FileContent): FileEntry {
  return { ...plainAttributes(0o644, 0), name, kind: "file", size: content.size, content }
}

async function stored(io: TreeIo, source: Uint8Array, before?: FileContent): Promise<FileContent> {
  const writer = createFileWriter(io)
  const adding = writer.add(source.slice(), { before })
  await writer.flush()
  return adding
}

async function contentOf(tree: Tree, name: string): Promise<FileContent> {
  const entry = await tree.lookup([name])
  assert.ok(entry?.kind === "file")
  return entry.content
}

test("a commit names each chunk that a patch brought, those of before that it needs are named already", async () => {
  const { io } = memoryIo()
  const old = await stored(io, noise(13 * mib))
  const secret = [{ offset: 5 * mib + 3, bytes: noise(100 * kib, 2) }]
  const patched = await patchFile(io, old, secret)
  const again = await patchFile(io, patched, [{ offset: 5 * mib + 90 * kib, zeros: 300 * kib }], { size: 9 * mib })
  const trees = await Promise.all(
    [old, patched, again].map((content) => directoryOf(io, [file("a"), entryOf("f", content)])),
  )
  const idsOf = async (root: (typeof trees)[number]) =>
    new Set((await collect(chunksOf(io, root))).map(({ id }) => toHex(id)))
  for (const [i, after] of trees.entries()) {
    if (i === 0) continue
    const before = trees[i - 1]!
    const fresh = new Set((await freshChunks(io, [{ before, after }])).map(toHex))
    const [had, needs] = [await idsOf(before), await idsOf(after)]
    for (const id of needs) assert.ok(had.has(id) || fresh.has(id), "a chunk is named nowhere")
    assert.ok(fresh.size <= 3, `${fresh.size} are named anew`)
  }
})

test("who is given a patched file can read nothing of what it had before", async () => {
  const { io, chunks } = memoryIo()
  const secret = noise(50 * kib, 99)
  const isShown = async (entry: FileEntry) => {
    const { content } = entry
    const root = await directoryOf(io, [entry])
    const own = (await collect(chunksOf(io, root))).filter(({ id }) => toHex(id) !== toHex(root!.chunk.id))
    assert.ok(content.form === "inline" || own.length > 0)
    return own.some(({ id }) =>
      Buffer.from(chunks.stored.get(toHex(id))!).includes(Buffer.from(secret.subarray(1000, 1100))),
    )
  }
  const before = noise(9 * mib)
  before.set(secret, 6 * mib)
  const old = await stored(io, before)
  assert.equal(await isShown(entryOf("f", old)), true)
  const changes: Record<string, FileContent> = {
    overwritten: await patchFile(io, old, [{ offset: 6 * mib, bytes: noise(secret.length, 5) }]),
    "made a hole": await patchFile(io, old, [{ offset: 5 * mib, zeros: 2 * mib }]),
    "cut off": await patchFile(io, old, [], { size: 6 * mib }),
    "cut off, and longer than a pack": await patchFile(io, old, [], { size: 5 * mib + 512 * kib }),
    "cut off and grown again": await patchFile(io, await patchFile(io, old, [], { size: 6 * mib }), [], {
      size: 20 * mib,
    }),
  }
  const short = await stored(io, before.slice(5 * mib, 8 * mib))
  changes["cut off in its only piece"] = await patchFile(io, short, [], { size: mib - 1 })
  changes["cut off in its only piece, which stays long"] = await patchFile(io, short, [], { size: mib + 1 })
  for (const [how, content] of Object.entries(changes)) {
    const entry = entryOf("f", content)
    assert.equal(await isShown(entry), true, `${how}: the chunk is still used, or this shows nothing`)
    assert.equal(await hasOwnChunks(io, entry), false, how)
    const given = await withOwnChunks(io, entry)
    assert.ok(given.kind === "file")
    assert.equal(await isShown(given), false, how)
    assert.equal(await hasOwnChunks(io, given), true, how)
    assert.ok(Buffer.from(await bytesOf(readFile(io, content))).equals(await bytesOf(readFile(io, given))), how)
  }
})

test("files that refer to parts of pieces are read as their vectors say, and patched again", async () => {
  const path = join(import.meta.dirname, "../../../interop/vectors/tree-patched.json")
  const { good } = JSON.parse(readFileSync(path, "utf8")) as { readonly good: readonly PatchedVector[] }
  assert.ok(good.length >= 3)
  for (const { name, root, size, content, chunks: held } of good) {
    const { io, chunks } = memoryIo()
    for (const { id, plaintext } of held) chunks.stored.set(id, fromHex(plaintext))
    const reference = decodeReference(decodeCbor(fromHex(root), "reference"), undefined)
    const file: FileContent = { form: "manifest", size, reference }
    assert.equal(toHex(await bytesOf(readFile(io, file))), content, name)
    assert.equal(toHex(await new RandomReader(io, file).read(0, size)), content, name)
    const longer = await patchFile(io, file, [{ offset: 1_000_000, bytes: new Uint8Array([7]) }])
    assert.equal(toHex(await bytesOf(readFile(io, longer, { end: size }))), content, name)
  }
})

interface PatchedVector {
  readonly name: string
  readonly root: string
  readonly size: number
  readonly content: string
  readonly chunks: readonly { readonly id: string; readonly plaintext: string }[]
}

test("a patch that is committed is there for others, the version before stays, and writing the whole sends what is new", async () => {
  const chunks = new MemoryChunks()
  const registers = new MemoryRegisters()
  const keys = newKeys()
  const tree = await createTree({ chunks, registers, env, keys })
  const model = noise(9 * mib)
  const first = await stored(tree.io, model)
  await tree.commit(async (session) => session.set(["f"], entryOf("f", first)))
  await tree.snapshots.create("before")
  const bytes = noise(3000, 4)
  const next = await patchFile(tree.io, await contentOf(tree, "f"), [{ offset: 7 * mib + 11, bytes }])
  await tree.commit(async (session) => session.set(["f"], entryOf("f", next)))
  const other = await openTree({ chunks, registers, env, keys })
  const patched = model.slice()
  patched.set(bytes, 7 * mib + 11)
  const there = await contentOf(other, "f")
  assert.ok(Buffer.from(patched).equals(await bytesOf(readFile(other.io, there))))
  const snapshot = await other.snapshots.lookup("before")
  const past = await other.lookup(["f"], snapshot!.reference)
  assert.ok(past?.kind === "file")
  assert.ok(Buffer.from(model).equals(await bytesOf(readFile(other.io, past))))
  // A whole put over it: pieces up to the first other boundary are known.
  const putBytes = chunks.putBytes
  const whole = await stored(other.io, patched, there)
  assert.ok(Buffer.from(patched).equals(await bytesOf(readFile(other.io, whole))))
  assert.ok(chunks.putBytes - putBytes <= 10 * mib)
})
