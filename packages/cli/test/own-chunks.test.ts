/** A capability to a part of a tree, and another tree that holds a copy, open nothing else. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as paths from "node:path"
import { type TestContext, test } from "node:test"
import { nodeEnv as env } from "@holdfast/core/node"
import { decodeCap, type ImmutableCap } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { createTreeIo, decodeEntryCap, type Entry, openTree, type Reference, reachEntry } from "@holdfast/tree"
import { addTree, createHarness, type Harness } from "./files-harness.ts"

const secret = "TOP SECRET "

/** A folder with a file and a directory to give away, beside others in the same packs. */
async function stored(t: TestContext): Promise<Harness> {
  const harness = await createHarness(t)
  const folder = paths.join(harness.folder, "s")
  fs.mkdirSync(paths.join(folder, "given"), { recursive: true })
  fs.writeFileSync(paths.join(folder, "a"), "a".repeat(700))
  fs.writeFileSync(paths.join(folder, "given", "b"), "b".repeat(900))
  fs.writeFileSync(paths.join(folder, "given", "large"), Buffer.alloc(9_000_000, "large"))
  fs.writeFileSync(paths.join(folder, "given", "tiny"), "tiny")
  for (const name of ["c", "secret name"]) fs.writeFileSync(paths.join(folder, name), secret.repeat(100))
  await harness.run("put", folder, "home:/s")
  return harness
}

/** All bytes that the keys behind an entry open. */
async function opened({ session }: Harness, entry: Entry): Promise<Buffer> {
  const { chunks } = session().store
  const references = new Map<string, Reference>()
  const onReference = (reference: Reference) =>
    void references.set(Buffer.from(reference.chunk.id).toString("hex"), reference)
  const io = createTreeIo({ chunks, env })
  for await (const met of reachEntry(io, entry, undefined, { onReference })) assert.equal(met.kind, "chunk")
  return Buffer.concat(await Promise.all([...references.values()].map(({ chunk }) => chunks.getChunk(chunk))))
}

async function capEntry(harness: Harness, path: string): Promise<Entry> {
  return decodeEntryCap(decodeCap((await harness.run("cap", path, "--read")).trim()) as ImmutableCap)
}

test("a capability to a small file or to a directory opens nothing else, and the tree stays as it was", async (t) => {
  const harness = await stored(t)
  const before = await harness.run("ls", "-l", "home:/s", "home:/s/given")
  for (const path of ["home:/s/a", "home:/s/given"]) {
    const bytes = await opened(harness, await capEntry(harness, path))
    assert.ok(bytes.includes(path.endsWith("a") ? "a".repeat(700) : "b".repeat(900)))
    for (const text of [secret, "secret name"]) assert.ok(!bytes.includes(text), `${path} opens "${text}"`)
  }
  assert.equal(await harness.run("ls", "-l", "home:/s", "home:/s/given"), before)
  for (const [path, size] of [
    ["a", 700],
    ["given/b", 900],
    ["given/large", 9_000_000],
  ] as const)
    assert.equal((await harness.run("cat", `home:/s/${path}`)).length, size)
  const versions = await harness.json<unknown[]>("history", "list", "home:")
  await capEntry(harness, "home:/s/given")
  assert.equal((await harness.json<unknown[]>("history", "list", "home:")).length, versions.length, "once is enough")
})

test("a copy in another tree opens nothing of the first one but itself", async (t) => {
  const harness = await stored(t)
  harness.aliases.set("other", await addTree(harness.session()))
  await harness.run("cp", "home:/s/given", "other:/given")
  await harness.run("cp", "home:/s/a", "other:/a")
  const { chunks, registers } = harness.session().store
  const keys = await keysOfCap(env.crypto, decodeCap(harness.aliases.get("other")!))
  const other = await openTree({ chunks, registers, env, keys })
  for (const path of ["given", "a"]) {
    const bytes = await opened(harness, (await other.lookup([path]))!)
    for (const text of [secret, "secret name"]) assert.ok(!bytes.includes(text), `${path} opens "${text}"`)
  }
  assert.equal((await harness.run("cat", "other:/given/large")).length, 9_000_000)
  assert.equal((await harness.run("cat", "other:/a")).length, 700)
})

test("who may only read is warned that the capability opens more", async (t) => {
  const harness = await stored(t)
  await harness.run("snapshot", "create", "home:", "then")
  harness.warnings.length = 0
  await harness.run("cap", "home:/@then/s/a", "--read")
  assert.match(harness.warnings.join(""), /can also read other small files/)
})
