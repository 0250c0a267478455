/** Trees with lost nodes: over directories on disk, from which shares are taken away behind the engine's back. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { openDirectoryBackend } from "@holdfast/backends/directory"
import { type HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, type BlockQuery, decodeCap, type ShareQuery } from "@holdfast/protocol"
import { createHarness, type Harness } from "./files-harness.ts"

const day = 86_400_000

interface Disks extends Harness {
  /** Takes all shares of a chunk away, or of every chunk; at one server or at all. */
  lose(options: { readonly chunk?: string; readonly server?: number }): Promise<void>
  /** Ids of the chunks that a place stands on. */
  chunksOf(place: string): Promise<string[]>
  /** Ids of all chunks of which any server has a share. */
  stored(): Promise<Set<string>>
  /** Writes a folder of files, each larger than what a directory holds itself. */
  makeFolder(name: string, ...files: string[]): string
}

async function createDisks(t: TestContext): Promise<Disks> {
  const root = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-damage-"))
  t.after(() => fs.rmSync(root, { recursive: true, force: true }))
  const dirs = Array.from({ length: 5 }, (_, i) => paths.join(root, `n${i + 1}`))
  let open: (dir: string) => Promise<Backend>
  const harness = await createHarness(t, (access, { nowMs }) => {
    const clock = { ...nodeEnv.clock, nowMs }
    open = (dir) =>
      openDirectoryBackend({ id: paths.basename(dir), dir, crypto: nodeCrypto, clock, access, reservedBytes: 0 })
    return Promise.all(dirs.map(open))
  })
  t.after(() => Promise.all(harness.backends.map((backend) => backend.close())))
  t.after(() => {
    process.exitCode = undefined // commands set it, and the test runner is not one
  })
  /** Works on a server's database, which its engine has for itself while it is open. */
  const withDatabase = async <T>(i: number, work: (database: DatabaseSync) => T): Promise<T> => {
    await harness.backends[i]!.close()
    const database = new DatabaseSync(paths.join(dirs[i]!, "index.sqlite"))
    const result = work(database)
    database.close()
    harness.backends[i] = await open(dirs[i]!)
    return result
  }
  return Object.assign(harness, {
    async lose({ chunk, server }: { readonly chunk?: string; readonly server?: number }) {
      for (const i of server === undefined ? dirs.keys() : [server])
        await withDatabase(i, (database) => {
          database.exec(`DELETE FROM shares ${chunk === undefined ? "" : `WHERE chunk = x'${chunk}'`}`)
          database.exec("DELETE FROM small WHERE row NOT IN (SELECT row FROM shares)")
          database.exec("DELETE FROM marks WHERE share NOT IN (SELECT row FROM shares)")
        })
      await harness.reopen()
    },
    async chunksOf(place: string) {
      const cap = decodeCap((await harness.run("cap", place, "--verify")).trim())
      assert.ok(cap.kind === "cv")
      return Array.from({ length: cap.chunkIds.length / 32 }, (_, i) => toHex(cap.chunkIds.slice(32 * i, 32 * i + 32)))
    },
    async stored() {
      const ids = new Set<string>()
      for (const i of dirs.keys())
        for (const { id } of await withDatabase(i, (database) =>
          database.prepare("SELECT lower(hex(chunk)) AS id FROM shares").all(),
        ))
          ids.add(String(id))
      await harness.reopen()
      return ids
    },
    makeFolder(name: string, ...files: string[]) {
      const folder = paths.join(harness.folder, name)
      fs.mkdirSync(folder, { recursive: true })
      for (const file of files) fs.writeFileSync(paths.join(folder, file), nodeCrypto.random(20_000))
      return folder
    },
  })
}

/** Two folders stored one after another, and the node of the first lost everywhere. */
async function withLostFolder(t: TestContext) {
  const disks = await createDisks(t)
  await disks.run("put", disks.makeFolder("dirA", "a"), "home:")
  await disks.run("put", disks.makeFolder("dirB", "b"), "home:")
  const ofFile = await disks.chunksOf("home:/dirA/a")
  const fileCap = (await disks.run("cap", "home:/dirA/a", "--verify")).trim()
  const [node, ...others] = (await disks.chunksOf("home:/dirA")).filter((id) => !ofFile.includes(id))
  assert.equal(others.length, 0)
  await disks.lose({ chunk: node! })
  return { disks, node: node!, fileCap }
}

