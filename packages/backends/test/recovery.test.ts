/** What a start after a crash takes in, removes and leaves of the files that no row names. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { HoldfastError, toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { shareName } from "@holdfast/protocol"
import { makeAccount, makeOrder, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { isTenantName } from "../src/directory/files.ts"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { opened, temporary, tenantOf } from "./engine-fixture.ts"

/** A directory that was not closed, with one large share, and the folder where that lies. */
async function crashed(t: TestContext) {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const chunk = await randomChunk(crypto, 100_000)
  await (await tenantOf(engine, "alice")).putShares([chunk.shares[0]!], newBatch(crypto))
  await engine.close()
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  index.exec("UPDATE meta SET value = 0 WHERE name = 'clean'")
  index.close()
  const tenant = join(dir, "shares", "alice")
  const [part] = fs.readdirSync(tenant)
  return { dir, tenant, part: join(tenant, part!), chunk }
}

it("a file under the name of another share than it holds is removed, and not taken for either", async (t) => {
  const { dir, part, chunk } = await crashed(t)
  const [other, third] = [await randomChunk(crypto, 100_000), await randomChunk(crypto, 100_000)]
  fs.writeFileSync(join(part, `${shareName(other.id, 0)}.00000001`), third.shares[0]!)
  fs.writeFileSync(join(part, `${shareName(other.id, 1)}.00000002`), other.shares[2]!)
  fs.writeFileSync(join(part, `${shareName(third.id, 1)}.00000003`), third.shares[1]!)
  const engine = await opened(t, dir)
  assert.deepEqual(engine.recovery, { adopted: 1, removed: 2, left: 0 })
  const tenant = await tenantOf(engine, "alice")
  assert.deepEqual(await tenant.hasShares([chunk.id, other.id, third.id]), [[0], [], [1]])
  assert.equal(fs.readdirSync(part).length, 2)
})

it("folders that are none of ours stay, empty or not, and make no tenant; of ours those that are empty go", async (t) => {
  const { dir, tenant, part } = await crashed(t)
  for (const name of ["holiday", "deadbee", "DEADBEEF", "00000000"]) fs.mkdirSync(join(tenant, name))
  const foreign = ["Upper", "%zz", "a b", "%2E", "x".repeat(65)]
  for (const name of foreign) fs.mkdirSync(join(dir, "shares", name))
  const engine = await opened(t, dir)
  const left = [part.slice(tenant.length + 1), "DEADBEEF", "deadbee", "holiday"]
  assert.deepEqual(fs.readdirSync(tenant).sort(), left.sort())
  assert.deepEqual(fs.readdirSync(join(dir, "shares")).sort(), [...foreign, "alice"].sort())
  assert.deepEqual(
    engine.tenants().map(({ name }) => name),
    ["alice"],
  )
})

it("a file that goes while it is looked at keeps nobody from opening the directory", async (t) => {
  const { dir, part } = await crashed(t)
  const stray = await randomChunk(crypto, 100_000)
  const path = join(part, `${shareName(stray.id, 0)}.00000001`)
  fs.writeFileSync(path, stray.shares[0]!)
  const disk = createNodeDisk(dir)
  const readFile: typeof disk.readFile = (...args) => {
    fs.rmSync(path, { force: true })
    return disk.readFile(...args)
  }
  const engine = await opened(t, dir, { disk: { ...disk, readFile } })
  assert.equal(engine.recovery?.adopted, 0)
})

it("a disk that fails otherwise is not taken for one where nothing lies", async (t) => {
  const { dir } = await crashed(t)
  const disk = createNodeDisk(dir)
  const failing = () => Promise.reject(Object.assign(new Error("no"), { code: "EIO" }))
  await assert.rejects(opened(t, dir, { disk: { ...disk, readdir: failing } }), { code: "EIO" })
})

