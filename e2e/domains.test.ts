/** Failure domains: places with labels, a whole site lost, and what is said of it before and after. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { test } from "node:test"
import { type Client, createClient } from "./client.ts"

interface Volume {
  readonly version: number
  readonly backends: readonly { id: string; path: string; labels?: Record<string, string> }[]
  readonly domains: readonly { domain: string; sharesLeft: number; survives: boolean }[]
}

interface Check {
  readonly chunks: number
  readonly healthy: number
  readonly domains: Record<string, { lost: number; leastSpare: number; keepsQuorum: boolean }>
}

const sites = ["home", "home", "work", "work", "shed", "shed"]
const disk = (client: Client, i: number) => `${client.folder}/disk${i}`

/** Files under `folder` whose names and contents are told apart. */
function fill(folder: string): void {
  fs.mkdirSync(folder)
  for (let i = 0; i < 16; i++) fs.writeFileSync(`${folder}/file${i}`, randomBytes(1_100_000 + i)) // a chunk each, at least
}

test("a volume over three sites is read and written with a whole site gone, and without labels it would not be", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  fill(`${client.folder}/files`)
  const shape = ["--coding", "2/2/3", "--mode", "crash", "--backend"]
  const labelled = sites.map((site, i) => `dir:${disk(client, i)},site=${site}`)
  const made = await client.json<Volume>(["volume", "create", "sites", ...shape, ...labelled])
  assert.equal(made.version, 3)
  assert.deepEqual(
    made.domains.map(({ domain, sharesLeft, survives }) => [domain, sharesLeft, survives]),
    ["home", "shed", "work"].map((site) => [`site=${site}`, 2, true]),
  )
  const shown = await client.run(["volume", "show", "sites"])
  assert.match(shown.stdout, /survives all of any one of these lost: site=home, site=shed, site=work/)
  assert.match(shown.stdout, /directory .*disk0, in site=home/)
  await client.run(["put", "files", "sites:/files"])
  const before = await client.json<Check>(["check", "--deep", "sites:"])
  assert.equal(before.healthy, before.chunks)
  for (const { lost, leastSpare, keepsQuorum } of Object.values(before.domains))
    assert.deepEqual({ lost, leastSpare, keepsQuorum }, { lost: 0, leastSpare: 0, keepsQuorum: true })
  assert.equal(Object.keys(before.domains).length, 3)

  for (const i of [2, 3]) fs.renameSync(disk(client, i), `${disk(client, i)}.gone`)
  await client.run(["get", "sites:/files", "back"])
  for (const name of fs.readdirSync(`${client.folder}/files`))
    assert.ok(
      fs.readFileSync(`${client.folder}/back/${name}`).equals(fs.readFileSync(`${client.folder}/files/${name}`)),
    )
  await client.run(["put", "files/file0", "sites:/more"])

  const plain = await client.json<Volume>([
    ...["volume", "create", "plain", ...shape],
    ...sites.map((_, i) => `dir:${client.folder}/plain${i}`),
  ])
  assert.deepEqual([plain.version, plain.domains], [2, []], "older clients open what has no labels")
  await client.run(["put", "files", "plain:/files"])
  for (const [i, site] of sites.entries())
    await client.run(["volume", "label", "plain", plain.backends[i]!.id, `site=${site}`])
  const unspread = await client.json<Check>(["check", "--deep", "plain:"])
  assert.ok(
    Object.values(unspread.domains).some(({ lost }) => lost > 0),
    "by chance some site has two of three",
  )
  assert.match(
    (await client.run(["check", "--deep", "plain:"])).stdout,
    /If all of site=\w+ were lost, \d+ of \d+ chunks could not be read/,
  )
  await client.run(["rebalance", "plain:"])
  const spread = await client.json<Check>(["check", "--deep", "plain:"])
  assert.ok(Object.values(spread.domains).every(({ lost }) => lost === 0))
})

test("a label that is none is refused, and a path may look like one", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const create = (...backend: string[]) => ["volume", "create", "v", "--coding", "1/1/1", "--backend", ...backend]
  for (const wrong of ["site=", "site=a b", "site=a,site=b", `rack=${"r".repeat(65)}`]) {
    const refused = await client.run(create(`dir:${disk(client, 0)},${wrong}`), { code: 2 })
    assert.match(refused.stderr, /names no labels/)
  }
  const { backends } = await client.json<Volume>(
    create(`dir:${disk(client, 1)},site=a/`, `dir:${disk(client, 2)},rack=1,site=b`),
  )
  assert.deepEqual(
    backends.map(({ path, labels }) => [path, labels]),
    [
      [`${disk(client, 1)},site=a`, undefined],
      [disk(client, 2), { rack: "1", site: "b" }],
    ],
  )
})
