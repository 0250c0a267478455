import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it } from "node:test"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { markBytes, rowBytes } from "../src/index.ts"
import { opened, temporary, tenantOf } from "./engine-fixture.ts"

it("lets no tenant fill the disk for those that have less than their part", async (t) => {
  const dir = await temporary(t)
  const disk = createNodeDisk(dir)
  const totalBytes = 1_000_000
  // A disk of a million bytes with what the index says is stored on it: the rest is the real one.
  const space = async () => {
    const usedBytes = engine.tenants().reduce((sum, tenant) => sum + tenant.usedBytes, 0)
    return { freeBytes: Math.max(0, totalBytes - usedBytes), totalBytes }
  }
  let offsetMs = 0
  const nowMs = () => {
    offsetMs += 1_000 // so that the disk is measured each time
    return clock.nowMs() + offsetMs
  }
  const moving = { ...clock, nowMs }
  const engine = await opened(t, dir, { disk: { ...disk, space }, clock: moving })
  const [greedy, modest] = [await tenantOf(engine, "greedy"), await tenantOf(engine, "modest")]
  const put = async (tenant: typeof greedy) => {
    const [outcome] = await tenant.putShares([(await randomChunk(crypto, 30_000, 1)).shares[0]!], newBatch(crypto))
    return outcome!.ok || outcome!.code
  }
  const fill = async (last: string | boolean) => {
    for (let i = 0; i < 100; i++) {
      const outcome = await put(greedy)
      if (outcome !== true) return assert.equal(outcome, last)
    }
    assert.fail("the disk is not that large")
  }
  await fill("full")
  const value = () => makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(60_000))
  assert.equal((await greedy.proposeRegisters([await value()]))[0]!.accepted, false)
  assert.equal(await put(modest), true)
  assert.equal((await modest.proposeRegisters([await value()]))[0]!.accepted, true)
  assert.equal(await put(greedy), "full")
})

it("lets each tenant remove something on a full disk, and gives none more of the reserve than its part", async (t) => {
  const dir = await temporary(t)
  const totalBytes = 1_000_000
  const reservedBytes = 200_000
  const space = async () => {
    const usedBytes = engine.tenants().reduce((sum, tenant) => sum + tenant.usedBytes, 0)
    return { freeBytes: totalBytes - usedBytes, totalBytes }
  }
  let offsetMs = 0
  const nowMs = () => {
    offsetMs += 1_000 // so that the disk is measured each time
    return clock.nowMs() + offsetMs
  }
  const moving = { ...clock, nowMs }
  const disk = { ...createNodeDisk(dir), space }
  const engine = await opened(t, dir, { disk, clock: moving, reservedBytes })
  const [greedy, modest] = [await tenantOf(engine, "greedy"), await tenantOf(engine, "modest")]
  const fill = async (tenant: typeof greedy, forRemoval: boolean) => {
    let bytes = 0
    for (let i = 0; i < 300; i++) {
      const share = (await randomChunk(crypto, 5_000, 1)).shares[0]!
      const [outcome] = await tenant.putShares([share], { ...newBatch(crypto), forRemoval })
      if (!outcome!.ok) return [outcome!.code, bytes] as const
      bytes += share.length
    }
    return assert.fail("the disk is not that large")
  }
  await fill(greedy, false)
  await fill(modest, false)
  assert.deepEqual([(await fill(greedy, false))[0], (await fill(modest, false))[1]], ["full", 0])
  const most = reservedBytes / 4 // half of the reserve, for two tenants
  for (const tenant of [greedy, modest]) {
    const [code, bytes] = await fill(tenant, true)
    assert.equal(code, "full")
    assert.ok(bytes <= most && bytes > most / 2, `${bytes} of ${most} bytes for removals`)
    assert.deepEqual(await fill(tenant, true), ["full", 0])
  }
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(60_000))
  assert.equal((await greedy.proposeRegisters([value], { forRemoval: true }))[0]!.accepted, false)
  assert.ok((await space()).freeBytes >= reservedBytes / 2)
})

it("counts accounts that are named, and a refused request leaves no row of any", async (t) => {
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const chunk = await randomChunk(crypto, 300)
  const limited = await tenantOf(engine, "alice", { quotaBytes: 3_000 })
  assert.equal((await limited.putShares([chunk.shares[0]!], newBatch(crypto)))[0]!.ok, true)
  let refused = 0
  for (let i = 0; i < 50; i++) {
    const accounts = Array.from({ length: 4 }, () => crypto.random(32))
    const [outcome] = await limited.markShares([chunk.id], newBatch(crypto, accounts))
    if (!outcome!.ok) refused++
  }
  assert.ok(refused >= 45)
  await engine.close()
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  t.after(() => index.close())
  const { rows } = index.prepare("SELECT count(*) AS rows FROM accounts").get() as { rows: number }
  assert.ok(rows <= 3_000 / (rowBytes + markBytes) + 1, `${rows} accounts within 3,000 bytes`)
})
