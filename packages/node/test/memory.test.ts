import assert from "node:assert/strict"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { FairMemory, type Holding } from "../src/memory.ts"

const unit = 16
const total = 128

/** A memory with a clock that these tests move, and requests that say whether they were ended. */
function memoryAt(queueMs = 20_000) {
  let nowMs = 0
  let timers: { atMs: number; run: () => void }[] = []
  const later = (ms: number, run: () => void) => void timers.push({ atMs: nowMs + ms, run })
  const memory = new FairMemory({ totalBytes: total, unitBytes: unit, nowMs: () => nowMs, later, queueMs })
  const ended = new Set<Holding>()
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    ended,
    open: (tenant: string, member = tenant): Holding => {
      const holding: Holding = memory.open({ tenant, member }, () => ended.add(holding))
      return holding
    },
    pass: async (ms: number) => {
      for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 100) {
        const due = timers.filter(({ atMs }) => atMs <= nowMs)
        timers = timers.filter(({ atMs }) => atMs > nowMs)
        for (const { run } of due) run()
        await settle()
      }
    },
    /** Starts to wait; says later whether it got what it waits for. */
    grow: async (holding: Holding, bytes = unit) => {
      const outcome = { got: false, failed: undefined as unknown }
      holding.grow(bytes).then(
        () => (outcome.got = !holding.isReleased),
        (error: unknown) => (outcome.failed = error),
      )
      await settle()
      return outcome
    },
  }
}

/** Requests of one tenant that take all they get, and then send nothing more. */
async function hog(memory: ReturnType<typeof memoryAt>, tenant: string, count: number, members = 1) {
  const outcomes = []
  for (let i = 0; i < count; i++) {
    const holding = memory.open(tenant, `${tenant}-${i % members}`)
    outcomes.push({ holding, outcome: await memory.grow(holding) })
    holding.expect(1_000_000)
  }
  return outcomes
}

test("a part is kept for those who hold nothing, whatever one tenant takes", async () => {
  const memory = memoryAt()
  const taken = await hog(memory, "greedy", 20)
  const count = taken.filter(({ outcome }) => outcome.got).length
  assert.ok(count >= 6 && count <= 7, `${count} of 8 places`)
  const small = memory.open("modest")
  assert.equal((await memory.grow(small, 1)).got, true)
})

test("slow requests of whoever holds more than its share end for those who wait, as many as are needed", async () => {
  const memory = memoryAt()
  await hog(memory, "greedy", 20)
  const modest = []
  for (let i = 0; i < 3; i++) modest.push(await memory.grow(memory.open("modest")))
  await memory.pass(2_000)
  assert.ok(modest.every(({ got }) => got))
  assert.ok([...memory.ended].length > 0 && [...memory.ended].length <= 20 - 4, `${memory.ended.size} ended`)
})

test("who moves on keeps its memory, and others wait for it", async () => {
  const memory = memoryAt()
  const quick = (await hog(memory, "busy", 7)).filter(({ outcome }) => outcome.got)
  const waiting = []
  for (let i = 0; i < 4; i++) waiting.push(await memory.grow(memory.open("other")))
  for (let i = 0; i < 30; i++) {
    for (const { holding } of quick) holding.moved(30_000)
    await memory.pass(100)
  }
  assert.equal(memory.ended.size, 0)
  assert.ok(waiting.some(({ got }) => !got))
  for (const { holding } of quick) holding.release()
  await memory.pass(100)
  assert.ok(waiting.every(({ got }) => got))
})

test("with more tenants than there is memory for, each comes to its turn, those with nothing first", async () => {
  const memory = memoryAt()
  for (let i = 0; i < 40; i++) await hog(memory, `t${i}`, 2)
  const honest = memory.open("honest")
  assert.equal((await memory.grow(honest, 1)).got, true, "who needs little is served at once")
  const outcome = await memory.grow(honest)
  await memory.pass(10_000)
  assert.equal(outcome.got, true)
  assert.equal(memory.ended.has(honest), false)
})

test("members of one tenant share what it has in the same way", async () => {
  const memory = memoryAt()
  await hog(memory, "acme", 20)
  const colleague = await memory.grow(memory.open("acme", "colleague"))
  await memory.pass(2_000)
  assert.equal(colleague.got, true)
  assert.ok(memory.ended.size > 0)
})

test("requests that grow never wait for each other in a ring", async () => {
  const memory = memoryAt()
  const all = []
  for (let i = 0; i < 60; i++) {
    const holding = memory.open("one")
    all.push({ holding, first: await memory.grow(holding, 4) })
  }
  const growing = all.filter(({ first }) => first.got).map(({ holding }) => holding)
  const grown = new Map<Holding, { got: boolean }>()
  for (const holding of growing) grown.set(holding, await memory.grow(holding))
  for (let round = 0; round < 60 && grown.size > 0; round++)
    for (const [holding, { got }] of grown)
      if (got) {
        grown.delete(holding)
        holding.release()
        await memory.pass(100)
      }
  assert.equal(grown.size, 0, "all came to their end")
  assert.equal(memory.ended.size, 0)
})

test("who waits too long for memory is told so", async () => {
  const memory = memoryAt(500)
  for (const { holding } of await hog(memory, "busy", 7)) holding.expect(0) // in work here: nobody can be ended
  const late = []
  for (let i = 0; i < 3; i++) late.push(await memory.grow(memory.open("other")))
  await memory.pass(1_000)
  const failed = late.filter(({ failed: error }) => isHoldfastError(error) && error.details.status === 503)
  assert.ok(failed.length > 0)
  assert.equal(memory.ended.size, 0)
})

test("what stalls for long ends for anybody who waits, though it is within its share", async () => {
  const memory = memoryAt()
  const [stalled] = await hog(memory, "slow", 1)
  const outcomes = []
  for (let i = 0; i < 9; i++) outcomes.push((await hog(memory, "busy", 1))[0]!)
  for (let i = 0; i < 120; i++) {
    for (const { holding } of outcomes) holding.moved(20_000)
    await memory.pass(100)
  }
  assert.deepEqual([...memory.ended], [stalled!.holding])
})
