import assert from "node:assert/strict"
import { test } from "node:test"
import { createProgress, createProgressEvents, sizeText } from "../src/progress.ts"

function drawn(total: number | undefined, steps: readonly (readonly [bytes: number, atMs: number])[], columns = 100) {
  const lines: string[] = []
  let nowMs = 0
  const progress = createProgress({ write: (text) => lines.push(text), columns }, "put", total, () => nowMs)
  for (const [bytes, atMs] of steps) {
    nowMs = atMs
    progress.add(bytes)
  }
  progress.close()
  return lines
}

test("the bar shows part, amount, rate and time left", () => {
  const lines = drawn(100 * 1024 * 1024, [[25 * 1024 * 1024, 5000]])
  assert.match(lines[0]!, /^\rput \[#{6}-{18}\] 25% 25\.0 MiB\/100 MiB 5\.0 MiB\/s 15 s left +$/)
  assert.equal(lines.at(-1), "\n")
})

test("without a total it shows amount and rate, and nothing that would be a guess", () => {
  assert.match(drawn(undefined, [[2048, 1000]])[0]!, /^\rput 2\.0 KiB 2\.0 KiB\/s +$/)
})

test("it draws at most ten times a second, never wider than the terminal, and never over 100 %", () => {
  const lines = drawn(
    10,
    Array.from({ length: 1000 }, (_, i) => [1, i] as const),
    30,
  )
  assert.ok(lines.length <= 12, `${lines.length} lines`)
  for (const line of lines) assert.ok(line.length <= 30)
  assert.match(lines.at(-2)!, /100%|\[#+/)
  assert.doesNotMatch(lines.join(""), /1\d\d\d%/)
})

test("sizes have units that people read", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 1024 ** 2 * 250, 1024 ** 4].map(sizeText), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "250 MiB",
    "1.0 TiB",
  ])
})

test("programs get a line of JSON at most each second, and one in the end, with what is known", () => {
  const lines: string[] = []
  let nowMs = 5000
  const stream = { write: (text: string) => lines.push(text) }
  const known = createProgressEvents(stream, "put", 3000, () => nowMs)
  for (let i = 0; i < 30; i++) {
    known.add(100)
    nowMs += 100
  }
  known.close()
  createProgressEvents(stream, "check", undefined, () => nowMs, "chunks").close()
  const events = lines.map((line) => JSON.parse(line) as object)
  const common = { event: "progress", task: "put", total: 3000, unit: "bytes" }
  assert.deepEqual(events, [
    { ...common, done: 1100, seconds: 1, isEnd: false },
    { ...common, done: 2100, seconds: 2, isEnd: false },
    { ...common, done: 3000, seconds: 3, isEnd: true },
    { event: "progress", task: "check", done: 0, total: null, unit: "chunks", seconds: 0, isEnd: true },
  ])
  for (const line of lines) assert.match(line, /^[^\n]+\n$/)
})
