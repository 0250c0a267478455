/** Who waits for registers: woken by what changes, and by nothing else, at the cost of one look for each change. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { equal } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { registerHashOf } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import { RegisterWaits } from "../src/register-waits.ts"

const seed = crypto.random(32)
const values = await Promise.all([1, 2, 3].map((sequence) => makeRegisterValue(crypto, seed, sequence, "root")))
const hashes = values.map(registerHashOf)

function setUp(mostIdle = 0) {
  const held = new Map<string, Uint8Array>()
  const reads: string[] = []
  const read = (key: string) => {
    reads.push(key)
    return held.get(key)
  }
  const waits = new RegisterWaits({ crypto, read, mostIdle })
  const change = (key: string, value?: Uint8Array) => {
    if (value) held.set(key, value)
    else held.delete(key)
    waits.changed(key)
  }
  return { held, reads, waits, change }
}

/** Lets all that is ready run. */
const settled = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

const same = (a: readonly (Uint8Array | undefined)[], b: readonly (Uint8Array | undefined)[]) =>
  a.length === b.length && a.every((one, i) => (one && b[i] ? equal(one, b[i]) : one === b[i]))

it("answers at once where another value is held than is known, or none, or one where none is known", async () => {
  const { held, waits } = setUp()
  held.set("a", values[0]!)
  const known = { key: "a", hash: hashes[0]! }
  assert.ok(same(await waits.wait([known, { key: "b", hash: hashes[0]! }]), [hashes[0], undefined]))
  assert.ok(same(await waits.wait([{ key: "b" }, { key: "a", hash: hashes[1]! }]), [undefined, hashes[0]]))
  assert.ok(same(await waits.wait([{ key: "a" }]), [hashes[0]]))
  assert.equal(waits.size, 0)
})

it("wakes whoever waits when his register changes and not when another does, and goes on when it is as it was", async () => {
  const { waits, change } = setUp()
  change("nobody's", values[0]!)
  let answer: readonly (Uint8Array | undefined)[] | undefined
  const waiting = waits.wait([{ key: "a" }, { key: "b" }]).then((told) => {
    answer = told
  })
  change("c", values[0]!)
  waits.changed("a")
  await settled()
  assert.equal(answer, undefined)
  change("b", values[1]!)
  await waiting
  assert.ok(same(answer!, [undefined, hashes[1]]))
  assert.equal(waits.size, 0)
})

it("looks once for each change, however many wait", async () => {
  const { reads, waits, change } = setUp()
  const waiting = Array.from({ length: 100 }, () => waits.wait([{ key: "a" }]))
  await settled()
  assert.equal(reads.length, 1)
  change("a", values[0]!)
  for (const told of await Promise.all(waiting)) assert.ok(same(told, [hashes[0]]))
  assert.equal(reads.length, 2)
})

it("answers what is held when the time is over, throws when it is called off or closed, and forgets all three", async () => {
  const { held, waits } = setUp()
  held.set("a", values[0]!)
  const known = [{ key: "a", hash: hashes[0]! }]
  const [until, stop] = [new AbortController(), new AbortController()]
  const timed = waits.wait(known, { until: until.signal })
  const called = waits.wait(known, { signal: stop.signal })
  const closed = waits.wait(known)
  await settled()
  until.abort()
  assert.ok(same(await timed, [hashes[0]]))
  assert.ok(same(await waits.wait(known, { until: until.signal }), [hashes[0]]))
  stop.abort(new Error("called off"))
  await assert.rejects(called, /called off/)
  await assert.rejects(waits.wait(known, { signal: stop.signal }), /called off/)
  waits.close(new Error("closed"))
  await assert.rejects(closed, /closed/)
  await assert.rejects(waits.wait(known), /closed/)
  assert.equal(waits.size, 0)
})

it("remembers the hashes of some registers that nobody waits for now, and reads again what changed meanwhile", async () => {
  const { reads, waits, change } = setUp(2)
  for (const key of ["a", "b", "c"]) change(key, values[0]!)
  const ask = (...keys: string[]) => waits.wait(keys.map((key) => ({ key, hash: hashes[2]! })))
  for (let i = 0; i < 3; i++) assert.ok(same(await ask("a", "b"), [hashes[0], hashes[0]]))
  assert.deepEqual(reads, ["a", "b"])
  change("a", values[1]!)
  assert.ok(same(await ask("a", "b"), [hashes[1], hashes[0]]))
  change("b")
  assert.ok(same(await ask("b"), [undefined]))
  assert.deepEqual(reads, ["a", "b", "a", "b"])
  const none = Array.from({ length: 10 }, (_, i) => `none ${i}`)
  await ask(...none)
  assert.equal(waits.size, 1, "what is not there takes no place")
  await ask("c")
  await ask("b", "a")
  assert.deepEqual(reads.slice(-2), ["c", "b"])
  change("b", values[0]!)
  await ask("b")
  assert.equal(waits.size, 2)
  await ask("a")
  assert.equal(reads.at(-1), "b")
  await ask("c")
  assert.equal(reads.at(-1), "c", "the one left first was forgotten")
})

it("lets others have their turn while many registers are hashed", async () => {
  let turns = 0
  const turn = async () => void turns++
  const waits = new RegisterWaits({ crypto, read: () => values[0], turn })
  await waits.wait(Array.from({ length: 64 }, (_, i) => ({ key: `${i}` })))
  assert.ok(turns >= 15, `${turns}`)
})
