/** What real nodes see of guesses that somebody puts into a tree, and `holdfast leakage`, which tells it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { type Grid, startGrid } from "./grid.ts"

interface SeenByNode {
  readonly server: string
  readonly shares: number
  readonly sizes: readonly (readonly [bytes: number, count: number])[]
  readonly register: { readonly version: number; readonly first: string; readonly last: string }
}

interface Measured {
  readonly servers: readonly SeenByNode[]
  readonly files: { readonly large: number }
  readonly versions: readonly { readonly sequence: number }[]
  readonly complete: boolean
}

let grid: Grid
before(async () => {
  grid = await startGrid()
})
after(() => grid?.close())

/** Sizes of the shares that came between two measurements, of all nodes, in order. */
function arrived(before: Measured, now: Measured): number[] {
  const counts = new Map<number, number>()
  for (const [measured, sign] of [[before, -1] as const, [now, 1] as const])
    for (const { sizes } of measured.servers)
      for (const [bytes, count] of sizes) counts.set(bytes, (counts.get(bytes) ?? 0) + sign * count)
  return [...counts]
    .flatMap(([bytes, count]) => new Array<number>(Math.max(0, count)).fill(bytes))
    .sort((a, b) => a - b)
}

const sizes = [734, 3_000_000]

test("nodes see the same of a right guess as of a wrong one, small or large, and leakage tells what they see", async () => {
  const measure = () => grid.json<Measured>(["leakage", "home:"])
  const folder = `${grid.folder}/guess`
  fs.mkdirSync(folder)
  const write = (contents: readonly Uint8Array[]) => {
    for (const [i, content] of contents.entries()) fs.writeFileSync(`${folder}/${i}`, content)
  }
  const random = () => sizes.map((size) => randomBytes(size))
  const secrets = random()
  write(secrets)
  await grid.run(["put", folder, "home:/secret"])
  const seen: number[][] = []
  for (const guesses of [random(), secrets]) {
    write(guesses)
    const before = await measure()
    await grid.run(["put", folder, "home:/guess"])
    seen.push(arrived(before, await measure()))
    await grid.run(["rm", "-r", "home:/guess"])
  }
  assert.ok(seen[0]!.length >= 3 * 5, `${seen[0]!.length} shares for two files and their directory`)
  assert.deepEqual(seen[1], seen[0])
  const { servers, files, versions, complete } = await measure()
  assert.ok(complete)
  assert.equal(files.large, 3)
  assert.equal(servers.length, 5)
  for (const { shares, register } of servers) {
    assert.ok(shares > 0)
    assert.equal(register.version, versions.at(-1)!.sequence)
    assert.ok(Date.parse(register.first) <= Date.parse(register.last))
  }
  const { stdout } = await grid.run(["leakage"])
  assert.match(stdout, /^Padding\n[\s\S]*^ {2}[a-z0-9]+: \d+ shares of \d+ sizes/m)
  assert.match((await grid.run(["leakage", "--help"])).stdout, /holdfast leakage home: --json/)
  const bad = await grid.run(["leakage", "home:/guess"], { code: 2 })
  assert.match(bad.stderr, /Name the tree alone/)
})
