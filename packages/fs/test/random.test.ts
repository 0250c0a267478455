/** Files that are read, changed and watched here and there, as by a mount or a server of ranges. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { FileSystem } from "../src/file-system.ts"
import { filesOf } from "../src/files.ts"
import { patch } from "../src/verbs/patch.ts"
import { write as writeFile } from "../src/verbs/write.ts"
import { createWorld, text, write } from "./world.ts"

async function bytesAt(
  files: FileSystem,
  path: readonly string[],
  offset: number,
  length: number,
): Promise<Uint8Array> {
  return files.reader((await files.lookup(path))!).read(offset, length)
}

test("parts of a file are read and changed where they are, and its mode and owner stay", async () => {
  const { home, again } = await createWorld()
  const content = nodeCrypto.random(3_000_000)
  await write(home, ["large"], content.slice())
  const writer = home.writer()
  const item = (await home.lookup(["large"]))!
  const named = { kind: "file", mode: 0o600, uid: 7, gid: 8, mtimeNs: 5n, content: writer.contentOf(item)! } as const
  await writer.commit([{ path: ["large"], ...named }])
  assert.deepEqual(await bytesAt(home, ["large"], 1_234_567, 89), content.slice(1_234_567, 1_234_656))
  const edits = [
    { offset: 100, bytes: new Uint8Array(50).fill(1) },
    { offset: 2_999_990, bytes: new Uint8Array(20).fill(2) },
  ]
  await patch({ files: home, path: ["large"] }, edits)
  const changed = new Uint8Array(3_000_010)
  changed.set(content)
  for (const { offset, bytes } of edits) changed.set(bytes, offset)
  const there = (await again()).home
  assert.deepEqual(await bytesAt(there, ["large"], 0, 4_000_000), changed)
  const { entry } = (await there.lookup(["large"]))!
  assert.deepEqual([entry.mode, entry.uid, entry.gid, entry.size], [0o600, 7, 8, 3_000_010])
  assert.ok(entry.mtimeNs > 5n)
  await patch({ files: home, path: ["large"] }, [], { size: 120, mtimeNs: 9n })
  const cut = (await (await again()).home.lookup(["large"]))!.entry
  assert.deepEqual([cut.size, cut.mtimeNs], [120, 9n])
})

test("an open file shows what is written to it before anybody else sees that", async () => {
  const { home, again } = await createWorld()
  await write(home, ["a"], "Dear all, hello.")
  const draft = home.draft((await home.lookup(["a"]))!)
  await draft.write(5, Buffer.from("you"))
  assert.equal(Buffer.from(await draft.read(0, 99)).toString(), "Dear you, hello.")
  assert.equal(await text((await again()).home, ["a"]), "Dear all, hello.")
  const stored = await draft.flush()
  await home.writer().commit([{ path: ["a"], kind: "file", mode: 0o644, mtimeNs: 1n, content: stored }])
  assert.equal(await text((await again()).home, ["a"]), "Dear you, hello.")
})

test("what is no file has no parts, and what is not there is told as that", async () => {
  const { home } = await createWorld()
  await home.edit((edit) => edit.mkdir(["folder"]))
  const folder = (await home.lookup(["folder"]))!
  assert.throws(() => home.reader(folder), { code: "ERR_IS_A_DIRECTORY" })
  assert.throws(() => home.draft(folder), { code: "ERR_IS_A_DIRECTORY" })
  await assert.rejects(patch({ files: home, path: ["folder"] }, []), { code: "ERR_IS_A_DIRECTORY" })
  await assert.rejects(patch({ files: home, path: ["none"] }, []), { code: "ERR_NOT_FOUND" })
})

test("a file that is linked in is changed where it is, and the link stays", async () => {
  const { home, files, again } = await createWorld()
  const cap = await files.create("file")
  const alone = await files.open(cap, { label: "notes:" })
  await writeFile({ files: alone, path: [] }, Buffer.from("one two"))
  await home.edit((edit) => edit.link(["notes"], cap))
  await patch({ files: home, path: ["notes"] }, [{ offset: 4, bytes: Buffer.from("2!!") }])
  const later = await again()
  assert.equal(await text(await later.files.open(cap), []), "one 2!!")
  assert.equal(await text(later.home, ["notes"]), "one 2!!")
})

test("a tree that is watched is shown as it is, and again when somebody has changed it, until the signal aborts", async () => {
  const world = await createWorld()
  await write(world.home, ["a"], "one")
  const stop = new AbortController()
  const seen: string[] = []
  const watched = await filesOf({ ...world.store, env: nodeEnv }).open(await world.home.capOf([], "read"))
  const watching = (async () => {
    for await (const now of watched.watch({ signal: stop.signal })) seen.push(await text(now, ["a"]))
  })()
  const until = async (value: string) => {
    while (seen.at(-1) !== value) await sleep(5)
  }
  await until("one")
  const other = await world.again()
  await write(other.home, ["a"], "two")
  await until("two")
  stop.abort()
  await watching
  assert.equal(await text(watched, ["a"]), "one")
  const literal = await filesOf({ ...world.store, env: nodeEnv }).open(await world.home.capOf(["a"], "read"))
  await assert.rejects(literal.watch()[Symbol.asyncIterator]().next(), { code: "ERR_WRONG_CAPABILITY" })
})
