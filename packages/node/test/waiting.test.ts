import assert from "node:assert/strict"
import { test } from "node:test"
import { Waiting } from "../src/waiting.ts"

const kib = 1024

/** Waiting requests with timers that these tests fire, and who of them was answered. */
function waitingOf(totalBytes: number) {
  const stop = new AbortController()
  const timers = new Set<{ readonly ms: number; readonly run: () => void }>()
  const counts: number[] = []
  const waiting = new Waiting({
    totalBytes,
    stopped: stop.signal,
    later(ms, run) {
      const timer = { ms, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    onCount: (count) => counts.push(count),
  })
  const answered: string[] = []
  const wait = (tenant: string, member = tenant, { waitMs = 1000, registers = 1 } = {}) =>
    waiting.run({ tenant, member }, { waitMs, registers }, (until) => {
      const over = Promise.withResolvers<void>()
      if (until.aborted) over.resolve()
      until.addEventListener("abort", () => over.resolve())
      return over.promise.then(() => void answered.push(member))
    })
  return { stop, timers, counts, answered, wait }
}

const busy = { code: "ERR_REMOTE", details: { status: 503 } }
const settled = () => new Promise((resolve) => setImmediate(resolve))

test("requests wait until their time is over, or the node stops, and leave no timer behind", async () => {
  const { stop, timers, counts, answered, wait } = waitingOf(1024 * kib)
  const first = wait("a", "a1", { waitMs: 20_000 })
  const second = wait("b", "b1")
  await wait("c", "c1", { waitMs: 0 })
  assert.deepEqual([...timers].map(({ ms }) => ms).sort(), [1000, 20_000])
  for (const timer of [...timers]) if (timer.ms === 20_000) timer.run()
  await first
  assert.deepEqual(answered, ["c1", "a1"])
  stop.abort()
  await second
  await wait("d", "d1") // once it stops, at once
  assert.deepEqual([answered, timers.size, counts.at(-1)], [["c1", "a1", "b1", "d1"], 0, 0])
})

test("a member has a part of the places, by how much it waits for", async () => {
  const { answered, wait, counts } = waitingOf(16 * 32 * kib) // 32 KiB for each member: three requests for one register
  const waits = [1, 2, 3].map(() => wait("a", "a1"))
  await assert.rejects(wait("a", "a1"), busy)
  void wait("a", "a2", { registers: 32 })
  await assert.rejects(wait("a", "a2", { registers: 32 }), busy)
  assert.deepEqual([waits.length, counts.at(-1), answered], [3, 4, []])
})

test("members of two tenants who have one name have each a part of their own", async () => {
  const { wait, counts } = waitingOf(16 * 32 * kib)
  for (let i = 0; i < 3; i++) void wait("a", "one")
  await assert.rejects(wait("a", "one"), busy)
  for (let i = 0; i < 3; i++) void wait("b", "one")
  assert.equal(counts.at(-1), 6)
})

test("who waits for most makes place for who waits for less, and for nobody else", async () => {
  const { answered, wait, counts } = waitingOf(16 * 16 * kib) // 30 requests, one for each member
  for (let i = 0; i < 30; i++) void wait("greedy", `g${i}`)
  await assert.rejects(wait("greedy", "g30"), busy)
  void wait("modest", "m1")
  void wait("modest", "m2")
  await settled()
  assert.deepEqual([answered, counts.at(-1)], [["g29", "g28"], 30])
  for (let i = 3; i <= 15; i++) void wait("modest", `m${i}`)
  await settled()
  assert.equal(answered.filter((member) => member.startsWith("g")).length, 15)
  await assert.rejects(wait("modest", "m16"), busy, "both have half now")
  await assert.rejects(wait("greedy", "g30"), busy)
})

test("within a tenant the busiest member makes place", async () => {
  const { answered, wait } = waitingOf(16 * 32 * kib) // three requests for each member, 60 in all
  for (let i = 0; i < 20; i++) for (let j = 0; j < 3; j++) void wait("a", `m${i}`)
  void wait("a", "new")
  await settled()
  assert.equal(answered.length, 1)
  assert.match(answered[0]!, /^m/)
})