interface CheckResult {
  readonly ok: boolean
  readonly lost: number
  readonly damaged: number
  readonly healthy: number
  readonly chunks: number
  readonly unreadable: { readonly place: string; readonly what: string }[]
  readonly places: Record<string, string>
}

function takeExitCode(): unknown {
  const code = process.exitCode
  process.exitCode = undefined
  return code
}

/** What `work` was refused with. */
async function messageOf(code: string, work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    assert.ok(isHoldfastError(error), String(error))
    assert.equal(error.code, code)
    return error.message
  }
  return assert.fail("nothing was refused")
}

test("a lost directory is named, and all the rest is checked and repaired", async (t) => {
  const { disks, node } = await withLostFolder(t)
  await disks.lose({ server: 0 })
  const result = await disks.json<CheckResult>("check", "--deep", "--repair", "home:")
  assert.equal(takeExitCode(), 5)
  assert.deepEqual(result.unreadable.map(({ place, what }) => `${what} ${place}`).slice(0, 1), ["directory home:/dirA"])
  assert.deepEqual([result.lost, result.places[node]], [1, "home:/dirA"])
  const again = await disks.json<CheckResult>("check", "--deep", "home:")
  assert.deepEqual(
    [again.lost, again.damaged, again.healthy],
    [1, 0, again.chunks - 1],
    "the file in the lost folder too",
  )
  const text = await disks.run("check", "--deep", "home:")
  assert.match(text, /cannot be read: directory home:\/dirA: Only 0 of the 3 shares/)
  assert.match(text, new RegExp(`lost: chunk ${node}, of home:/dirA`))
  assert.equal(takeExitCode(), 5)
})

test("garbage goes although a directory is lost, and what is in that stays", async (t) => {
  const { disks, fileCap } = await withLostFolder(t)
  await disks.run("alias", "create", "other")
  await disks.run("put", disks.makeFolder("dirC", "c"), "other:")
  await disks.run("alias", "remove", "other", "--yes")
  disks.pass(2 * day)
  const result = await disks.json<{ shares: number; unreadable: { place: string }[] }>("gc")
  assert.equal(takeExitCode(), 5)
  assert.ok(result.shares > 0, "what the forgotten tree needed went")
  assert.ok(result.unreadable.some(({ place }) => place === "home:/dirA"))
  assert.deepEqual((await disks.json<CheckResult>("check", fileCap)).lost, 0, "the list of the tree names it")
  await disks.run("rm", "-r", "home:/dirA")
  await disks.run("gc", "--dry-run") // it is in the history still
  assert.equal(takeExitCode(), 5)
})

/** What servers answer who are away, and who hold what a later version wrote. */
const unread: Record<string, (answers: () => Promise<readonly (Uint8Array | undefined)[]>) => Promise<unknown>> = {
  "out of reach": () => Promise.reject(new Error("no answer")),
  "of a later version": async (answers) =>
    (await answers()).map((bytes) => bytes?.map((byte, i) => (i === 3 ? 9 : i < 3 ? byte : byte ^ 1))),
}

for (const [why, answer] of Object.entries(unread))
  test(`nothing is removed while a directory is only ${why}`, async (t) => {
    const { disks, fileCap } = await withLostFolder(t)
    await disks.run("alias", "create", "other")
    await disks.run("put", disks.makeFolder("dirC", "c"), "other:")
    await disks.run("alias", "remove", "other", "--yes")
    disks.pass(2 * day)
    const silent = new Set<PropertyKey>(["getShares"])
    for (const i of [0, 1, 2])
      disks.backends[i] = new Proxy(disks.backends[i]!, {
        get(backend, name) {
          if (silent.has(name))
            return (queries: readonly ShareQuery[]) => answer(async () => backend.getShares(queries))
          const value = backend[name as keyof Backend]
          return typeof value === "function" ? value.bind(backend) : value
        },
      })
    await disks.reopen()
    await assert.rejects(disks.run("gc"), (error: HoldfastError) => {
      assert.equal(error.code, "ERR_NOT_ENOUGH_SHARES")
      assert.match(error.message, /Nothing was removed/)
      assert.match(String(error.details["lines"]), /home:/)
      return true
    })
    silent.clear()
    await disks.reopen()
    assert.equal((await disks.json<CheckResult>("check", fileCap)).lost, 0)
    assert.ok((await disks.json<{ shares: number }>("gc")).shares > 0, "and it goes when they are back")
    takeExitCode()
  })

