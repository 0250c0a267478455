/** Where some of many cannot be done, the others are, and the command ends with a code of its own, whatever the reasons were. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { exitCodeOf, exitCodes } from "../src/exit-codes.ts"
import { createHarness } from "./files-harness.ts"

/** True for the error of a command that did `done` and left `left` out. */
function partly(done: number, left: readonly string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof HoldfastError)
    assert.deepEqual([error.code, exitCodeOf(error)], ["ERR_INCOMPLETE", exitCodes.incomplete])
    const { problems } = error.details as { problems: { code: string }[] }
    assert.deepEqual(
      problems.map(({ code }) => code),
      left,
    )
    assert.match(error.message, new RegExp(`; ${done} other`))
    return true
  }
}

test("put, cp, mv, rm, mkdir and get of many go on with the others and end with one code", async (t) => {
  const { run, folder } = await createHarness(t)
  const at = (name: string) => paths.join(folder, name)
  for (const name of ["a", "b", "c"]) fs.writeFileSync(at(name), name.repeat(5000))
  const names = async (place: string) => (await run("ls", place)).trim().split("\n").sort()
  await run("mkdir", "home:/in", "home:/out")
  await assert.rejects(
    run("mkdir", "home:/x", "home:/in", "home:/no/y", "home:/z"),
    partly(2, ["ERR_ALREADY_EXISTS", "ERR_NOT_FOUND"]),
  )
  await run("rm", "home:/x", "home:/z")
  await assert.rejects(run("put", at("a"), at("missing"), at("b"), at("c"), "home:/in"), partly(3, ["ERR_NOT_FOUND"]))
  assert.deepEqual(await names("home:/in"), ["a", "b", "c"])
  await assert.rejects(
    run("cp", "home:/in/a", "home:/in/none", "home:/in/b", "home:/out"),
    partly(2, ["ERR_NOT_FOUND"]),
  )
  assert.deepEqual(await names("home:/out"), ["a", "b"])
  await run("mkdir", "home:/moved")
  await assert.rejects(run("mv", "home:/none", "home:/out/a", "home:/moved"), partly(1, ["ERR_NOT_FOUND"]))
  assert.deepEqual(await names("home:/moved"), ["a"])
  fs.mkdirSync(at("to/b"), { recursive: true }) // a folder where a file is to be
  await assert.rejects(
    run("get", "home:/in/a", "home:/in/none", "home:/in/b", "home:/in/c", at("to")),
    partly(2, ["ERR_NOT_FOUND", "ERR_IS_A_DIRECTORY"]),
  )
  assert.deepEqual(fs.readdirSync(at("to")).sort(), ["a", "b", "c"])
  await assert.rejects(
    run("rm", "home:/in/a", "home:/in/none", "home:/in", "home:/in/b"),
    partly(2, ["ERR_NOT_FOUND", "ERR_NOT_EMPTY"]),
  )
  assert.deepEqual(await names("home:/in"), ["c"])
})

test("where nothing was done, the reason's own code tells why", async (t) => {
  const { run, folder } = await createHarness(t)
  await assert.rejects(run("rm", "home:/none"), { code: "ERR_NOT_FOUND" })
  await assert.rejects(run("rm", "home:/none", "home:/neither"), {
    code: "ERR_NOT_FOUND",
    message: /2 things could not be removed; 0 others/,
  })
  await assert.rejects(run("put", paths.join(folder, "none"), "home:/x"), { code: "ERR_NOT_FOUND" })
  await assert.rejects(run("get", "home:/none", "home:/neither", folder), { code: "ERR_NOT_FOUND" })
})

test("put leaves out what is not UTF-8 with its bytes in JSON, stores the rest, and ends as one that left some out", async (t) => {
  const { folder, run } = await createHarness(t)
  fs.mkdirSync(`${folder}/src`)
  fs.writeFileSync(`${folder}/src/good`, "good")
  const bad = Buffer.concat([Buffer.from(`${folder}/src/b`), Buffer.from([0xe4]), Buffer.from("d")])
  fs.mkdirSync(bad)
  await assert.rejects(run("put", `${folder}/src`, "home:/src"), (error) => {
    assert.ok(error instanceof HoldfastError)
    assert.equal(exitCodeOf(error), 8)
    const [problem, ...others] = error.details["problems"] as readonly { path: string; pathHex: string; code: string }[]
    assert.deepEqual(others, [])
    assert.equal(problem!.path, `${folder}/src/b\\xE4d`)
    assert.equal(problem!.pathHex, bad.toString("hex"))
    assert.equal(problem!.code, "ERR_INVALID_NAME")
    return true
  })
  assert.equal(await run("cat", "home:/src/good"), "good")
})
