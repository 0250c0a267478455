import assert from "node:assert/strict"
import { PassThrough } from "node:stream"
import { test } from "node:test"
import type { Context } from "../src/context.ts"
import { ItemList } from "../src/output.ts"
import { createScreen } from "../src/screen.ts"

/** A list on a stream that is read as it is written, and all that came of it so far. */
function listOn(json: boolean) {
  const stdout = new PassThrough()
  const said = { text: "" }
  stdout.on("data", (piece: Buffer) => {
    said.text += piece.toString("utf8")
  })
  const screen = createScreen({ stdout, stderr: { write: () => undefined }, json })
  return { said, list: new ItemList({ ...screen, stdout, json } as unknown as Context) }
}

async function addAll(list: ItemList, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await list.add({ value: () => ({ name: `${i}\u202e` }), line: () => `line ${i}\u202e` })
}

test("a list is the same text however many items it has, and safe to look at", async () => {
  for (const count of [0, 1, 9_999, 10_000, 10_001, 25_000]) {
    const [text, json] = [listOn(false), listOn(true)]
    for (const { list } of [text, json]) {
      await addAll(list, count)
      await list.end()
    }
    assert.equal(text.said.text, Array.from({ length: count }, (_, i) => `line ${i}\\u202e\n`).join(""))
    assert.deepEqual(
      JSON.parse(json.said.text),
      Array.from({ length: count }, (_, i) => ({ name: `${i}\u202e` })),
    )
    assert.doesNotMatch(json.said.text, /\u202e/)
  }
})

test("of few items nothing is printed before the end, of many most is", async () => {
  for (const json of [false, true]) {
    const few = listOn(json)
    await addAll(few.list, 9_999)
    assert.equal(few.said.text, "")
    const many = listOn(json)
    await addAll(many.list, 30_000)
    assert.match(many.said.text, /29999/)
    assert.throws(() => JSON.parse(many.said.text))
  }
})
