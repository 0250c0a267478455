/** Files whose content changed and whose size and time did not: `put` remembers what they were like when it stored them. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createHarness, type Harness } from "./files-harness.ts"

interface Totals {
  readonly files: number
  readonly bytes: number
  readonly unchanged: number
}

const past = new Date("2024-01-01T00:00:00Z")

/** Writes a file with a time of long ago; the time of its change is still now. */
function write(file: string, content: string | Uint8Array): void {
  fs.writeFileSync(file, content)
  fs.utimesSync(file, past, past)
}

/** A ctime that is not of this very moment. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 150))

async function harnessWith(t: Parameters<typeof createHarness>[0]): Promise<Harness> {
  const harness = await createHarness(t)
  fs.mkdirSync(`${harness.folder}/src`)
  write(`${harness.folder}/src/small`, "one")
  write(`${harness.folder}/src/large`, Buffer.alloc(3_000_000, 1))
  await settled()
  return harness
}

const put = ({ json, folder }: Harness, ...flags: string[]) =>
  json<Totals>("put", ...flags, `${folder}/src`, "home:/src")

test("content that changed with the same size and time is stored, small or large", async (t) => {
  const harness = await harnessWith(t)
  const { folder, run } = harness
  await put(harness)
  write(`${folder}/src/small`, "two")
  write(`${folder}/src/large`, Buffer.alloc(3_000_000, 2))
  await settled()
  const tried = await put(harness, "--dry-run")
  assert.equal(tried.files, 2)
  const { files, unchanged } = await put(harness)
  assert.deepEqual({ files, unchanged }, { files: 2, unchanged: 0 })
  assert.equal(await run("cat", "home:/src/small"), "two")
  assert.equal((await run("cat", "home:/src/large")).charCodeAt(2_999_999), 2)
  assert.equal((await put(harness)).unchanged, 2)
})

test("a file of another inode with the same size and time is found too", async (t) => {
  const harness = await harnessWith(t)
  const { folder, run } = harness
  await put(harness)
  write(`${folder}/other`, "two")
  fs.renameSync(`${folder}/other`, `${folder}/src/small`)
  await settled()
  assert.equal((await put(harness)).files, 1)
  assert.equal(await run("cat", "home:/src/small"), "two")
})

test("what was touched alone is read and not sent again, and known from then on", async (t) => {
  const harness = await harnessWith(t)
  const { folder, backends } = harness
  await put(harness)
  for (const name of ["small", "large"]) write(`${folder}/src/${name}`, fs.readFileSync(`${folder}/src/${name}`))
  await settled()
  const used = async () =>
    (await Promise.all(backends.map((backend) => backend.usage()))).map(({ usedBytes }) => usedBytes)
  const before = await used()
  for (const flags of [["--dry-run"], [], []]) {
    const { files, bytes, unchanged } = await put(harness, ...flags)
    assert.deepEqual({ files, bytes, unchanged }, { files: 0, bytes: 0, unchanged: 2 })
  }
  assert.deepEqual(await used(), before)
  fs.chmodSync(`${folder}/src/large`, 0o600)
  await settled()
  const { files, bytes } = await put(harness)
  assert.deepEqual({ files, bytes }, { files: 1, bytes: 0 }, "the mode alone")
})

test("without the index, size and time decide as before; a damaged one is made anew", async (t) => {
  const harness = await harnessWith(t)
  const { folder, run } = harness
  const cache = `${folder}/cache/holdfast/stored/test`
  await put(harness)
  const [name] = fs.readdirSync(cache)
  assert.equal(fs.statSync(`${cache}/${name}`).mode & 0o777, 0o600)
  fs.writeFileSync(`${cache}/${name}`, "damaged")
  write(`${folder}/src/small`, "two")
  await settled()
  assert.equal((await put(harness)).unchanged, 2, "nothing is known of it")
  write(`${folder}/src/small`, "six")
  await settled()
  await put(harness)
  assert.equal(await run("cat", "home:/src/small"), "six")
  fs.chmodSync(`${folder}/src/large`, 0o600)
  await settled()
  assert.equal((await put(harness)).bytes, 0, "of what was never hashed, the mode explains the change")
})
