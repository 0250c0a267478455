import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { compareNames } from "@holdfast/tree"
import fc from "fast-check"
import { InStep } from "../src/node/in-step.ts"
import { SortedNames } from "../src/node/sorted-names.ts"
import { upload } from "../src/node/upload.ts"
import { setUp } from "./local-folders.ts"
import { names, write } from "./world.ts"

/** Where UTF-16 and UTF-8 sort differently, among others. */
const oddNames = ["a", "a-", "a.b", "a0", "b", "z", "\u00e9", "\uff5e", "\u{10000}", "\u{1f600}"]

test("names are sorted as trees sort them, and found among each other", () => {
  const name = fc.oneof(fc.constantFrom(...oddNames), fc.string({ minLength: 1, maxLength: 3 }))
  fc.assert(
    fc.property(fc.uniqueArray(name), fc.array(name), (some, others) => {
      const sortedHere = [...some]
      const sorted = new SortedNames(sortedHere)
      assert.deepEqual(sortedHere, some.toSorted(compareNames))
      for (const one of [...some, ...others]) assert.equal(sorted.has(one), some.includes(one))
    }),
  )
})

test("a walk finds what the tree has of its names, at every depth, whatever else is there", async (t) => {
  const { home } = await setUp(t)
  for (const name of ["a", "c", "\uff5e"]) await write(home, [name], name)
  for (const folder of ["d", "e", "\u{10000}"]) await home.edit(async (edit) => void (await edit.mkdir([folder])))
  for (const path of [
    ["d", "b"],
    ["d", "x"],
    ["\u{10000}", "y"],
  ])
    await write(home, path, "file")
  const walk = [["a"], ["b"], ["d"], ["d", "a"], ["d", "b"], ["d", "x"], ["e"], ["e", "a"], ["f"], ["f", "x"]]
  const last = [["\uff5e"], ["\u{10000}"], ["\u{10000}", "y"], ["\u{10000}", "z"]]
  const there = new InStep(home.writer(), [])
  const found: string[] = []
  for (const path of [...walk, ...last]) if (await there.at(path)) found.push(path.join("/"))
  await there.close()
  assert.deepEqual(found, ["a", "d", "d/b", "d/x", "e", "\uff5e", "\u{10000}", "\u{10000}/y"])
})

test("an upload of many changes is committed in parts and yet one version, and the same as one at once, with a mirror too", async (t) => {
  const { from, home, options, problems } = await setUp(t)
  const path = (...parts: string[]) => [from, ...parts].join("/")
  for (const folder of ["d", "d/e", "\u{10000}"]) fs.mkdirSync(path(folder), { recursive: true })
  for (const folder of [".", "d", "d/e", "\u{10000}"])
    for (const name of oddNames) fs.writeFileSync(path(folder, `${name}.txt`), `${folder} ${name}`)
  const listed = async (at: string[]) =>
    Promise.all([[], ["d"], ["d", "e"], ["\u{10000}"]].map((below) => names(home, [...at, ...below])))
  const sequences = async () => (await home.listVersions()).map(({ sequence }) => sequence)
  const before = await sequences()
  await upload(home.writer(), from, ["parts"], { ...options, commitChanges: 7 })
  const [parts, ...kept] = await sequences()
  assert.ok(parts! - before[0]! > 4, `${parts} after ${before}`)
  assert.deepEqual(kept, before) // what was there before is a version, and no part is
  await upload(home.writer(), from, ["whole"], options)
  assert.deepEqual(await listed(["parts"]), await listed(["whole"]))
  const again = await upload(home.writer(), from, ["parts"], { ...options, commitChanges: 7 })
  assert.deepEqual([again.files, again.unchanged], [0, 40])
  for (const name of oddNames.slice(2)) {
    fs.rmSync(path("d", `${name}.txt`))
    fs.rmSync(path("\u{10000}", `${name}.txt`))
  }
  fs.rmSync(path("d/e"), { recursive: true })
  const commits = await sequences()
  const mirrored = await upload(home.writer(), from, ["parts"], { ...options, mirror: true, commitChanges: 3 })
  assert.deepEqual([mirrored.removed, mirrored.unchanged], [17, 14])
  const [mirror, ...earlier] = await sequences()
  assert.ok(mirror! - commits[0]! > 4, `${mirror} after ${commits}`)
  assert.deepEqual(earlier, commits)
  assert.deepEqual(await names(home, ["parts", "d"]), ["a-.txt", "a.txt"])
  assert.deepEqual(await names(home, ["parts", "\u{10000}"]), ["a-.txt", "a.txt"])
  assert.deepEqual(problems, [])
})

test("a part of an upload that changed nothing hides no version that was there before", async (t) => {
  const { home } = await setUp(t)
  await write(home, ["a"], "one")
  const [before] = await home.listVersions()
  const writer = home.writer()
  await writer.commit([{ path: ["gone"], kind: "remove" }], { isPart: true })
  await writer.commit([{ path: ["a"], kind: "remove" }])
  assert.ok((await home.listVersions()).some(({ sequence }) => sequence === before!.sequence))
})
