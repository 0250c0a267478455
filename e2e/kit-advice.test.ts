/** What `recovery kit` says of a kit that cannot be made, or made anew, without words: the command that makes one with them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createClient } from "./client.ts"

test("a kit that may not be without words is refused with the command that makes one with new words, which does", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const places = ["a", "b", "c"].map((name) => `dir:${client.folder}/${name}`)
  await client.run(["volume", "create", "three", "--coding", "1/2/3", "--backend", ...places])
  const refused = await client.run(["recovery", "kit", "--without-passphrase"], { code: 2 })
  const [, words] = /keys with it\. "holdfast (.*)" makes one that words protect/.exec(refused.stderr) ?? []
  assert.equal(words, "recovery kit --new-words", refused.stderr)
  const made = await client.run(words.split(" "))
  assert.match(made.stdout, /The words of the new recovery kit, shown this once/)
})
