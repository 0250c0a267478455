/** Someone who may only verify keeps the data of another alive: another profile of the same tenant, over real processes. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { type Grid, startGrid } from "./grid.ts"

interface Checked {
  readonly ok: boolean
  readonly chunks: number
  readonly damaged: number
  readonly lost: number
  readonly placed: number
}

let grid: Grid
before(async () => {
  grid = await startGrid()
})
after(() => grid?.close())

test("a profile with nothing but a verify capability repairs a tree that it cannot read", async () => {
  const caretaker = Object.fromEntries(
    ["CONFIG", "DATA", "STATE"].map((kind) => [`XDG_${kind}_HOME`, `${grid.folder}/caretaker/${kind.toLowerCase()}`]),
  )
  const files = `${grid.folder}/files`
  fs.mkdirSync(files)
  for (let i = 0; i < 50; i++) fs.writeFileSync(`${files}/${i}`, randomBytes(i * 5000))
  await grid.run(["put", files, "home:/files"])
  const invite = `${grid.folder}/invite`
  const coordinator = `${grid.folder}/data/holdfast/grid/coordinator`
  const { stdout } = await grid.run(["invite", "--dir", coordinator, "--tenant", "home"])
  fs.writeFileSync(invite, stdout, { mode: 0o600 })
  await grid.run(["join", "--invite-file", invite, "--name", "caretaker"], { env: caretaker })
  const cap = (await grid.run(["cap", "home:", "--verify"])).stdout
  await grid.run(["alias", "add", "cared"], { env: caretaker, input: cap })
  const checked = (args: readonly string[], code = 0) =>
    grid.json<Checked>(["check", "cared:", ...args], { env: caretaker, code })

  const healthy = await checked([])
  assert.ok(healthy.ok && healthy.chunks >= 3, JSON.stringify(healthy))
  await grid.kill("n2")
  grid.wipe("n2")
  await grid.revive()
  const broken = await checked([], 5)
  assert.deepEqual([broken.damaged, broken.lost], [healthy.chunks, 0])
  const repaired = await checked(["--repair"])
  assert.deepEqual([repaired.ok, repaired.placed], [true, healthy.chunks])
  assert.ok((await checked(["--verify"])).ok)
  for (const args of [
    ["ls", "cared:"],
    ["get", "cared:/files", `${grid.folder}/stolen`],
    ["cap", "cared:", "--read"],
  ]) {
    const refused = await grid.run(args, { env: caretaker, code: 6 })
    assert.match(refused.stderr, /can only verify/)
  }
  for (const node of ["n4", "n5"]) await grid.kill(node)
  await grid.run(["get", "home:/files", `${grid.folder}/back`])
  for (let i = 0; i < 50; i++)
    assert.ok(fs.readFileSync(`${grid.folder}/back/${i}`).equals(fs.readFileSync(`${files}/${i}`)))
  await grid.revive()
})
