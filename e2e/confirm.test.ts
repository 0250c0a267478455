/** What is asked before something goes: on a terminal, and not where nobody can be asked. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { command } from "./command.ts"
import { type Grid, startGrid } from "./grid.ts"
import { onTerminal } from "./terminal.ts"

let grid: Grid

before(async () => {
  grid = await startGrid({ nodes: 1, coding: "1/1/1" })
})
after(() => grid.close())

const asked = (args: readonly string[], answer: string) =>
  onTerminal([process.execPath, command, ...args], { env: grid.env, answer })

/** A folder with two files, stored as `home:NAME`. */
async function stored(name: string): Promise<string> {
  const folder = `${grid.folder}/${name}`
  fs.mkdirSync(`${folder}/sub`, { recursive: true })
  fs.writeFileSync(`${folder}/a`, "12345")
  fs.writeFileSync(`${folder}/sub/b`, "123")
  await grid.run(["put", folder, `home:/${name}`])
  return folder
}

const names = async (place: string) => (await grid.run(["find", place])).stdout

test("rm -r on a terminal says what goes, how much, and which snapshot holds it; no removes nothing", async () => {
  await stored("asked")
  const first = await asked(["rm", "-r", "home:/asked"], "n")
  assert.match(first.screen, /home:\/asked holds 3 entries \(8\); no snapshot holds it; past versions do/)
  assert.match(first.screen, /Remove it\? \[y\/N\] [\s\S]*Nothing was removed/)
  assert.equal(first.code, 1)
  await grid.run(["snapshot", "create", "home:", "friday"])
  const second = await asked(["rm", "-r", "home:/asked"], "")
  assert.match(second.screen, /snapshot friday holds the same/)
  await grid.run(["put", "-", "home:/asked/new"], { input: "new" })
  const third = await asked(["rm", "-r", "home:/asked"], "no")
  assert.match(third.screen, /4 entries \(11\); snapshot friday holds another state of it/)
  assert.match(await names("home:/asked"), /asked\/sub\/b/)
  const yes = await asked(["rm", "-r", "home:/asked"], "y")
  assert.equal(yes.code, 0, yes.screen)
  await grid.run(["stat", "home:/asked"], { code: 3 })
})

test("rm asks nothing for a file, an empty directory, -f, --yes, and without a terminal", async () => {
  for (const more of [["-f"], ["--yes"]]) {
    await stored("unasked")
    const { screen, code } = await asked(["rm", "-r", "home:/unasked", ...more], "n")
    assert.equal(code, 0, screen)
    assert.doesNotMatch(screen, /\[y\/N\]/)
  }
  await stored("unasked")
  await grid.run(["mkdir", "home:/unasked/empty"])
  const { screen, code } = await asked(["rm", "-r", "home:/unasked/a", "home:/unasked/empty"], "n")
  assert.equal(code, 0, screen)
  assert.doesNotMatch(screen, /\[y\/N\]/)
  await grid.run(["rm", "-r", "home:/unasked"])
  await grid.run(["stat", "home:/unasked"], { code: 3 })
})

test("put --delete on a terminal names what the folder does not have, and asks before it goes", async () => {
  const folder = await stored("mirror")
  fs.rmSync(`${folder}/sub`, { recursive: true })
  const no = await asked(["put", "--delete", folder, "home:/mirror"], "n")
  assert.match(no.screen, /does not have 1 entry of home:\/mirror[\s\S]*remove home:\/mirror\/sub\r\n/)
  assert.equal(no.code, 1)
  await grid.run(["stat", "home:/mirror/sub/b"])
  const yes = await asked(["put", "--delete", folder, "home:/mirror"], "yes")
  assert.equal(yes.code, 0, yes.screen)
  await grid.run(["stat", "home:/mirror/sub"], { code: 3 })
  const again = await asked(["put", "--delete", folder, "home:/mirror"], "n")
  assert.doesNotMatch(again.screen, /\[y\/N\]/, "nothing would go")
  fs.rmSync(`${folder}/a`)
  const empty = await grid.run(["put", "--delete", folder, "home:/mirror"], { code: 2 })
  assert.match(empty.stderr, /is empty.*--yes/)
})

test("a mirror without a terminal goes on as scripts expect", async () => {
  const folder = await stored("script")
  fs.rmSync(`${folder}/a`)
  await grid.run(["put", "--delete", folder, "home:/script"])
  await grid.run(["stat", "home:/script/a"], { code: 3 })
})

test("removing a snapshot, forgetting what was seen or a volume, and another epoch are asked about", async () => {
  await grid.run(["snapshot", "create", "home:", "kept"])
  await grid.run(["volume", "create", "disks", "--coding", "1/1/1", "--backend", `dir:${grid.folder}/disk`])
  const cases = [
    [["snapshot", "remove", "home:", "kept"], /Snapshot kept of home: keeps what was there on 20[\s\S]*frees for good/],
    [["seen", "forget", "home"], /also one that is older/],
    [["history", "epoch", "home:"], /wrote to home: since this profile saw it last is left behind/],
    [["alias", "remove", "home"], /this account does not keep its tree any more/],
  ] as const
  for (const [args, warning] of cases) {
    const { screen, code } = await asked(args, "n")
    assert.match(screen, warning)
    assert.equal(code, 1, screen)
  }
  assert.match((await grid.run(["snapshot", "list", "home:"])).stdout, /kept/)
  await grid.run(["alias", "remove", "home"], { code: 2 })
  await grid.run(["alias", "list"])
  const { stdout } = await grid.run(["alias", "list"])
  for (const alias of [...stdout.matchAll(/^(\S+): .* disks/gm)].map(([, name]) => name!))
    await grid.run(["alias", "remove", alias, "--yes"])
  const volume = await asked(["volume", "remove", "disks"], "n")
  assert.match(volume.screen, /holds on 1 place stays[\s\S]*holdfast volume export disks > disks\.json/)
  await grid.run(["volume", "show", "disks"])
  assert.equal((await asked(["volume", "remove", "disks"], "y")).code, 0)
  await grid.run(["snapshot", "remove", "home:", "kept"])
  assert.doesNotMatch((await grid.run(["snapshot", "list", "home:"])).stdout, /kept/)
})