for (const [why, answer] of Object.entries(unread))
  test(`an immutable capability ${why} is named with its path, keeps its volume whole, and stops nothing else`, async (t) => {
    const disks = await createDisks(t)
    const folder = disks.makeFolder("kept", "a")
    await disks.run("mkdir", "home:/kept")
    await disks.run("put", disks.makeFolder("inner", "x"), "home:/kept/")
    await disks.run("put", paths.join(folder, "a"), "home:/kept/")
    fs.writeFileSync(paths.join(disks.folder, "cap"), await disks.run("cap", "home:/kept", "--read"), { mode: 0o600 })
    await disks.run("alias", "add", "fixed", "--cap-file", paths.join(disks.folder, "cap"))
    const inner = new Set(await disks.chunksOf("fixed:/inner"))
    await disks.run("put", disks.makeFolder("gone", "y"), "home:")
    await disks.run("rm", "-r", "home:/kept", "home:/gone")
    await disks.run("keep", "none")
    disks.pass(40 * day)
    const before = await disks.stored()
    const away = { now: true }
    for (const i of [0, 1, 2])
      disks.backends[i] = new Proxy(disks.backends[i]!, {
        get(backend, name) {
          const value = backend[name as keyof Backend]
          if ((name !== "getShares" && name !== "getBlocks") || !away.now)
            return typeof value === "function" ? value.bind(backend) : value
          return async (queries: readonly (ShareQuery & BlockQuery)[]) => {
            if (!queries.some(({ id }) => inner.has(toHex(id)))) return backend[name](queries)
            if (name === "getBlocks") throw new Error("no answer")
            return answer(async () => backend.getShares(queries))
          }
        },
      })
    await disks.reopen()
    const held = await disks.json<{ shares: number; outOfReach: { volume: string; place: string }[] }>("gc")
    assert.equal(takeExitCode(), 4)
    assert.deepEqual(held.outOfReach, [{ volume: "grid", place: "fixed:/" }])
    assert.match(await disks.run("gc"), /Nothing was removed from grid, .*fixed:\//)
    takeExitCode()
    const after = await disks.stored()
    assert.deepEqual([held.shares, [...before].filter((id) => !after.has(id))], [0, []])
    away.now = false
    assert.ok((await disks.json<{ shares: number }>("gc")).shares > 0, "what nothing needs goes when they are back")
    await disks.run("get", "fixed:", paths.join(disks.folder, "back"))
    for (const name of ["a", "inner/x"]) assert.ok(fs.existsSync(paths.join(disks.folder, "back", name)), name)
  })

/** A snapshot, one more commit, and the node of the newest root lost. */
async function withLostRoot(t: TestContext) {
  const disks = await createDisks(t)
  await disks.run("put", disks.makeFolder("d6", "x"), "home:")
  await disks.run("snapshot", "create", "home:", "good")
  const before = await disks.stored()
  fs.writeFileSync(paths.join(disks.folder, "more"), "inline")
  await disks.run("put", paths.join(disks.folder, "more"), "home:")
  const fresh = [...(await disks.stored())].filter((id) => !before.has(id))
  assert.equal(fresh.length, 1)
  await disks.lose({ chunk: fresh[0]! })
  return disks
}

test("snapshots are read, and gone back to, when the present root is lost", async (t) => {
  const disks = await withLostRoot(t)
  const message = await messageOf("ERR_NOT_ENOUGH_SHARES", disks.run("ls", "home:"))
  assert.match(message, /^home:\/ cannot be read: .*holdfast snapshot list home:/)
  assert.equal(await disks.run("ls", "home:@good"), "d6/\n")
  assert.equal(await disks.run("ls", "home:/d6@good"), "x\n")
  await disks.run("get", "home:/d6@good", paths.join(disks.folder, "back"))
  const [x, back] = ["d6/x", "back/x"].map((name) => fs.readFileSync(paths.join(disks.folder, name)))
  assert.deepEqual(back, x)
  const result = await disks.json<CheckResult>("check", "--deep", "home:")
  assert.equal(takeExitCode(), 5)
  assert.deepEqual(
    result.unreadable.map(({ place }) => place),
    ["home:/"],
  )
  await disks.run("snapshot", "restore", "home:", "good")
  assert.equal(await disks.run("ls", "home:"), "d6/\n")
  await disks.run("put", paths.join(disks.folder, "more"), "home:")
  assert.equal(await disks.run("ls", "home:"), "d6/\nmore\n")
})

test("a past version is gone back to when the present root is lost", async (t) => {
  const disks = await withLostRoot(t)
  const message = await messageOf("ERR_NOT_FOUND", disks.run("history", "restore", "home:", "99"))
  const version = /It keeps (\d+) \(/.exec(message)?.[1]
  assert.ok(version, message)
  const { version: now } = await disks.json<{ version: number }>("history", "restore", "home:", version)
  assert.ok(now > Number(version))
  assert.equal(await disks.run("ls", "home:"), "d6/\n")
  assert.deepEqual(
    (await disks.json<{ name: string }[]>("snapshot", "list", "home:")).map(({ name }) => name),
    ["good"],
  )
  const verify = (await disks.run("cap", "home:", "--verify")).trim()
  const listed = await disks.json<CheckResult>("check", verify)
  assert.deepEqual([listed.lost, takeExitCode()], [1, 5], "the lost root stays listed while the history has it")
})

test("what a command about whole trees is told of a place inside is refused, and hints lead somewhere", async (t) => {
  const disks = await createDisks(t)
  await disks.run("put", disks.makeFolder("docs", "a"), "home:")
  for (const words of [["create"], ["restore"], ["remove"]])
    await messageOf("ERR_INVALID_ARGUMENT", disks.run("snapshot", ...words, "home:no/such/place", "s"))
  await messageOf("ERR_INVALID_ARGUMENT", disks.run("snapshot", "list", "home:docs"))
  assert.deepEqual(await disks.json("snapshot", "list", "home:"), [])
  assert.match(
    await messageOf("ERR_NOT_FOUND", disks.run("ls", "home:docs@friday")),
    /no snapshot "friday".*It has none/,
  )
  await disks.run("snapshot", "create", "home:", "monday")
  assert.match(await messageOf("ERR_NOT_FOUND", disks.run("ls", "home:docs@friday")), /There is monday\./)
  for (const place of ["home:docs/no/such/place", "home:no/such@monday/place", "home:docs/x@y"]) {
    const hint = /"holdfast (ls [^"]+)"/.exec(await messageOf("ERR_NOT_FOUND", disks.run("ls", place)))?.[1]
    assert.ok(hint, place)
    await disks.run(...hint.split(" "))
  }
})

