/** The rules of POSIX, once for every door. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { decodeCap } from "@holdfast/protocol"
import type { FileSystem } from "../src/file-system.ts"
import { copy, filesOf, link, mkdir, move, remove } from "../src/index.ts"
import { createWorld, names, text, write, writeTogether } from "./world.ts"

const fails = (code: string) => (error: unknown) => isHoldfastError(error) && error.code === code
const at = (files: FileSystem, path: string) => ({ files, path: path.split("/").filter(Boolean) })
const found = async (files: FileSystem, path: string) => (await files.lookup(at(files, path).path))!

test("mkdir needs a parent and a free name, and with `parents` minds neither", async () => {
  const { home } = await createWorld()
  await mkdir(at(home, "a"))
  await assert.rejects(mkdir(at(home, "a")), fails("ERR_ALREADY_EXISTS"))
  await assert.rejects(mkdir(at(home, "x/y")), fails("ERR_NOT_FOUND"))
  await mkdir(at(home, "x/y/z"), { parents: true })
  await mkdir(at(home, "x/y"), { parents: true })
  await write(home, ["f"], "text")
  await assert.rejects(mkdir(at(home, "f"), { parents: true }), fails("ERR_ALREADY_EXISTS"))
  await assert.rejects(mkdir(at(home, "f/g"), { parents: true }), fails("ERR_NOT_A_DIRECTORY"))
  assert.deepEqual(await names(home), ["a", "f", "x"])
  assert.deepEqual(await names(home, ["x", "y"]), ["z"])
})

test("copy takes the place of a file, never of a directory, and needs a directory above", async () => {
  const { home } = await createWorld()
  await mkdir(at(home, "d"))
  await write(home, ["f"], "new")
  await write(home, ["d", "f"], "old")
  await copy(await found(home, "f"), at(home, "d/f"))
  assert.equal(await text(home, ["d", "f"]), "new")
  await assert.rejects(copy(await found(home, "f"), at(home, "d")), fails("ERR_ALREADY_EXISTS"))
  await assert.rejects(copy(await found(home, "f"), at(home, "none/f")), fails("ERR_NOT_FOUND"))
  await assert.rejects(copy(await found(home, "f"), at(home, "f/g")), fails("ERR_NOT_A_DIRECTORY"))
  await assert.rejects(copy(await found(home, "f"), at(home, "")), fails("ERR_ALREADY_EXISTS"))
  await copy(await found(home, "d"), at(home, "e"))
  await remove(at(home, "d"), { recursive: true })
  assert.equal(await text(home, ["e", "f"]), "new")
})

test("what is copied to another tree has chunks of its own there, and nothing is copied between volumes", async () => {
  const { home, files } = await createWorld()
  await writeTogether(home, { a: "a".repeat(2000), b: "b".repeat(2000) })
  const shared = await files.open(await files.create("directory"), { label: "team:" })
  await copy(await found(home, "a"), at(shared, "a"))
  assert.equal(await text(shared, ["a"]), "a".repeat(2000))
  const chunkOf = async (place: FileSystem) => {
    const { entry } = await found(place, "a")
    assert.ok(entry.kind === "file" && entry.content.form === "single")
    return Buffer.from(entry.content.reference.chunk.id).toString("hex")
  }
  assert.notEqual(await chunkOf(shared), await chunkOf(home))
  await copy(await found(home, "a"), at(home, "again"))
  assert.equal(await text(home, ["again"]), "a".repeat(2000))
  const { home: elsewhere } = await createWorld()
  await assert.rejects(copy(await found(home, "a"), at(elsewhere, "a")), fails("ERR_INVALID_ARGUMENT"))
})

test("move stays within a tree and out of itself, and takes the place of a file", async () => {
  const { home, files } = await createWorld()
  await mkdir(at(home, "d/e"), { parents: true })
  await write(home, ["f"], "text")
  await write(home, ["d", "f"], "old")
  await move(at(home, "f"), at(home, "d/f"))
  assert.equal(await text(home, ["d", "f"]), "text")
  assert.deepEqual(await names(home), ["d"])
  await assert.rejects(move(at(home, "f"), at(home, "g")), fails("ERR_NOT_FOUND"))
  await assert.rejects(move(at(home, "d"), at(home, "d/e/d")), fails("ERR_INVALID_ARGUMENT"))
  await assert.rejects(move(at(home, "d/f"), at(home, "d/e")), fails("ERR_ALREADY_EXISTS"))
  const other = await files.open(await files.create("directory"))
  await assert.rejects(move(at(home, "d/f"), at(other, "f")), fails("ERR_INVALID_ARGUMENT"))
})

test("remove spares what is full, what is not there and the root, unless told otherwise", async () => {
  const { home } = await createWorld()
  await mkdir(at(home, "empty"))
  await mkdir(at(home, "full"))
  await write(home, ["full", "f"], "text")
  await assert.rejects(remove(at(home, "full")), fails("ERR_NOT_EMPTY"))
  await assert.rejects(remove(at(home, "none")), fails("ERR_NOT_FOUND"))
  await assert.rejects(remove(at(home, "")), fails("ERR_INVALID_ARGUMENT"))
  await remove(at(home, "none"), { force: true })
  await remove(at(home, "empty"))
  await remove(at(home, "full"), { recursive: true })
  assert.deepEqual(await names(home), [])
})

test("link gives another tree a name, by which its readers read and its writers write", async () => {
  const { home, files } = await createWorld()
  const cap = await files.create("directory")
  const team = await files.open(cap)
  await write(team, ["note"], "hello")
  await link(cap, at(home, "team"))
  await assert.rejects(link(cap, at(home, "team")), fails("ERR_ALREADY_EXISTS"))
  assert.equal(await text(home, ["team", "note"]), "hello")
  const inner = await home.locate(["team", "note"])
  await remove(inner)
  assert.deepEqual(await names(await files.open(cap)), [])
  const readers = await files.open(await home.capOf([], "read"))
  const { files: linked } = await readers.locate(["team"], { follow: true })
  await assert.rejects(mkdir(at(linked, "x")), fails("ERR_WRONG_CAPABILITY"))
  const verify = decodeCap(await home.capOf([], "verify"))
  await assert.rejects(link(verify, at(home, "v")), fails("ERR_WRONG_CAPABILITY"))
})

test("who has a read capability alone changes nothing", async () => {
  const { home, files } = await createWorld()
  await write(home, ["f"], "text")
  const reader = await files.open(await home.capOf([], "read"))
  assert.equal(await text(reader, ["f"]), "text")
  for (const verb of [
    () => mkdir(at(reader, "d")),
    async () => copy(await found(reader, "f"), at(reader, "g")),
    () => move(at(reader, "f"), at(reader, "g")),
    () => remove(at(reader, "f")),
    async () => reader.writer(),
  ])
    await assert.rejects(verb, fails("ERR_WRONG_CAPABILITY"))
})

test("of two file systems that share their nodes one sees what the other wrote when it is opened anew", async () => {
  const { store, home } = await createWorld()
  const { chunks, registers } = store
  const again = filesOf({ chunks, registers, env: home.io.env, io: home.io })
  const cap = await home.capOf([], "write")
  const before = await again.open(cap)
  await write(home, ["f"], "text")
  assert.deepEqual(await names(before), [])
  assert.deepEqual(await names(await again.open(cap)), ["f"])
})
