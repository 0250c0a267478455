/** Nodes with labels: a whole site of a grid lost, labels that its operator gives later, and what is said of both. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { type Members, startMembers } from "./members.ts"

interface Check {
  readonly chunks: number
  readonly healthy: number
  readonly domains: Record<string, { lost: number; leastSpare: number; keepsQuorum: boolean }>
}

const nodes = ["n1", "n2", "n3", "n4", "n5", "n6"]
const siteOf = (node: string) => ["home", "work", "shed"][Math.floor(nodes.indexOf(node) / 2)]!
const chunks = 12

async function check(members: Members): Promise<Check> {
  return JSON.parse((await members.run(["check", "--deep", "home:", "--json"])).stdout) as Check
}

/** Stores files of a chunk each, at least, and gives the folder that they are in. */
async function fill(members: Members): Promise<string> {
  const folder = join(members.folder, "files")
  fs.mkdirSync(folder)
  for (let i = 0; i < chunks; i++) fs.writeFileSync(join(folder, `file${i}`), randomBytes(1_100_000 + i))
  await members.run(["put", folder, "home:/files"])
  return folder
}

test("a grid over three sites is read with a whole site gone; labels given later count after a rebalance", async (t) => {
  const members = await startMembers({ coding: "2/2/3", nodes })
  t.after(() => members.close())
  const dir = ["--dir", `${members.folder}/coordinator`]
  const folder = await fill(members)
  assert.deepEqual((await check(members)).domains, {}, "without labels nothing is said")

  for (const node of nodes) {
    const said = await members.run(["coordinator", "label", node, `site=${siteOf(node)}`, ...dir])
    assert.match(said.stdout, new RegExp(`${node} \\(\\w+\\) is in site=${siteOf(node)}\\.`))
  }
  // Registers are with three nodes of six, chosen as the grid began: one site may have most of them.
  await members.run(["coordinator", "voters", "n1", "n3", "n5", ...dir])
  const shown = await members.run(["grid", "show"])
  const serial = /holdfast grid accept (\d+)/.exec(shown.stdout)![1]!
  await members.run(["grid", "accept", serial])
  const unspread = await check(members)
  assert.ok(
    Object.values(unspread.domains).some(({ lost }) => lost > 0),
    "by chance some site has two of three",
  )
  await members.run(["rebalance", "home:"])
  const spread = await check(members)
  assert.deepEqual(Object.keys(spread.domains), ["site=home", "site=shed", "site=work"])
  for (const { lost, keepsQuorum } of Object.values(spread.domains)) assert.deepEqual([lost, keepsQuorum], [0, true])
  const status = await members.run(["status"])
  assert.match(status.stdout, /survives all of any one of these lost: site=home, site=shed, site=work/)
  assert.match(status.stdout, /n3 .*, in site=work/)
  assert.match((await members.run(["doctor"], { code: "any" })).stdout, /failure domains: the grid survives all/)
  const listed = await members.run(["volume", "list"])
  assert.match(
    listed.stdout,
    /^grid: .* coding 2\/2\/3, crash, survives 1 lost.*\n {2}survives all of any one of these/m,
  )
  const [row] = JSON.parse((await members.run(["volume", "list", "--json"])).stdout)
  assert.deepEqual(
    [row.places, row.domains.map(({ domain }: { domain: string }) => domain)],
    [6, ["site=home", "site=shed", "site=work"]],
  )
  assert.match((await members.run(["grid", "show"])).stdout, /n6: in site=shed/)
  assert.match((await members.run(["coordinator", "members", ...dir])).stdout, /^n1 .* site=home$/m)

  for (const lost of ["n3", "n4"]) await members.kill(lost)
  await members.run(["get", "home:/files", join(members.folder, "back")])
  for (const name of fs.readdirSync(folder))
    assert.ok(fs.readFileSync(join(members.folder, "back", name)).equals(fs.readFileSync(join(folder, name))))
  await members.run(["put", join(folder, "file0"), "home:/more"])
})

test("an invitation gives a node its labels; what are none is refused, and clients have none", async (t) => {
  const members = await startMembers({
    coding: "1/1/2",
    nodes: ["n1", "n2"],
    invitation: (node) => ["--label", `site=home,rack=${node.at(-1)}`],
    hasClient: false,
  })
  t.after(() => members.close())
  const dir = ["--dir", `${members.folder}/coordinator`]
  const listed = JSON.parse((await members.run(["coordinator", "members", ...dir, "--json"])).stdout)
  assert.deepEqual(
    listed.map((one: { name: string; labels: object }) => [one.name, one.labels]),
    [
      ["n1", { site: "home", rack: "1" }],
      ["n2", { site: "home", rack: "2" }],
    ],
  )
  for (const wrong of ["site=", "site=a b", "site=a,site=b", "floor=1"]) {
    const invited = await members.run(["invite", ...dir, "--role", "node", "--label", wrong], { code: 2 })
    assert.match(invited.stderr, /names no labels/)
    const labelled = await members.run(["coordinator", "label", "n1", wrong, ...dir], { code: 2 })
    assert.match(labelled.stderr, /names no labels/)
  }
  for (const more of [["--label", "site=a"], ["--witness"]]) {
    const client = await members.run(["invite", ...dir, "--role", "client", ...more], { code: 2 })
    assert.match(client.stderr, /--label and --witness are for nodes/)
  }
  await members.run(["coordinator", "label", "nobody", "site=a", ...dir], { code: 3 })
  await members.run(["coordinator", "label", "n1", ...dir])
  const again = JSON.parse((await members.run(["coordinator", "members", ...dir, "--json"])).stdout)
  assert.equal(again[0].labels, null)
})
