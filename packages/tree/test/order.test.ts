import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { decodeCbor, fromHex } from "@holdfast/core"
import { freshChunks } from "../src/fresh-chunks.ts"
import {
  type ChildNode,
  countEntries,
  diff,
  type Entry,
  encodeDirectoryNode,
  listDirectory,
  lookupEntry,
  merge,
  plainAttributes,
  type Reference,
  readFile,
  type TreeIo,
  walk,
} from "../src/index.ts"
import { reachEntry } from "../src/reach.ts"
import { decodeReference } from "../src/reference.ts"
import { bytesOf, collect, directoryOf, file, memoryIo, update } from "./grid.ts"

interface Vector {
  readonly name: string
  readonly kind: "directory" | "file"
  readonly root: string
  readonly size?: number
  readonly names: readonly string[]
  readonly chunks: readonly { readonly id: string; readonly key: string; readonly plaintext: string }[]
  readonly error?: string
}

interface Case extends Vector {
  readonly io: TreeIo
  readonly reference: Reference
  readonly entry: Entry
}

const path = join(import.meta.dirname, "../../../interop/vectors/tree.json")
const vectors = JSON.parse(readFileSync(path, "utf8")) as { readonly good: Vector[]; readonly bad: Vector[] }
const plain = plainAttributes(0o644, 0)

function caseOf(vector: Vector): Case {
  const { io, chunks } = memoryIo()
  for (const { id, plaintext } of vector.chunks) chunks.stored.set(id, fromHex(plaintext))
  const reference = decodeReference(decodeCbor(fromHex(vector.root), "reference"), undefined)
  const size = vector.size ?? 0
  const entry: Entry =
    vector.kind === "directory"
      ? { ...plain, name: "it", kind: "directory", size: 0, reference }
      : { ...plain, name: "it", kind: "file", size, content: { form: "manifest", size, reference } }
  return { ...vector, io, reference, entry }
}

const all = vectors.good.concat(vectors.bad).map(caseOf)
const of = (kind: Vector["kind"], isBad: boolean) =>
  all.filter((one) => one.kind === kind && (one.error !== undefined) === isBad)

/** All that reads a whole directory; each must refuse one that is out of order. */
const readers: Record<string, (one: Case) => Promise<unknown>> = {
  list: ({ io, reference }) => collect(listDirectory(io, reference)),
  walk: ({ io, reference }) => collect(walk(io, reference)),
  "diff from nothing": ({ io, reference }) => collect(diff(io, null, reference)),
  "diff to nothing": ({ io, reference }) => collect(diff(io, reference, null)),
  merge: async ({ io, reference }) => merge(io, null, reference, await directoryOf(io, [file("other")])),
  "fresh chunks": ({ io, reference }) => freshChunks(io, [{ before: null, after: reference }]),
  update: ({ io, reference, names }) =>
    update(io, reference, new Map(names.map((name) => [name, file(name, "changed")]))),
  reach,
}

async function reach({ io, entry }: Case): Promise<void> {
  for await (const met of reachEntry(io, entry)) if (met.kind === "lost") throw met.lost.error
}

for (const [reader, read] of Object.entries(readers)) {
  test(`${reader} refuses every directory whose nodes are not where they must be`, async () => {
    assert.ok(of("directory", true).length >= 15)
    for (const one of of("directory", true)) await assert.rejects(read(one), { code: one.error }, one.name)
  })

  test(`${reader} takes every directory that is in order`, async () => {
    assert.ok(of("directory", false).length >= 4)
    for (const one of of("directory", false)) await read(one)
  })
}

test("a directory in order has every name once, in every way to read it", async () => {
  for (const one of of("directory", false)) {
    const { io, reference, names } = caseOf(one)
    const listed = (await collect(listDirectory(io, reference))).map(({ name }) => name)
    assert.deepEqual(listed, names)
    assert.equal(await countEntries(io, reference), names.length)
    for (const name of names) assert.equal((await lookupEntry(io, reference, name))?.name, name)
    for (const [i, after] of names.entries())
      assert.deepEqual((await collect(listDirectory(io, reference, { after }))).length, names.length - i - 1)
  }
})

test("a name looked up in a directory that is out of order is the one entry of that name where it belongs, or an error", async () => {
  let refused = 0
  for (const { io, reference, names, error } of of("directory", true))
    for (const name of names)
      try {
        assert.equal((await lookupEntry(io, reference, name))?.name ?? name, name)
      } catch (thrown) {
        assert.equal((thrown as { code?: string }).code, error)
        refused++
      }
  assert.ok(refused > 15, `only ${refused} were refused`)
})

test("the same node is refused at another place, though it was read at its own", async () => {
  const overlapping = all.find(({ name }) => name === "leaves that overlap in a name")!
  const { io, reference } = overlapping
  const node = await io.readNode(reference)
  const [first] = node.items as readonly ChildNode[]
  assert.equal((await collect(listDirectory(io, first!.reference))).length, 2)
  await assert.rejects(collect(listDirectory(io, reference)), { code: "ERR_BAD_FORMAT" })
})

test("a diff reads a node that both sides share when its place is not the same", async () => {
  const { io, chunks } = memoryIo()
  const put = async (bytes: Uint8Array): Promise<Reference> => {
    const { length } = bytes
    return { chunk: await chunks.putChunk(bytes), offset: 0, length }
  }
  const leaf = async (...names: [string, ...string[]]) => ({
    ...{ name: names[0], count: names.length },
    reference: await put(
      encodeDirectoryNode(
        0,
        names.map((name) => file(name)),
      ),
    ),
  })
  const shared = await leaf("a", "c")
  const [good, bad, less] = [
    await put(encodeDirectoryNode(1, [shared, await leaf("e")])),
    await put(encodeDirectoryNode(1, [shared, await leaf("b", "d")])),
    await put(encodeDirectoryNode(1, [{ ...shared, count: 1 }, await leaf("e")])),
  ]
  for (const wrong of [bad, less]) {
    await assert.rejects(collect(diff(io, good, wrong)), { code: "ERR_BAD_FORMAT" })
    await assert.rejects(merge(io, good, await directoryOf(io, [file("a"), file("z")]), wrong), {
      code: "ERR_BAD_FORMAT",
    })
  }
})

test("sums that no number holds are refused with the node itself", async () => {
  const [tooMany] = of("directory", true).filter(({ name }) => name === "more entries than can be")
  await assert.rejects(countEntries(tooMany!.io, tooMany!.reference), { code: "ERR_BAD_FORMAT" })
  const [tooLong] = of("file", true).filter(({ name }) => name === "lengths beyond what can be")
  const { io, reference } = tooLong!
  const sum = 2 * Number.MAX_SAFE_INTEGER
  await assert.rejects(io.readManifest(reference, { length: sum }), { code: "ERR_BAD_FORMAT" })
})

test("a manifest that adds up is read as it is, one that does not is an error in every way to read it", async () => {
  for (const { io, entry, size, name } of of("file", false)) {
    assert.ok(entry.kind === "file")
    assert.equal((await bytesOf(readFile(io, entry))).length, size, name)
    await reach({ io, entry } as Case)
  }
  assert.ok(of("file", true).length >= 10)
  for (const one of of("file", true)) {
    const { io, entry, error, name } = one
    assert.ok(entry.kind === "file")
    await assert.rejects(bytesOf(readFile(io, entry)), { code: error }, name)
    await assert.rejects(reach(one), { code: error }, name)
    const holder = await directoryOf(io, [entry])
    await assert.rejects(freshChunks(io, [{ before: null, after: holder }]), { code: error }, name)
  }
})
