/** Every node in the wrong hands: what is on their disks was swapped, altered or put back; the command as users run it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { after, before, test } from "node:test"
import { type Grid, startGrid } from "./grid.ts"

const nodes = ["n1", "n2", "n3", "n4", "n5"]
/** What the tree holds now, by path. */
const contents = new Map<string, Buffer>()
let grid: Grid
let secondTree: string

before(async () => {
  grid = await startGrid()
  await grid.run(["alias", "create", "other"])
  await grid.run(["put", "-", "other:/theirs"], { input: "of another tree" })
  const put = async (path: string, bytes: Buffer) => {
    await grid.run(["put", "-", `home:${path}`], { input: bytes })
    contents.set(path, bytes)
  }
  await put("/a", randomBytes(20_000))
  await put("/large", randomBytes(700_000))
  await copyDisks("older")
  await put("/a", randomBytes(20_000))
  await put("/b", randomBytes(20_000))
  await copyDisks("newest")
  secondTree = (await grid.run(["cap", "--read", "other:"])).stdout.trim()
})
after(async () => {
  await grid?.close()
})

const diskOf = (node: string) => join(grid.folder, "data/holdfast/grid", node, "data")
const copyOf = (name: string, node: string) => join(grid.folder, "copies", name, node)

/** Works on the disks while no node runs. */
async function withDisks(work: (disk: string, node: string) => void): Promise<void> {
  for (const node of nodes) await grid.kill(node)
  for (const node of nodes) work(diskOf(node), node)
  await grid.revive()
}

const copyDisks = (name: string) => withDisks((disk, node) => fs.cpSync(disk, copyOf(name, node), { recursive: true }))

function putBack(name: string, disk: string, node: string): void {
  fs.rmSync(disk, { recursive: true })
  fs.cpSync(copyOf(name, node), disk, { recursive: true })
}

/** Puts back the newest disks of all nodes, and alters them. */
function alterDisks(alter: (index: DatabaseSync, disk: string) => void): Promise<void> {
  return withDisks((disk, node) => {
    putBack("newest", disk, node)
    const index = new DatabaseSync(join(disk, "index.sqlite"))
    alter(index, disk)
    index.close()
  })
}

/** Reads everything: each file as it is, or an error for people. Gives how many could not be read. */
async function readAll(): Promise<number> {
  let failed = 0
  for (const [path, bytes] of contents) {
    const out = join(grid.folder, "out")
    fs.rmSync(out, { force: true })
    const { code, stderr } = await grid.run(["get", `home:${path}`, out], { code: "any" })
    if (code === 0) assert.ok(fs.readFileSync(out).equals(bytes), path)
    else {
      failed++
      assert.match(stderr, /^holdfast: .{20,}/m)
      assert.doesNotMatch(stderr, /looks like a bug|\n\s+at /)
      assert.ok(!fs.existsSync(out), `${path} was left half fetched`)
    }
  }
  return failed
}

test("shares whose bytes were swapped between chunks on every node are refused, and check tells", async () => {
  const swap = (index: DatabaseSync) => {
    const rows = index.prepare("SELECT row, bytes FROM small ORDER BY row").all() as {
      row: number
      bytes: Uint8Array
    }[]
    const put = index.prepare("UPDATE small SET bytes = ? WHERE row = ?")
    for (const [i, { row }] of rows.entries()) put.run(rows[(i + 1) % rows.length]!.bytes, row)
  }
  await alterDisks(swap)
  assert.ok((await readAll()) > 0)
  const check = await grid.run(["check", "--deep", "--verify", "home:"], { code: "any" })
  assert.notEqual(check.code, 0)
})

test("files of large shares that were altered, cut or exchanged on every node are refused", async () => {
  const spoil = (_index: DatabaseSync, disk: string) => {
    const files = fs.readdirSync(join(disk, "shares"), { recursive: true, withFileTypes: true })
    for (const entry of files.filter((file) => file.isFile())) {
      const path = join(entry.parentPath, entry.name)
      const bytes = fs.readFileSync(path)
      bytes[bytes.length - 1]! ^= 1
      fs.chmodSync(path, 0o600)
      fs.writeFileSync(path, bytes)
    }
  }
  await alterDisks(spoil)
  assert.ok((await readAll()) > 0)
})

test("registers that were exchanged between trees on every node are refused", async () => {
  const exchange = (index: DatabaseSync) => {
    const rows = index.prepare("SELECT tenant, register, value FROM registers").all() as {
      tenant: number
      register: Uint8Array
      value: Uint8Array
    }[]
    const put = index.prepare("UPDATE registers SET value = ? WHERE tenant = ? AND register = ?")
    for (const [i, { tenant, register }] of rows.entries())
      put.run(rows[(i + 1) % rows.length]!.value, tenant, register)
  }
  await alterDisks(exchange)
  assert.equal(await readAll(), contents.size)
  assert.notEqual((await grid.run(["ls", secondTree], { code: "any" })).code, 0)
})

test("disks that were all put back to an older copy are noticed, and read only when that is asked for", async () => {
  await withDisks((disk, node) => putBack("older", disk, node))
  for (const command of [["ls", "home:"], ["cat", "home:/a"], ["put", "-", "home:/c"], ["gc"]]) {
    const { code, stderr } = await grid.run(command, { code: "any", input: "c" })
    assert.notEqual(code, 0, command.join(" "))
    assert.match(stderr, /version \d+ of this tree, but version \d+ was seen/, command.join(" "))
  }
  const { stdout } = await grid.run(["--accept-rollback", "ls", "home:"])
  assert.equal(stdout, "a\nlarge\n")
  await withDisks((disk, node) => putBack("newest", disk, node))
  assert.equal(await readAll(), 0)
})
