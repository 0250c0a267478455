/** The disk below a folder that somebody else may write, also while we work in it. What happens in between is put into calls of Node's. */
import assert from "node:assert/strict"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { join, relative } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { hasProc } from "@holdfast/core/node"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { temporary } from "./engine-fixture.ts"

async function disk(t: TestContext) {
  const top = await temporary(t)
  const [dir, victim] = [join(top, "place"), join(top, "victim")]
  const disk = createNodeDisk(dir)
  t.after(() => disk.close())
  await disk.mkdir(dir)
  fs.mkdirSync(victim)
  return { dir, victim, disk }
}

/** Does `work` when a function of node:fs is called the `nth` time with that path, just before it. */
function before(t: TestContext, name: "lstatSync" | "accessSync", { path, nth = 1 }: { path: string; nth?: number }) {
  const original = fs[name] as (...args: unknown[]) => unknown
  return (work: () => void) => {
    let calls = 0
    const { mock } = t.mock.method(fs, name, (...args: unknown[]) => {
      if (args[0] === path && ++calls === nth) work()
      return original(...args)
    })
    syncBuiltinESMExports()
    t.after(() => {
      mock.restore()
      syncBuiltinESMExports()
    })
  }
}

it("a synchronisation that failed is not tried again: a second one succeeds although what it was for is lost", async (t) => {
  const { dir, disk: ours } = await disk(t)
  const path = join(dir, "a")
  await ours.mkdir(path)
  await ours.syncDirectory(path)
  const fsync = t.mock.method(fs, "fsync", (_: number, done: (error: Error) => void) =>
    done(Object.assign(new Error("EIO"), { code: "EIO" })),
  )
  syncBuiltinESMExports()
  t.after(() => {
    fsync.mock.restore()
    syncBuiltinESMExports()
  })
  await assert.rejects(ours.syncDirectory(path), { code: "EIO" })
  assert.equal(fsync.mock.callCount(), 1)
})

it("a folder that another took the place of is looked up anew", async (t) => {
  const { dir, disk: ours } = await disk(t)
  const path = join(dir, "a")
  await ours.mkdir(path)
  assert.deepEqual(await ours.readdir(path, "files"), [])
  fs.rmSync(path, { recursive: true })
  fs.mkdirSync(path)
  fs.writeFileSync(join(path, "new"), "new")
  assert.equal(new TextDecoder().decode(await ours.readFile(join(path, "new"), 10)), "new")
})

it("folders are made durable without following links, below the root and beside it", async (t) => {
  const { dir, victim, disk: ours } = await disk(t)
  fs.symlinkSync(victim, join(dir, "link"))
  for (const root of [dir, relative(process.cwd(), dir)]) {
    const disk = createNodeDisk(root)
    const told = { code: "ERR_CORRUPT", message: /is a link or a file/ }
    await assert.rejects(disk.syncDirectory(join(root, "link")), told)
    disk.close()
  }
  await ours.syncDirectory(dir)
  await ours.syncDirectory(join(dir, ".."))
})

it("a database that is exchanged while it is opened is not used, also when all looks well again", {
  skip: hasProc ? false : "nothing tells what is open",
}, async (t) => {
  const { dir, victim, disk: ours } = await disk(t)
  const [path, theirs] = [join(dir, "index.sqlite"), join(victim, "places.sqlite")]
  for (const one of [path, theirs]) {
    const database = new DatabaseSync(one)
    database.exec("CREATE TABLE t (x)")
    database.close()
  }
  const links = () => fs.readdirSync("/proc/self/fd").filter((number) => targetOf(number) === fs.realpathSync(theirs))
  const swap = () => {
    fs.renameSync(path, `${path}.kept`)
    fs.symlinkSync(theirs, path)
  }
  const restore = () => {
    fs.unlinkSync(path)
    fs.renameSync(`${path}.kept`, path)
  }
  before(t, "accessSync", { path })(swap)
  assert.throws(() => ours.openDatabase(path), { code: "ERR_CORRUPT" })
  assert.deepEqual(links(), [], "what was opened is closed")
  restore()
  t.mock.restoreAll()
  before(t, "accessSync", { path })(swap)
  before(t, "lstatSync", { path, nth: 2 })(restore)
  assert.throws(() => ours.openDatabase(path), { code: "ERR_CORRUPT" })
  assert.deepEqual(links(), [], "what was opened is closed")
  t.mock.restoreAll()
  syncBuiltinESMExports()
  ours.openDatabase(path).close()
})

it("a database that goes while it is opened is told as what is no file, never as one of another user", async (t) => {
  const { dir, disk: ours } = await disk(t)
  const path = join(dir, "index.sqlite")
  const remove = () => fs.rmSync(path)
  fs.writeFileSync(path, "")
  before(t, "accessSync", { path })(remove)
  assert.throws(() => ours.openDatabase(path), { code: "ENOENT" })
  t.mock.restoreAll()
  fs.writeFileSync(path, "")
  before(t, "lstatSync", { path, nth: 2 })(remove)
  assert.throws(() => ours.openDatabase(path), { code: "ERR_CORRUPT" })
})

function targetOf(number: string): string | undefined {
  try {
    return fs.readlinkSync(`/proc/self/fd/${number}`)
  } catch {
    return undefined // closed meanwhile
  }
}
