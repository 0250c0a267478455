import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { decodeCap, toReadCap } from "@holdfast/protocol"
import { encodeDirectoryNode, openTree, plainAttributes, type Reference } from "@holdfast/tree"
import { createHarness, type Harness } from "./files-harness.ts"

const plain = plainAttributes(0o755, 0)
const depth = 60

/** `home:/graph`: sixty directories that each hold the next one twice, so a few KB with 2^60 paths. */
async function plantGraph({ session, aliases, reopen }: Harness): Promise<void> {
  const { chunks, registers } = session().store
  let reference: Reference | null = null
  for (let level = 0; level < depth; level++) {
    const below = { ...plain, kind: "directory", size: 0, reference } as const
    const bytes = encodeDirectoryNode(
      0,
      ["x", "y"].map((name) => ({ ...below, name })),
    )
    const { length } = bytes
    const { id, key } = await chunks.putChunk(bytes)
    reference = { chunk: { id, key }, offset: 0, length }
  }
  const cap = decodeCap(aliases.get("home")!)
  assert.ok(cap.kind === "dw")
  const keys = { ...(await toReadCap(nodeCrypto, cap)), seed: cap.seed }
  const tree = await openTree({ chunks, registers, env: nodeEnv, keys })
  await tree.commit(async (edit) =>
    edit.set(["graph"], { ...plain, name: "graph", kind: "directory", size: 0, reference }),
  )
  await reopen()
}

/** What a command said, or the code of its error. */
const outcome = (run: Promise<string>) =>
  run.catch((error: unknown) => {
    if (isHoldfastError(error)) return error.code as string
    throw error
  })

test("every command ends on directories doubled sixty deep: with an error, or with each of them once", async (t) => {
  t.after(() => {
    process.exitCode = 0
  })
  const harness = await createHarness(t)
  const { run, json, folder } = harness
  await plantGraph(harness)
  const dest = join(folder, "got")
  const endless = [
    ["find", "home:"],
    ["find", "home:/graph", "--name", "nothing"],
    ["tree", "home:"],
    ["get", "home:/graph", dest],
  ]
  for (const command of endless) assert.equal(await outcome(run(...command)), "ERR_LIMIT", command.join(" "))
  assert.ok(fs.readdirSync(dest, { recursive: true }).length < 10_000)
  assert.match(await run("du", "home:"), /^0\t/)
  assert.equal(await run("ls", "home:/graph"), "x/\ny/\n")
  await run("stat", "home:/graph")
  await run("cp", "home:/graph", "home:/copy")
  await run("mv", "home:/copy", "home:/moved")
  await run("snapshot", "create", "home:", "first")
  await run("rm", "-r", "home:/moved/x/y/x")
  assert.equal(await outcome(run("diff", "home:/graph", "home:/moved")), "ERR_LIMIT")
  assert.equal(await outcome(run("diff", "home:@first", "home:")), "ERR_LIMIT")
  const checked = await json<{ chunks: number }>("check", "--deep", "--verify", "home:")
  assert.ok(checked.chunks >= depth && checked.chunks < 3 * depth, `${checked.chunks} were checked`)
  await run("rebalance", "home:")
  await run("gc")
  assert.equal(await outcome(run("cap", "--verify", "home:/graph")), "ERR_LIMIT") // it names more chunks than fit
  fs.mkdirSync(join(folder, "graph/x/y"), { recursive: true })
  fs.writeFileSync(join(folder, "graph/x/y/new"), "new")
  await run("put", join(folder, "graph"), "home:/")
  assert.equal(await run("cat", "home:/graph/x/y/new"), "new")
})

test("check and gc enter trees that are all linked in one another once each way down, not once each path", async (t) => {
  t.after(() => {
    process.exitCode = 0
  })
  const { run, json, folder } = await createHarness(t)
  const names = Array.from({ length: 9 }, (_, i) => `t${i}`)
  for (const name of names) await run("alias", "create", name)
  for (const name of names)
    for (const other of names)
      if (other !== name) {
        const file = join(folder, "cap")
        fs.rmSync(file, { force: true })
        fs.writeFileSync(file, (await run("cap", "--read", `${other}:`)).trim(), { mode: 0o600 })
        await run("ln", `@file:${file}`, `${name}:/${other}`)
      }
  const { chunks } = await json<{ chunks: number }>("check", "--deep", "t0:")
  assert.ok(chunks < 200, `${chunks} were checked`)
  await run("gc")
})
