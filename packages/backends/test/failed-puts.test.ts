/** What a storage directory keeps of puts that fail half-way, and what it owes to those after them. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { opened, someone, temporary, tenantOf } from "./engine-fixture.ts"

const known = await randomChunk(crypto, 500)
const large = await randomChunk(crypto, 300_000)
const share = large.shares[0]!

/** Files of shares below a storage directory. */
function shareFiles(dir: string): string[] {
  const shares = join(dir, "shares")
  if (!fs.existsSync(shares)) return []
  return fs
    .readdirSync(shares, { recursive: true, withFileTypes: true })
    .flatMap((entry) => (entry.isFile() ? entry.name : []))
}

test("a put that ends with an error leaves no file, and counts against no quota", async (t) => {
  const dir = await temporary(t)
  const first = await opened(t, dir)
  await (await tenantOf(first, "local")).putShares([known.shares[0]!], newBatch(crypto))
  await first.close()
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  index.exec("UPDATE shares SET size = 9223372036854775000") // reading it throws
  index.close()
  const engine = await opened(t, dir)
  const backend = await tenantOf(engine, "local", { quotaBytes: 1.5 * share.length })
  await assert.rejects(backend.putShares([known.shares[0]!, share], newBatch(crypto)), { code: "ERR_CORRUPT" })
  assert.deepEqual(shareFiles(dir), [])
  const [outcome] = await backend.putShares([share], newBatch(crypto))
  assert.deepEqual(outcome, { ok: true, existed: false })
  assert.equal(shareFiles(dir).length, 1)
})

/** The disk, with the folders whose names were made durable; `failing` of those attempts fail first. */
function watchedDisk(dir: string, failing: (path: string) => boolean) {
  const disk = createNodeDisk(dir)
  const synced: string[] = []
  const syncDirectory = async (path: string) => {
    if (failing(path)) throw Object.assign(new Error("i/o error"), { code: "EIO" })
    await disk.syncDirectory(path)
    synced.push(path)
  }
  return { synced, disk: { ...disk, syncDirectory } }
}

test("a share counts once every folder above it is durable, also when that failed or was cut off before", async (t) => {
  const dir = await temporary(t)
  const shares = join(dir, "shares")
  let isBad = true
  const { disk, synced } = watchedDisk(dir, (path) => isBad && path === shares)
  const engine = await opened(t, dir, { disk })
  const put = async () => (await engine.tenant("new")).backendOf(someone).putShares([share], newBatch(crypto))
  assert.equal((await put())[0]!.ok, false, "the tenant's folder has no name on the disk")
  isBad = false
  assert.equal((await put())[0]!.ok, true)
  for (const folder of [dir, shares, join(shares, "new")]) assert.ok(synced.includes(folder), folder)
  await engine.close()

  // What a process left that was killed before it could synchronise.
  fs.mkdirSync(join(shares, "killed"))
  const again = watchedDisk(dir, () => false)
  const reopened = await opened(t, dir, { disk: again.disk })
  const [outcome] = await (await reopened.tenant("killed")).backendOf(someone).putShares([share], newBatch(crypto))
  assert.equal(outcome!.ok, true)
  assert.ok(again.synced.includes(shares), "its name among the tenants")
  assert.ok(again.synced.includes(dirname(dir)), "that of the directory itself")
})
