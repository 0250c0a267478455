import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeCbor, HoldfastError } from "@holdfast/core"
import {
  createFileWriter,
  createTree,
  createTreeIo,
  type Entry,
  emptyCare,
  encodeCare,
  encodeDirectoryNode,
  encodeRoot,
  type FileContent,
  openTree,
  plainAttributes,
  type Reference,
  readFile,
  type Tree,
  walk,
} from "../src/index.ts"
import { bytesOf, collect, env, file, MemoryChunks, MemoryRegisters, newKeys, noise } from "./grid.ts"

const plain = plainAttributes(0o644, 0)

function storage() {
  const chunks = new MemoryChunks()
  return { chunks, registers: new MemoryRegisters(), env, io: createTreeIo({ chunks, env }) }
}

const careOf = () => encodeCare(emptyCare)

/** Any error but ours ends the test. */
function refused(error: unknown): undefined {
  assert.ok(error instanceof HoldfastError, error instanceof Error ? error.stack : String(error))
  return undefined
}

test("a tree that names another's chunks by wrong keys gets nothing of what was read from them by right", async () => {
  const parts = storage()
  const own = await createTree({ ...parts, keys: newKeys() })
  const writer = createFileWriter(own.io)
  const adding = writer.add(noise(5000))
  await writer.flush()
  const content = await adding
  await own.commit(async (session) => {
    await session.mkdir(["private"], plain)
    session.set(["private", "diary"], { ...plain, name: "diary", kind: "file", size: 5000, content })
  })
  const root = (await own.root())!
  assert.equal((await collect(own.list([]))).length, 1)
  await bytesOf(readFile(own.io, content))
  const guessed = (reference: Reference): Reference => ({
    ...reference,
    chunk: { id: reference.chunk.id, key: new Uint8Array(32) },
  })

  assert.ok(content.form === "single")
  const stolen: FileContent = { ...content, reference: guessed(content.reference) }
  const entries: Entry[] = [
    { ...plain, name: "dir", kind: "directory", size: 0, reference: guessed(root) },
    { ...plain, name: "file", kind: "file", size: 5000, content: stolen },
  ]
  const keys = newKeys()
  const hostileRoot = { root: await crafted(parts.chunks, entries), commitTimeMs: 0, history: [], snapshots: null }
  await parts.registers.write(keys, 0, { content: encodeRoot(hostileRoot), care: careOf() })
  const hostile = await openTree({ ...parts, keys })
  await assert.rejects(collect(hostile.list(["dir"])), { code: "ERR_CORRUPT" })
  await assert.rejects(bytesOf(readFile(hostile.io, stolen)), { code: "ERR_CORRUPT" })
  await assert.rejects(
    hostile.commit(async (session) => session.set(["dir", "new"], file("new"))),
    { code: "ERR_CORRUPT" },
  )
})

/** References to a thing of each kind: nodes, files, manifests, care segments, packs, and parts of them. */
async function everything(tree: Tree, chunks: MemoryChunks): Promise<Reference[]> {
  const writer = createFileWriter(tree.io)
  const adding = [600, 20_000, 4_300_000].map((size, i) => writer.add(noise(size, i + 1)))
  await writer.flush()
  const contents = await Promise.all(adding)
  await tree.commit(async (session) => {
    await session.mkdir(["d"], plain)
    for (const [i, content] of contents.entries())
      session.set(["d", `f${i}`], { ...plain, name: `f${i}`, kind: "file", size: content.size, content })
    for (let i = 0; i < 1500; i++) session.set(["d", `n${i}`], file(`n${i}`))
  })
  await tree.snapshots.create("first")
  const segment = await chunks.putChunk(noise(64 * 32, 9))
  const directory = await tree.lookup(["d"])
  assert.ok(directory?.kind === "directory" && directory.reference)
  const { root, snapshots } = await tree.content()
  const child = (await tree.io.readNode(directory.reference)).items[0]!
  const found = [
    root!,
    snapshots!,
    directory.reference,
    ...("reference" in child && child.reference ? [child.reference] : []),
    ...contents.flatMap((content) => ("reference" in content ? [content.reference] : [])),
    { chunk: segment, offset: 0, length: 64 * 32 },
  ]
  const parts = found.map(({ chunk, offset, length }) => ({ chunk, offset, length: Math.max(1, length - 1) }))
  const packs = found.map(({ chunk, offset, length }) => ({ chunk, offset: 0, length: offset + length }))
  return [...found, ...parts, ...packs]
}

test("a writer who names a thing of one kind where another belongs causes clear errors, and nothing worse", async () => {
  const parts = storage()
  const keys = newKeys()
  const honest = await createTree({ ...parts, keys })
  const references = await everything(honest, parts.chunks)
  const base = await honest.content()
  const hostileKeys = newKeys()
  let sequence = 0
  let errors = 0
  const readAll = async () => {
    const tree = await openTree({ ...parts, io: createTreeIo(parts), keys: hostileKeys })
    const attempts = [
      async () => {
        for await (const { entry } of walk(tree.io, await tree.root()))
          if (entry.kind === "file") await bytesOf(readFile(tree.io, entry, { end: 10_000 }))
      },
      () => collect(tree.snapshots.list()),
      () => collect(tree.chunks()),
      () => tree.commit(async (session) => session.set(["d", "mine"], file("mine"))),
      () => tree.lookup(["d", "f1"]),
    ]
    for (const attempt of attempts)
      await attempt().catch((error: unknown) => {
        errors++
        refused(error)
      })
  }
  const write = async (content: Uint8Array, care = careOf()) => {
    const newest = await parts.registers.read(hostileKeys)
    sequence = newest?.sequence ?? 0
    assert.ok(await parts.registers.write(hostileKeys, sequence, { content, care }))
    await readAll().catch((error: unknown) => {
      errors++
      refused(error)
    })
  }
  for (const reference of references) {
    await write(encodeRoot({ ...base, root: reference }))
    await write(encodeRoot({ ...base, snapshots: reference }))
    await write(encodeRoot({ ...base, history: [{ sequence: 1, timeMs: 1, root: reference }] }))
    await write(encodeRoot(base), encodeCare({ ...emptyCare, segments: [reference] }))
    const root = await directoryWith(parts.chunks, reference)
    await write(encodeRoot({ ...base, root }))
  }
  await write(careOf())
  await write(encodeCbor([1, 2, null, 0, [], null]))
  await write(noise(500))
  assert.ok(errors > 100, `only ${errors} of them were refused`)
})

/** A directory with one entry of each kind that refers to `reference`, whatever that is. */
function directoryWith(chunks: MemoryChunks, reference: Reference): Promise<Reference> {
  const { length: size } = reference
  const fileOf = (form: "single" | "manifest"): Entry => ({
    ...plain,
    name: form,
    kind: "file",
    size,
    content: { form, size, reference },
  })
  return crafted(chunks, [
    { ...plain, name: "d", kind: "directory", size: 0, reference },
    fileOf("manifest"),
    fileOf("single"),
  ])
}

/** A node that no writer of ours would make. */
async function crafted(chunks: MemoryChunks, entries: readonly Entry[]): Promise<Reference> {
  const bytes = encodeDirectoryNode(0, entries)
  const { length } = bytes
  return { chunk: await chunks.putChunk(bytes), offset: 0, length }
}