test("names that begin with U+FEFF are stored and read", async (t) => {
  const disks = await createDisks(t)
  const name = "\ufeffnotes.txt"
  const folder = disks.makeFolder("docs")
  fs.writeFileSync(paths.join(folder, name), "text")
  fs.symlinkSync("\ufefftarget", paths.join(folder, "link"))
  await disks.run("put", folder, "home:")
  await disks.run("snapshot", "create", "home:", "\ufeffmonday")
  await disks.reopen()
  const listed = await disks.json<{ name: string; target?: string }[]>("ls", "home:docs")
  assert.deepEqual(
    listed.map((entry) => [entry.name, entry.target]),
    [
      ["link", "\ufefftarget"],
      [name, undefined],
    ],
  )
  assert.equal(await disks.run("cat", `home:@\ufeffmonday/docs/${name}`), "text")
})

test("adding up, finding and fetching end on directories that hold each other twice, many times over", async (t) => {
  const harness = await createHarness(t)
  fs.writeFileSync(paths.join(harness.folder, "f"), "12345")
  await harness.run("mkdir", "home:/d")
  await harness.run("put", paths.join(harness.folder, "f"), "home:/d/f")
  const levels = 16
  for (let level = 0; level < levels; level++) {
    await harness.run("mkdir", "home:/up")
    await harness.run("cp", "home:/d", "home:/up/y")
    await harness.run("mv", "home:/d", "home:/up/x")
    await harness.run("mv", "home:/up", "home:/d")
  }
  const [size] = await harness.json<{ bytes: number; files: number }[]>("du", "home:/d")
  assert.deepEqual([size?.files, size?.bytes], [2 ** levels, 5 * 2 ** levels])
  assert.match(await messageOf("ERR_LIMIT", harness.run("find", "home:/d")), /no end to it\. Name a place further down/)
  await messageOf("ERR_LIMIT", harness.run("tree", "home:/d"))
  assert.match(await harness.run("find", "home:/d/x/x/x/x/x/x/x/x/x/x"), /\/x\/y\/x\/f\n/)
})
