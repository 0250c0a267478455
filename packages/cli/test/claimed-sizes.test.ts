/** Files of somebody who means harm claim sizes out of all proportion to what is stored of them: whoever fetches them keeps a disk. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { encodeManifestNode, type FileContent, type ManifestItem, type Reference } from "@holdfast/tree"
import { filesOf } from "../../fs/src/files.ts"
import { createHarness, type Harness } from "./files-harness.ts"

const mib = 1024 * 1024

/** Puts a folder with hostile files among good ones; `claims` are what they are called. */
async function hostileFolder({ session, aliases, run, reopen, folder }: Harness) {
  const { store } = session()
  const stored = async (bytes: Uint8Array): Promise<Reference> => ({
    chunk: await store.chunks.putChunk(bytes),
    offset: 0,
    length: bytes.length,
  })
  const manifest = async (items: readonly ManifestItem[], level = 0): Promise<FileContent> => ({
    form: "manifest",
    size: items.reduce((sum, { length }) => sum + length, 0),
    reference: await stored(encodeManifestNode(level, items)),
  })
  const hole = (length: number): ManifestItem => ({ length, reference: null })
  const bytes = crypto.random(mib)
  const short = await stored(bytes)
  const piece = { length: mib, reference: short }
  let same = await manifest([{ length: 1000, reference: await stored(bytes.subarray(0, 1000)) }])
  for (let level = 1; level < 6; level++)
    same = await manifest(
      Array(200).fill({ length: same.size, reference: (same as { reference: Reference }).reference }),
      level,
    )
  const claims: Record<string, FileContent> = {
    "hole first": await manifest([hole(2 ** 50), piece]),
    "hole last": await manifest([piece, hole(2 ** 52)]),
    "many holes": await manifest(Array.from({ length: 2000 }, (_, i) => (i % 2 ? hole(2 ** 36 + i) : piece))),
    "nothing but holes": await manifest([hole(2 ** 53 - 1)]),
    "one piece again": await manifest(Array(2000).fill(piece)),
    "one chunk in many pieces": await manifest(
      Array.from({ length: 2000 }, (_, i) => ({
        length: mib - i,
        reference: { ...short, offset: i, length: mib - i },
      })),
    ),
    "one node again": same,
    "longer than its chunk": { form: "single", size: 4 * mib, reference: { ...short, length: 4 * mib } },
  }
  const sparse = await manifest([hole(2048 * mib), piece, hole(1024 * mib)])
  await run("mkdir", "home:/docs")
  const files = filesOf({ chunks: store.chunks, registers: store.registers, env: nodeEnv })
  const home = await files.open(aliases.get("home")!, { label: "home:", warn: () => undefined })
  const attributes = { kind: "file", mode: 0o644, mtimeNs: 1_000_000_000n } as const
  await home.writer().commit(
    Object.entries({ ...claims, sparse }).map(([name, content]) => ({
      ...attributes,
      path: ["docs", name],
      content,
    })),
  )
  await reopen()
  for (const name of ["a good one", "z good one"]) {
    fs.writeFileSync(`${folder}/good`, `${name}\n`)
    await run("put", `${folder}/good`, `home:/docs/${name}`)
  }
  await reopen()
  return { claims, bytes }
}

function takenBytes(folder: string): number {
  return fs
    .readdirSync(folder, { recursive: true, encoding: "utf8" })
    .reduce((sum, name) => sum + 512 * fs.lstatSync(`${folder}/${name}`).blocks, 0)
}

test("get leaves out files that claim more than is stored of them, by name, brings all others, and keeps the disk", async (t) => {
  const harness = await createHarness(t)
  const { folder, run } = harness
  const { claims, bytes } = await hostileFolder(harness)
  const error: unknown = await run("get", "home:/docs", `${folder}/back`).catch((thrown: unknown) => thrown)
  assert.ok(isHoldfastError(error, "ERR_INCOMPLETE"), String(error))
  const problems = (error.details.problems as { path: string; code: string; message: string }[]).map((problem) => ({
    ...problem,
    name: problem.path.split("/").at(-1)!,
  }))
  assert.deepEqual(problems.map(({ name }) => name).sort(), Object.keys(claims).sort())
  for (const { name, code, message } of problems) {
    assert.equal(code, name === "longer than its chunk" ? "ERR_CORRUPT" : "ERR_LIMIT", `${name}: ${message}`)
  }
  assert.deepEqual(fs.readdirSync(`${folder}/back`).sort(), ["a good one", "sparse", "z good one"])
  for (const name of ["a good one", "z good one"])
    assert.equal(fs.readFileSync(`${folder}/back/${name}`, "utf8"), `${name}\n`)
  assert.ok(takenBytes(`${folder}/back`) < 4 * mib, `${takenBytes(`${folder}/back`)} bytes of the disk`)
  const file = fs.openSync(`${folder}/back/sparse`, "r")
  t.after(() => fs.closeSync(file))
  const [part, { size }] = [Buffer.alloc(mib), fs.fstatSync(file)]
  fs.readSync(file, part, 0, mib, 2048 * mib)
  assert.ok(part.equals(bytes) && size === 3073 * mib)
  for (const position of [0, 2047 * mib, 2049 * mib, 3072 * mib]) {
    fs.readSync(file, part, 0, mib, position)
    assert.ok(part.every((byte) => byte === 0))
  }
})

test("cat ends with such a file before it has written what is out of proportion", async (t) => {
  const harness = await createHarness(t)
  const { claims } = await hostileFolder(harness)
  for (const name of Object.keys(claims)) {
    const before = process.memoryUsage.rss()
    await assert.rejects(harness.run("cat", `home:/docs/${name}`), (error) => {
      assert.ok(isHoldfastError(error), String(error))
      assert.match(error.message, new RegExp(name))
      return true
    })
    assert.ok(process.memoryUsage.rss() - before < 700 * mib, `${name}: ${process.memoryUsage.rss() - before}`)
  }
})

test("what such files claim adds up in ls and du without an end, and without a wrong number", async (t) => {
  const harness = await createHarness(t)
  await hostileFolder(harness)
  for (const args of [
    ["ls", "-l", "home:/docs"],
    ["du", "home:"],
    ["tree", "home:"],
    ["find", "home:"],
    ["stat", "home:/docs"],
  ]) {
    const said = await harness.run(...args)
    assert.doesNotMatch(said, /NaN|Infinity|undefined|e\+/, said)
    const json = await harness.run("--json", ...args)
    assert.doesNotMatch(json, /e\+|null,/, json)
  }
})
