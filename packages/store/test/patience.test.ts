import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { type Clock, HoldfastError } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import { withPatience } from "../src/patience.ts"

test("a server that cannot be reached is tried once for each pause, which grows; once that works all who ask are answered", async () => {
  const time = { nowMs: 0 }
  const clock: Clock = { nowMs: () => time.nowMs, sleep: () => Promise.reject(new Error("not used")) }
  const memory = createMemoryBackend("a", nodeEnv.crypto)
  let isDown = true
  let calls = 0
  const flaky = withPatience(
    {
      ...memory,
      hasShares: async (ids) => {
        calls++
        if (isDown) throw new HoldfastError("ERR_SERVER_UNREACHABLE", "gone")
        return memory.hasShares(ids)
      },
    },
    clock,
  )
  const ask = () => flaky.hasShares([new Uint8Array(32)])
  const failures = async (count: number) => {
    const results = await Promise.allSettled(Array.from({ length: count }, ask))
    assert.ok(results.every(({ status }) => status === "rejected"))
  }
  await failures(1)
  await failures(5)
  assert.equal(calls, 1)
  time.nowMs = 1000
  await failures(5)
  assert.equal(calls, 2)
  time.nowMs = 2999
  await failures(1)
  assert.equal(calls, 2)
  time.nowMs = 3000
  isDown = false
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [[[]], [[]], [[]]])
  assert.deepEqual(await ask(), [[]])
  assert.equal(calls, 6)
})

test("who waits at a server that cannot be reached is let through, and an answer says that it is back", async () => {
  const clock: Clock = { nowMs: () => 0, sleep: () => Promise.reject(new Error("not used")) }
  const memory = createMemoryBackend("a", nodeEnv.crypto)
  let isDown = true
  const gone = () => new HoldfastError("ERR_SERVER_UNREACHABLE", "gone")
  const patient = withPatience(
    {
      ...memory,
      readRegisters: async (ids) => {
        if (isDown) throw gone()
        return memory.readRegisters(ids)
      },
      watchRegisters: async (watched) => {
        if (isDown) throw gone()
        return watched.map(() => undefined)
      },
    },
    clock,
  )
  const [id] = [new Uint8Array(32)]
  await assert.rejects(patient.readRegisters([id]))
  await assert.rejects(patient.watchRegisters!([{ id }]))
  isDown = false
  await assert.rejects(patient.readRegisters([id]), "its pause is not over")
  assert.deepEqual(await patient.watchRegisters!([{ id }]), [undefined])
  assert.deepEqual(await patient.readRegisters([id]), [undefined])
})

test("other errors close nothing", async () => {
  const memory = createMemoryBackend("a", nodeEnv.crypto)
  let calls = 0
  const refusing = withPatience(
    {
      ...memory,
      usage: async () => {
        calls++
        throw new HoldfastError("ERR_REFUSED", "no")
      },
    },
    nodeEnv.clock,
  )
  for (let i = 0; i < 3; i++) await assert.rejects(refusing.usage(), { code: "ERR_REFUSED" })
  assert.equal(calls, 3)
})
