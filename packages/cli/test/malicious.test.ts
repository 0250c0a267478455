import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { type Attack, attacks, createMaliciousService, type MaliciousService } from "@holdfast/store/testing"
import { createHarness, type Harness } from "./files-harness.ts"

/** Commands that only look. */
const reading: readonly (readonly string[])[] = [
  ["ls", "home:"],
  ["ls", "-l", "home:/docs"],
  ["tree", "home:"],
  ["stat", "home:/docs/a.txt"],
  ["du", "home:"],
  ["find", "home:"],
  ["cat", "home:/docs/a.txt"],
  ["cat", "home:/docs/sub/c.txt"],
  ["cat", "home:/docs/b.bin"],
  ["cat", "home:/docs@first/a.txt"],
  ["cat", "note:"],
  ["snapshot", "list", "home:"],
  ["diff", "home:/docs@first", "home:/docs"],
  ["cap", "--read", "home:/docs"],
  ["cat", "other:/a.txt"],
]

/** Commands that change something. */
const changing = (name: string): readonly (readonly string[])[] => [
  ["cp", "home:/docs/a.txt", `home:/copy${name}`],
  ["mv", `home:/copy${name}`, `home:/moved${name}`],
  ["check", "--deep", "--repair", "home:"],
  ["rebalance", "home:"],
  ["gc"],
]

function fill(folder: string, version: number): void {
  fs.mkdirSync(join(folder, "src/sub"), { recursive: true })
  fs.writeFileSync(join(folder, "src/a.txt"), `alpha ${version}`)
  fs.writeFileSync(join(folder, "src/b.bin"), Buffer.alloc(1_200_000, version))
  fs.writeFileSync(join(folder, "src/sub/c.txt"), `${version}`.repeat(2000))
}

/** Commands that find damage set it. */
function resetExitCode(t: { after(done: () => unknown): void }): void {
  t.after(() => {
    process.exitCode = 0
  })
}

/** A service with two trees, a mutable file and a snapshot; what the reading commands say of it while it is honest. */
async function scene(t: { after(done: () => unknown): void }) {
  resetExitCode(t)
  let service!: MaliciousService
  const harness = await createHarness(t, (access, { nowMs }) => {
    const honest = Array.from({ length: 5 }, (_, i) =>
      createMemoryPlace(`n${i + 1}`, nodeCrypto, { nowMs }).backendOf(access),
    )
    service = createMaliciousService(honest, nodeCrypto)
    return service.backends
  })
  const { folder, run } = harness
  fill(folder, 1)
  await run("put", join(folder, "src"), "home:/docs")
  await run("snapshot", "create", "home:", "first")
  await run("alias", "create", "other")
  await run("alias", "create", "note", "--file")
  await run("put", join(folder, "src/a.txt"), "note:")
  await run("put", join(folder, "src/a.txt"), "other:/a.txt")
  fill(folder, 2)
  await run("put", join(folder, "src"), "home:/docs")
  await run("put", join(folder, "src/a.txt"), "note:")
  const said = new Map<readonly string[], string>()
  for (const command of reading) said.set(command, await run(...command))
  return { service, harness, said }
}

/** What the command said, or undefined after an error of ours; any other error ends the test. */
async function attempt(run: Harness["run"], command: readonly string[], what: string): Promise<string | undefined> {
  try {
    return await run(...command)
  } catch (error) {
    assert.ok(error instanceof HoldfastError, `${what}: ${error instanceof Error ? error.stack : String(error)}`)
    assert.ok(error.message.length > 20, `${what}: ${error.message}`)
    return undefined
  }
}

/** Every file that is on the disk is one of the tree's. */
function assertFetched(folder: string, what: string): void {
  if (!fs.existsSync(join(folder, "back"))) return
  for (const name of fs.readdirSync(join(folder, "back"), { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue
    const path = join(name.parentPath, name.name)
    const original = path.replace("/back/", "/src/")
    assert.ok(fs.existsSync(original), `${what}: ${path} is none of the tree's files`)
    assert.ok(fs.readFileSync(path).equals(fs.readFileSync(original)), `${what}: ${path}`)
  }
  fs.rmSync(join(folder, "back"), { recursive: true })
}

/** A few variants of an attack are enough here; the tree's own tests try all. */
function someOf(variants: readonly Attack[]): Attack[] {
  const step = Math.ceil(variants.length / 4)
  return variants.filter((_, i) => i % step === 0)
}

for (const name of Object.keys(attacks))
  test(`a service that ${name} makes commands fail with a clear error or say what is right`, async (t) => {
    const { service, harness, said } = await scene(t)
    const { folder, run } = harness
    for (const [i, attack] of someOf(attacks[name]!(service)).entries()) {
      const what = `${name} ${i}`
      service.attack = attack
      for (const command of reading) {
        await harness.reopen()
        const output = await attempt(run, command, what)
        if (output !== undefined) assert.equal(output, said.get(command), `${what}: ${command.join(" ")}`)
      }
      await attempt(run, ["get", "home:/docs", join(folder, "back")], what)
      assertFetched(folder, what)
      await attempt(run, ["check", "--deep", "--verify", "home:"], what)
      service.attack = undefined
    }
  })

for (const name of Object.keys(attacks))
  test(`what is written while a service ${name} is there afterwards, or is told as lost, and nothing else changed`, async (t) => {
    const { service, harness, said } = await scene(t)
    const { folder, run } = harness
    harness.pass(2 * 86_400_000)
    for (const command of changing("-honest")) await run(...command)
    const wrote: string[] = []
    const mayForget = /register|everything|kind/.test(name) // it takes new values and does not keep them
    for (const [i, attack] of someOf(attacks[name]!(service)).entries()) {
      const what = `${name} ${i}`
      service.attack = attack
      await harness.reopen()
      fs.writeFileSync(join(folder, "new"), `new ${i}`.repeat(500))
      if ((await attempt(run, ["put", join(folder, "new"), `home:/new${i}`], what)) !== undefined) wrote.push(`${i}`)
      harness.pass(2 * 86_400_000) // so that gc has something to take
      for (const command of changing(`${i}`)) await attempt(run, command, what)
      service.attack = undefined
    }
    await harness.reopen()
    for (const command of reading.filter(([verb]) => verb === "cat")) {
      const output = await attempt(run, command, `${name}, afterwards`)
      if (output !== undefined || !mayForget) assert.equal(output, said.get(command), command.join(" "))
    }
    for (const i of wrote) {
      const output = await attempt(run, ["cat", `home:/new${i}`], `${name}, afterwards`)
      if (output !== undefined || !mayForget) assert.equal(output, `new ${i}`.repeat(500))
    }
  })
