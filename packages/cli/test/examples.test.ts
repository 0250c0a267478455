/** The programs in the READMEs of packages are files that are compiled with all others, short, and do what they say. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"
import { command, compiled } from "../../../e2e/command.ts"

const run = promisify(execFile)
const packages = paths.join(import.meta.dirname, "../..")
const mostLines = 15

for (const name of ["client", "fs"])
  test(`the README of ${name} shows its examples, word for word and short`, () => {
    const folder = paths.join(packages, name, "examples")
    const examples = fs.readdirSync(folder).map((file) => fs.readFileSync(paths.join(folder, file), "utf8"))
    const readme = fs.readFileSync(paths.join(packages, name, "README.md"), "utf8")
    const shown = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!)
    assert.deepEqual(shown.toSorted(), examples.toSorted())
    for (const code of shown) assert.ok(code.trimEnd().split("\n").length <= mostLines, code)
  })

test("the examples run against a volume of one's own", async (t) => {
  const home = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-examples-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  const env = { ...compiled, HOME: home, PATH: process.env.PATH }
  const node = async (...words: string[]) => (await run(process.execPath, words, { env })).stdout
  const places = ["a", "b", "c"].map((name) => `dir:${paths.join(home, name)}`)
  await node(command, "volume", "create", "disks", "--coding", "1/2/3", "--backend", ...places)
  const example = (name: string) => node(paths.join(packages, `${name}.ts`))
  assert.equal(await example("client/examples/make-a-tree"), "disks notes\n")
  const survives = await example("client/examples/see-what-survives")
  assert.match(survives, /survives 1 lost/)
  assert.equal(survives.trim().split("\n").length, 4)
  assert.equal(await example("fs/examples/write-and-read"), "all")
  assert.equal(await example("fs/examples/change-and-watch"), "Dear you, hello.\n")
  const listed = (await example("fs/examples/list-and-share")).trim().split("\n")
  assert.deepEqual(listed, ["/ directory 0", "/letters directory 0", "/letters/a.txt file 16", "hf:dr:"])
  assert.equal(await node(command, "ls", "disks:/"), "letters/\nteam/\n")
  assert.equal(await example("fs/examples/check-and-mend"), "true false\n")
})
