import assert from "node:assert/strict"
import { test } from "node:test"
import { mapPool, mapPoolToEnd } from "../src/index.ts"

/** Lets all that can go on do so. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test("a pool to its end that fails tells of it when nothing is under way any more, and begins nothing new", async () => {
  const slow = Promise.withResolvers<void>()
  const begun: number[] = []
  const isWorking = new Set<number>()
  let isOver = false
  const result = mapPoolToEnd([0, 1, 2, 3], 2, async (item) => {
    begun.push(item)
    isWorking.add(item)
    if (item === 0) await slow.promise
    else throw new Error("the first")
    isWorking.delete(item)
  }).finally(() => {
    isOver = true
  })
  result.catch(() => undefined)
  await turn()
  assert.equal(isOver, false, "what is under way may still look at what it was given")
  slow.resolve()
  await assert.rejects(result, { message: "the first" })
  assert.deepEqual([begun, [...isWorking]], [[0, 1], [1]])
})

test("of several errors the first to come is thrown", async () => {
  const late = Promise.withResolvers<void>()
  const result = mapPoolToEnd([0, 1], 2, async (item) => {
    if (item === 0) await late.promise
    throw new Error(`of ${item}`)
  })
  late.resolve()
  await assert.rejects(result, { message: "of 1" })
})

test("a pool that only reads fails at once, whatever is under way, and begins nothing new", async () => {
  const begun: number[] = []
  const result = mapPool([0, 1, 2, 3], 2, async (item) => {
    begun.push(item)
    if (item === 1) throw new Error("the first")
    await new Promise(() => undefined)
  })
  await assert.rejects(result, { message: "the first" })
  assert.deepEqual(begun, [0, 1])
})

test("results come in the order of the items, never more than a few in work", async () => {
  let [working, most] = [0, 0]
  const results = await mapPool([3, 1, 2, 0], 2, async (item, index) => {
    most = Math.max(most, ++working)
    for (let i = 0; i < item; i++) await turn()
    working--
    return [item, index]
  })
  assert.deepEqual(results, [
    [3, 0],
    [1, 1],
    [2, 2],
    [0, 3],
  ])
  assert.equal(most, 2)
})
