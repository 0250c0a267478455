import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { applyEdit, defects } from "../src/index.ts"

const root = new URL("../../../", import.meta.url)

for (const { name, edits } of defects)
  test(`the defect still applies: ${name}`, () => {
    const texts = new Map<string, string>()
    for (const edit of edits) {
      const before = texts.get(edit.file) ?? readFileSync(new URL(edit.file, root), "utf8")
      const after = applyEdit(before, edit)
      assert.notEqual(after, before)
      texts.set(edit.file, after)
    }
  })

test("a text that occurs twice or not at all is no defect", () => {
  for (const text of ["", "x x"])
    assert.throws(() => applyEdit(text, { file: "f", find: "x", replace: "y" }), /f has (0|2) times/)
})
