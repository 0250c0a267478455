/** Files over real processes: put, lost nodes, repair, interrupted uploads, and what bad input gets. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { sameTime } from "@holdfast/fs/node"
import { finish, type Grid, startGrid, until } from "./grid.ts"

const root = paths.dirname(import.meta.dirname)
/** Some thousands of real files. */
const packages = ["@typescript-eslint", "zod", "@peculiar", "eslint", "tsyringe", "cborg", "@noble", "fast-check"]

let grid: Grid
let source: string

before(async () => {
  grid = await startGrid()
  source = `${grid.folder}/source`
  for (const name of packages)
    if (fs.existsSync(`${root}/node_modules/${name}`))
      fs.cpSync(`${root}/node_modules/${name}`, `${source}/${name}`, {
        recursive: true,
        preserveTimestamps: true,
        verbatimSymlinks: true,
      })
  fs.symlinkSync("zod/package.json", `${source}/link`)
  fs.writeFileSync(`${source}/large`, randomBytes(20_000_000))
  fs.chmodSync(`${source}/large`, 0o640)
  fs.mkdirSync(`${source}/empty`)
})
after(async () => {
  await grid?.close()
})

/** Path to mode and content, and path to time, for everything below `folder`. */
function fingerprint(folder: string): { lines: Map<string, string>; times: Map<string, bigint> } {
  const lines = new Map<string, string>()
  const times = new Map<string, bigint>()
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const stat = fs.lstatSync(`${folder}/${name}`, { bigint: true })
    const content = stat.isSymbolicLink()
      ? `-> ${fs.readlinkSync(`${folder}/${name}`)}`
      : stat.isFile()
        ? createHash("sha256")
            .update(fs.readFileSync(`${folder}/${name}`))
            .digest("hex")
        : "directory"
    lines.set(name, `${(stat.mode & 0o777n).toString(8)} ${content}`)
    times.set(name, stat.mtimeNs)
  }
  return { lines, times }
}

/** Throws unless both folders hold the same, times as far as a file system keeps them. Gives the number of paths. */
function assertSame(actual: string, wanted: string): number {
  const [found, expected] = [fingerprint(actual), fingerprint(wanted)]
  assert.deepEqual(found.lines, expected.lines)
  for (const [path, time] of expected.times)
    assert.ok(sameTime(time, found.times.get(path)!), `${path}: ${found.times.get(path)} instead of ${time}`)
  return expected.lines.size
}

async function getBack(name: string): Promise<void> {
  await grid.run(["get", "home:/tree", `${grid.folder}/${name}`])
  const paths = assertSame(`${grid.folder}/${name}`, source)
  assert.ok(paths > 2000, `only ${paths} paths`)
  fs.rmSync(`${grid.folder}/${name}`, { recursive: true })
}

test("thousands of files survive two killed nodes, a repair, and the death of two others", async () => {
  await grid.run(["put", source, "home:/tree"])
  for (const node of ["n1", "n2"]) await grid.kill(node)
  await getBack("with three nodes")
  for (const node of ["n1", "n2"]) grid.wipe(node)
  await grid.revive()
  const before = await grid.json<{ damaged: number; lost: number }>(["check", "--deep", "home:"], { code: 5 })
  assert.ok(before.damaged > 0 && before.lost === 0)
  const repaired = await grid.json<{ ok: boolean; placed: number }>(["check", "--deep", "--repair", "home:"])
  assert.ok(repaired.ok && repaired.placed > 0)
  for (const node of ["n3", "n4"]) await grid.kill(node)
  await getBack("with repaired nodes")
  await grid.revive()
})

test("a second put of an unchanged tree stores nothing", async () => {
  await grid.run(["put", source, "home:/tree"])
  const again = await grid.json<{ files: number; unchanged: number }>(["put", source, "home:/tree"])
  assert.equal(again.files, 0)
  assert.ok(again.unchanged > 2000)
})

test("an interrupted upload leaves earlier data readable, and goes on without storing chunks again", async () => {
  const big = `${grid.folder}/big`
  fs.mkdirSync(big)
  for (let i = 0; i < 40; i++) fs.writeFileSync(`${big}/${i}`, randomBytes(8_000_000))
  const child = grid.start(["put", big, "home:/big"])
  const ended = finish(child)
  const data = (node: string) => sizeOf(`${grid.folder}/data/holdfast/grid/${node}/data`)
  const start = data("n1")
  await until("some of it to be stored", () => data("n1") > start + 20_000_000)
  child.kill("SIGKILL")
  await ended
  const interrupted = data("n1")
  assert.match((await grid.run(["ls", "home:/tree"])).stdout, /large/)
  await grid.run(["put", big, "home:/big"])
  await grid.run(["get", "home:/big", `${grid.folder}/big-back`])
  assertSame(`${grid.folder}/big-back`, big)
  const wholeShares = (40 * 8_000_000) / 3
  assert.ok(
    data("n1") - start < wholeShares * 1.1,
    `${data("n1") - start} bytes, ${interrupted - start} before the kill`,
  )
})