for (const code of ["EMFILE", "ENFILE", "ENOMEM", "EACCES", "EPERM", "EIO"])
  for (const isShared of [false, true])
    it(`a start that meets ${code} leaves what it could not look at, and the next one takes it in${isShared ? ", where several use a directory" : ""}`, async (t) => {
      const { dir, part, chunk } = await crashed(t)
      const strays = await Promise.all([1, 2, 3].map(() => randomChunk(crypto, 100_000)))
      const folder = part.replace(/[0-9a-f]{8}$/, "0badf00d")
      fs.mkdirSync(folder)
      for (const [i, stray] of strays.entries())
        fs.writeFileSync(join(i === 0 ? folder : part, `${shareName(stray.id, 0)}.0000000${i}`), stray.shares[0]!)
      fs.writeFileSync(join(part, `${shareName(chunk.id, 1)}.00000009`), "half a share")
      const before = fs.readdirSync(dir, { recursive: true }).sort()
      const disk = createNodeDisk(dir)
      const fails = () => Promise.reject(Object.assign(new Error("not now"), { code }))
      const failing = {
        ...disk,
        readFile: ((path, most) =>
          path.includes(toHex(strays[1]!.id)) ? fails() : disk.readFile(path, most)) as typeof disk.readFile,
        readdir: ((path, kind) => (path === folder ? fails() : disk.readdir(path, kind))) as typeof disk.readdir,
        unlink: fails,
      }
      const first = await opened(t, dir, { disk: failing, isShared })
      assert.deepEqual(first.recovery, { adopted: 1, removed: 0, left: 3 })
      await first.close()
      const shares = (names: readonly (string | Buffer)[]) => names.filter((name) => !String(name).startsWith("index"))
      assert.deepEqual(shares(fs.readdirSync(dir, { recursive: true }).sort()), shares(before))
      const second = await opened(t, dir, { isShared })
      assert.deepEqual(second.recovery, { adopted: 2, removed: 1, left: 0 })
      const ids = [chunk, ...strays].map(({ id }) => id)
      assert.deepEqual(
        await (await tenantOf(second, "alice")).hasShares(ids),
        ids.map(() => [0]),
      )
      await second.close()
      assert.equal((await opened(t, dir, { isShared })).recovery, undefined)
    })

it("a start on a full disk puts off all of it", async (t) => {
  const { dir, part, chunk } = await crashed(t)
  fs.writeFileSync(join(part, `${shareName(chunk.id, 1)}.00000009`), "half a share")
  const unlink = () => Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" }))
  const first = await opened(t, dir, { disk: { ...createNodeDisk(dir), unlink } })
  assert.equal(first.recovery, undefined)
  await first.close()
  assert.equal((await opened(t, dir)).recovery?.removed, 1)
})

for (const [what, error] of Object.entries({
  "a fault of ours": new Error("a bug"),
  "what we say ourselves": new HoldfastError("ERR_LIMIT", "too much"),
}))
  it(`a start does not go on beside ${what}`, async (t) => {
    const { dir, part, chunk } = await crashed(t)
    fs.writeFileSync(join(part, `${shareName(chunk.id, 1)}.00000009`), "half a share")
    const disk = createNodeDisk(dir)
    await assert.rejects(opened(t, dir, { disk: { ...disk, unlink: () => Promise.reject(error) } }))
    const later = await opened(t, dir)
    assert.deepEqual([later.recovery?.removed, later.recovery?.left], [1, 0])
  })

it("what was about to be removed and does not go now goes at the next start", async (t) => {
  const { dir, part } = await crashed(t)
  const stray = await randomChunk(crypto, 100_000)
  const name = `${shareName(stray.id, 0)}.00000001`
  fs.writeFileSync(join(part, name), stray.shares[0]!)
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  index.prepare("INSERT INTO removing VALUES ('alice', ?)").run(`${part.slice(-8)}/${name}`)
  index.close()
  const disk = createNodeDisk(dir)
  const unlink = () => Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }))
  const first = await opened(t, dir, { disk: { ...disk, unlink } })
  assert.deepEqual(first.recovery, { adopted: 0, removed: 0, left: 1 })
  assert.deepEqual(await (await tenantOf(first, "alice")).hasShares([stray.id]), [[]])
  await first.close()
  const second = await opened(t, dir)
  assert.deepEqual(second.recovery, { adopted: 0, removed: 1, left: 0 })
  assert.deepEqual(await (await tenantOf(second, "alice")).hasShares([stray.id]), [[]])
})

it("a file that the disk does not let go is not forgotten", async (t) => {
  const dir = await temporary(t)
  const disk = createNodeDisk(dir)
  const unlink = () => Promise.reject(Object.assign(new Error("no"), { code: "EIO" }))
  const time = { aheadMs: 0 }
  const moving = { ...clock, nowMs: () => clock.nowMs() + time.aheadMs }
  const engine = await opened(t, dir, { disk: { ...disk, unlink }, clock: moving })
  const account = await makeAccount(crypto)
  const tenant = (await engine.tenant("alice", { placeId: "d1" })).backendOf(account)
  const { id, shares } = await randomChunk(crypto, 100_000)
  await tenant.putShares([shares[0]!], newBatch(crypto))
  time.aheadMs += 25 * 3_600_000
  const order = await makeOrder(crypto, tenant, { seed: account.seed, chunks: [id] })
  await assert.rejects(tenant.unmark(order), { code: "EIO" })
})

it("a tenant is called by 1 to 64 bytes", () => {
  for (const name of ["a", "x".repeat(64), "ü".repeat(32)]) assert.ok(isTenantName(name))
  for (const name of ["", "x".repeat(65), "ü".repeat(33)]) assert.ok(!isTenantName(name))
})
