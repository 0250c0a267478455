/** A folder becomes a tree of its own while others write, and with links and losses in it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { decodeCap, encodeCap } from "@holdfast/protocol"
import type { FileSystem } from "../src/file-system.ts"
import { share } from "../src/verbs/share.ts"
import { createWorld, names, text, type World, write } from "./world.ts"

const emptyTree = async ({ files }: World, label = "new:") =>
  files.open(await files.create("directory"), { label, warn: () => undefined })

/** Writes a mutable file. */
async function writeFile(file: FileSystem, content: string): Promise<void> {
  const writer = file.writer()
  const adding = writer.add(new TextEncoder().encode(content), { path: [] })
  await writer.flush()
  await writer.commit([{ path: [], kind: "file", mode: 0o644, mtimeNs: 1_000_000_000n, content: await adding }])
}

/** As `emptyTree`; `between` runs as the first of these trees is being linked in, after the commit began and before it ends. */
function racing(world: World, between: () => Promise<unknown>): () => Promise<FileSystem> {
  let isDone = false
  return async () => {
    const tree = await emptyTree(world)
    return new Proxy(tree, {
      get(files, key) {
        const value = Reflect.get(files, key, files)
        if (key !== "capOf") return typeof value === "function" ? value.bind(files) : value
        return async (...args: Parameters<FileSystem["capOf"]>) => {
          if (!isDone) {
            isDone = true
            await between()
          }
          return files.capOf(...args)
        }
      },
    })
  }
}

test("what somebody writes into a folder while it is being linked in is in the shared tree, and no copy stays beside it", async () => {
  const world = await createWorld()
  await world.home.edit(async (edit) => edit.mkdir(["photos"]))
  await write(world.home, ["photos", "a"], "first")
  const elsewhere = await world.again()
  const create = racing(world, () => write(elsewhere.home, ["photos", "b"], "second"))
  const tree = await share({ files: world.home, path: ["photos"] }, { create })
  assert.deepEqual(await names(tree), ["a", "b"])
  const { home } = await world.again()
  assert.deepEqual(await names(home), ["photos"])
  await write(tree, ["c"], "third")
  assert.deepEqual(await names((await world.again()).home, ["photos"]), ["a", "b", "c"])
  assert.deepEqual(world.warnings, [])
})

test("two who share a folder at the same time share one tree", async () => {
  const world = await createWorld()
  await world.home.edit(async (edit) => edit.mkdir(["photos"]))
  await write(world.home, ["photos", "a"], "first")
  const elsewhere = await world.again()
  const place = (files: FileSystem) => ({ files, path: ["photos"] })
  let theirs: FileSystem | undefined
  const mine = await share(place(world.home), {
    create: racing(world, async () => {
      theirs = await share(place(elsewhere.home), { create: () => emptyTree(elsewhere) })
    }),
  })
  assert.equal(await mine.capOf([], "write"), await theirs!.capOf([], "write"))
  assert.deepEqual(await names((await world.again()).home), ["photos"])
})

test("files that are linked in below a shared folder stay links, as writable as they were", async () => {
  const world = await createWorld()
  const { home, files } = world
  const cap = await files.create("file")
  const note = await files.open(cap, { label: "note:", warn: () => undefined })
  await writeFile(note, "first")
  await home.edit(async (edit) => {
    await edit.mkdir(["docs"])
    await edit.mkdir(["docs", "deep"])
    await edit.link(["docs", "note"], cap)
    await edit.link(["docs", "deep", "note"], cap)
  })
  const tree = await share({ files: home, path: ["docs"] }, { create: () => emptyTree(world) })
  for (const path of [["note"], ["deep", "note"]]) assert.equal(await tree.capOf(path, "write"), encodeCap(cap))
  await writeFile(note, "second")
  const again = await world.again()
  assert.equal(await text(again.home, ["docs", "note"]), "second")
  assert.equal(await text(again.home, ["docs", "deep", "note"]), "second")
})

test("a folder can be shared with links in it that lead in a circle, or nowhere", async () => {
  const world = await createWorld()
  const { home } = world
  const lost = await (await createWorld()).home.capOf([], "write")
  const self = await home.capOf([], "write")
  await home.edit(async (edit) => {
    await edit.mkdir(["docs"])
    await edit.link(["docs", "top"], decodeCap(self))
    await edit.link(["docs", "lost"], decodeCap(lost))
  })
  await write(home, ["docs", "a"], "first")
  const tree = await share({ files: home, path: ["docs"] }, { create: () => emptyTree(world) })
  assert.deepEqual(await names(tree), ["a", "lost", "top"])
  assert.equal(await text(tree, ["a"]), "first")
})

test("who may only read a tree is given the tree that a folder of it is already", async () => {
  const world = await createWorld()
  await world.home.edit(async (edit) => edit.mkdir(["docs"]))
  const tree = await share({ files: world.home, path: ["docs"] }, { create: () => emptyTree(world) })
  const readable = await world.files.open(await world.home.capOf([], "read"), { label: "read:", warn: () => undefined })
  const create = () => assert.fail("nothing is to be made")
  const same = await share({ files: readable, path: ["docs"] }, { create })
  assert.equal(await same.capOf([], "read"), await tree.capOf([], "read"))
})
