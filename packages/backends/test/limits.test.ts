import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { accountIdOf, accountRoles, type Backend, maxDevices, signGrant, signRecord } from "@holdfast/protocol"
import { makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import type { Engine } from "../src/directory/index.ts"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { opened, someone, temporary } from "./engine-fixture.ts"

const kib = 1024

/** What the rows of all tenants cost, which the index tells once its engine is closed. */
async function costOf(dir: string, engine: Engine): Promise<number> {
  await engine.close()
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  const { cost } = index.prepare("SELECT sum(cost) AS cost FROM tenants").get() as { cost: number }
  index.close()
  return cost
}

/** An engine over a disk that has `totalBytes`, and what it says is left of them. */
async function onDisk(t: TestContext, { totalBytes, reservedBytes }: { totalBytes: number; reservedBytes: number }) {
  const dir = await temporary(t)
  let offsetMs = 0
  const nowMs = () => {
    offsetMs += 1_000 // so that the disk is measured each time
    return clock.nowMs() + offsetMs
  }
  const freeBytes = () => totalBytes - engine.tenants().reduce((sum, tenant) => sum + tenant.usedBytes, 0)
  const disk = { ...createNodeDisk(dir), space: async () => ({ freeBytes: freeBytes(), totalBytes }) }
  const engine = await opened(t, dir, { disk, clock: { ...clock, nowMs }, reservedBytes })
  return { dir, engine, freeBytes }
}

/** Puts shares until there is no space for one more. */
async function fill(backend: Backend): Promise<void> {
  for (;;) {
    const [outcome] = await backend.putShares([(await randomChunk(crypto, 5 * kib, 1)).shares[0]!], newBatch(crypto))
    if (!outcome!.ok) return assert.equal(outcome!.code, "full")
  }
}

const smallValue = (seed: Uint8Array) => makeRegisterValue(crypto, seed, 1, "x")
const largeValue = (seed: Uint8Array) => makeRegisterValue(crypto, seed, 2, "x".repeat(60 * kib))

it("counts for whom a value is marked that is held already, against the quota", async (t) => {
  const quotaBytes = 50_000
  const dir = await temporary(t)
  const engine = await opened(t, dir)
  const backend = (await engine.tenant("greedy", { quotaBytes })).backendOf(someone)
  const value = await smallValue(crypto.random(32))
  let refused = 0
  for (let i = 0; i < 10; i++) {
    const accounts = Array.from({ length: 30 }, () => crypto.random(32))
    if (!(await backend.proposeRegisters([value], { accounts }))[0]!.accepted) refused++
  }
  assert.ok(refused > 0)
  const cost = await costOf(dir, engine)
  assert.ok(cost <= quotaBytes, `${cost} bytes within ${quotaBytes}`)
})

it("takes no value in place of a smaller one that a full disk has no space for", async (t) => {
  const reservedBytes = 200 * kib
  const { engine, freeBytes } = await onDisk(t, { totalBytes: 1000 * kib, reservedBytes })
  const greedy = (await engine.tenant("greedy")).backendOf(someone)
  const seeds = Array.from({ length: 20 }, () => crypto.random(32))
  for (const seed of seeds) assert.ok((await greedy.proposeRegisters([await smallValue(seed)]))[0]!.accepted)
  await fill(greedy)
  const before = freeBytes()
  for (const seed of seeds) {
    const [outcome] = await greedy.proposeRegisters([await largeValue(seed)])
    assert.equal(!outcome!.accepted && outcome!.code, "full")
  }
  assert.equal(freeBytes(), before)
  for (const seed of seeds) await greedy.proposeRegisters([await largeValue(seed)], { forRemoval: true })
  assert.ok(freeBytes() >= reservedBytes / 4, `${freeBytes()} bytes are left`)
})

it("takes no record of devices in place of a smaller one that a full disk has no space for", async (t) => {
  const reservedBytes = 200 * kib
  const { dir, engine } = await onDisk(t, { totalBytes: 1000 * kib, reservedBytes })
  const tenant = await engine.tenant("greedy")
  const seeds = Array.from({ length: 8 }, () => crypto.random(32))
  const publish = async (seed: Uint8Array, epoch: number, devices: number) => {
    const account = accountIdOf(await crypto.publicKeyOf(seed))
    const grants = await Promise.all(
      Array.from({ length: devices }, () =>
        signGrant(crypto, seed, { epoch, deviceKey: crypto.random(32), roles: accountRoles, name: "n".repeat(64) }),
      ),
    )
    const record = await signRecord(crypto, seed, { epoch, grants })
    await tenant.backendOf({ account, roles: accountRoles }).publishRecord(record)
  }
  for (const seed of seeds) await publish(seed, 1, 3)
  await fill(tenant.backendOf(someone))
  const refusals: string[] = []
  for (const seed of seeds)
    await publish(seed, 2, maxDevices).catch((error: { code: string }) => refusals.push(error.code))
  assert.ok(refusals.length > 0 && refusals.every((code) => code === "ERR_SERVER_FULL"), refusals.join())
  for (const seed of seeds) await publish(seed, 3, 1) // access is taken back on a full disk
  await engine.close()
  const index = new DatabaseSync(join(dir, "index.sqlite"))
  t.after(() => index.close())
  const { epochs } = index.prepare("SELECT count(*) AS epochs FROM accounts WHERE epoch = 3").get() as {
    epochs: number
  }
  assert.equal(epochs, seeds.length)
})