test("standard input and output carry bytes unchanged", async () => {
  const input = randomBytes(9_000_000)
  await grid.run(["put", "-", "home:/piped"], { input })
  await grid.run(["get", "home:/piped", `${grid.folder}/piped`])
  assert.ok(fs.readFileSync(`${grid.folder}/piped`).equals(input))
  await grid.run(["put", "-", "home:/text"], { input: "a line\n" })
  assert.equal((await grid.run(["cat", "home:/text"])).stdout, "a line\n")
})

test("each wrong input gets its own exit code and a message that says what to do", async () => {
  await grid.run(["put", "-", "home:/text"], { input: "a line\n" })
  const cap = (await grid.run(["cap", "home:", "--read"])).stdout.trim()
  const mistyped = paths.join(grid.folder, "mistyped")
  fs.writeFileSync(mistyped, `${cap.slice(0, -1)}${cap.endsWith("a") ? "b" : "a"}`, { mode: 0o600 })
  await grid.run(["alias", "add", "reader", "--local"], { input: cap })
  const cases: [string[], number, RegExp][] = [
    [["ls", `@file:${mistyped}`], 6, /not a valid capability/],
    [["put", "-", "reader:/x"], 6, /only be read/],
    [["ls", "nosuch:"], 3, /nosuch/],
    [["ls", "home:/nothing"], 3, /does not exist/],
    [["ls", "./local"], 2, /alias:\/path/],
    [["put", "/no/such/file", "home:/x"], 3, /does not exist on this machine/],
    [["cat", "home:/"], 1, /is a directory/],
    [["ls", "--nosuch"], 2, /nosuch/],
  ]
  for (const [args, code, message] of cases) {
    const ended = await grid.run(args, { code })
    assert.match(ended.stderr, message, args.join(" "))
    assert.ok(!ended.stderr.includes(cap.slice(6, 60)), "an error must not show a capability")
  }
  const json = await grid.json<{ error: { code: string } }>(["ls", "home:/nothing"], { code: 3 })
  assert.equal(json.error.code, "ERR_NOT_FOUND")
})

test("with too few servers a put says how many and which, and what is there stays readable", async () => {
  await grid.run(["put", "-", "home:/text"], { input: "a line\n" })
  for (const node of ["n4", "n5"]) await grid.kill(node)
  const ended = await grid.run(["put", "-", "home:/more"], { input: randomBytes(5000), code: 4 })
  assert.match(ended.stderr, /3 of the 4|4 .*servers/)
  assert.equal((await grid.run(["cat", "home:/text"])).stdout, "a line\n")
  await grid.revive()
  await grid.run(["put", "-", "home:/more"], { input: "now\n" })
})

test("corrupted shares are read around, found by --verify and put right by --repair", async () => {
  const bytes = randomBytes(6_000_000)
  await grid.run(["put", "-", "home:/precious"], { input: bytes })
  const files = fs
    .readdirSync(`${grid.folder}/data/holdfast/grid/n3/data`, { recursive: true, encoding: "utf8" })
    .map((name) => `${grid.folder}/data/holdfast/grid/n3/data/${name}`)
    .filter(
      (name) => fs.statSync(name).isFile() && fs.statSync(name).size > 500_000 && !/\.(db|sqlite|log|wal)/.test(name),
    )
  assert.ok(files.length > 0, "no share files found to damage")
  for (const name of files) {
    const file = fs.openSync(name, "r+")
    fs.writeSync(file, Buffer.from("rot"), 0, 3, fs.fstatSync(file).size - 1000)
    fs.closeSync(file)
  }
  await grid.run(["get", "home:/precious", `${grid.folder}/precious`])
  assert.ok(fs.readFileSync(`${grid.folder}/precious`).equals(bytes))
  const found = await grid.json<{ corrupt: string[]; damaged: number }>(["check", "--verify", "home:/precious"], {
    code: 5,
  })
  assert.ok(found.damaged > 0)
  const repaired = await grid.json<{ ok: boolean; placed: number }>(["check", "--repair", "home:/precious"])
  assert.ok(repaired.placed > 0)
  const after = await grid.json<{ ok: boolean }>(["check", "--verify", "home:/precious"])
  assert.ok(after.ok)
})

function sizeOf(folder: string): number {
  let bytes = 0
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const stat = fs.statSync(`${folder}/${name}`, { throwIfNoEntry: false })
    if (stat?.isFile()) bytes += stat.size
  }
  return bytes
}
