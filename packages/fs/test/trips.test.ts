/** Round trips that follow each other in small commands, counted over five places that are equally far away. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { nodeCrypto } from "@holdfast/core/node"
import { accountKeysOf, accountRoles } from "@holdfast/protocol"
import { createMemorySeen, createStore, type SeenStore } from "@holdfast/store"
import { type Counted, TripCounter } from "@holdfast/store/testing"
import type { FileSystem } from "../src/file-system.ts"
import { filesOf } from "../src/files.ts"
import { upload } from "../src/node/upload.ts"
import { mkdir } from "../src/verbs/mkdir.ts"
import { move } from "../src/verbs/move.ts"
import { remove } from "../src/verbs/remove.ts"
import { names, text, writeTogether } from "./world.ts"

const placeIds = ["n1", "n2", "n3", "n4", "n5"]
/** More than what stays in a directory's node. */
const content = "x".repeat(4000)

const register = "readRegisters to 5"
const read = "getShares to 3"
const store = "putShares to 5"
/** The version that a commit follows is asked for again while its nodes are stored. */
const commit = "putShares to 5, readRegisters to 5"
const propose = "proposeRegisters to 5"
/** What is remembered of a tree is read while its register is asked. */
const both = "getShares to 3, readRegisters to 5"

/** A tree, and what counts; what is done with the tree is done by a process of its own each time, which knows what `seen` has. */
interface World {
  readonly trips: TripCounter
  run<T>(work: (home: FileSystem) => Promise<T>, seen?: SeenStore): Promise<Counted<T>>
  /** The tree as another process opens it, counted with what is counted already. */
  open(seen?: SeenStore): Promise<FileSystem>
}

/** An empty tree. */
async function setUp(): Promise<World> {
  const trips = new TripCounter(nodeCrypto)
  const { env } = trips
  const { id } = await accountKeysOf(nodeCrypto, nodeCrypto.random(32))
  const places = placeIds.map((name) => createMemoryPlace(name, nodeCrypto, { nowMs: () => env.clock.nowMs() }))
  const client = async (seen: SeenStore = createMemorySeen()) => {
    const backends = places.map((place) => trips.away(place.backendOf({ account: id, roles: accountRoles })))
    const { chunks, registers } = await createStore({
      ...{ env, account: id, seen, registerMode: "crash", coding: { k: 3, happy: 4, n: 5 } },
      servers: backends.map((backend) => ({ backend, weight: 1 })),
    })
    return filesOf({ chunks, registers, env, account: id })
  }
  const maker = await client()
  const { value: cap } = await trips.count(() => maker.create("directory"))
  const open = async (seen?: SeenStore) => (await client(seen)).open(cap)
  return { trips, open, run: (work, seen) => trips.count(async () => work(await open(seen))) }
}

/** The same with two files and a directory in it, of which `seen` knows. */
async function setUpFilled() {
  const world = await setUp()
  const seen = createMemorySeen()
  await world.run(async (home) => {
    await writeTogether(home, { "a.txt": content, "b.txt": content })
    await mkdir({ files: home, path: ["docs"] })
  }, seen)
  return { ...world, seen }
}

/** Stores a local file as `put` does. */
async function put(home: FileSystem, name: string): Promise<void> {
  const folder = fs.mkdtempSync(`${os.tmpdir()}/holdfast-trips-`)
  try {
    fs.writeFileSync(`${folder}/${name}`, content)
    const onProblem = (problem: { readonly message: string }) => assert.fail(problem.message)
    await upload(home.writer(), `${folder}/${name}`, [name], { onProblem })
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

function assertTrips({ chain, trips }: Counted<unknown>, expected: readonly string[], what: string): void {
  assert.deepEqual(chain, expected, what)
  assert.equal(trips, expected.length, what)
}

test("a small put takes four round trips, in which the file and the directory that names it go out together", async () => {
  const { run, seen } = await setUpFilled()
  assertTrips(await run((home) => put(home, "new.txt")), [register, read, commit, propose], "nothing known")
  assertTrips(await run((home) => put(home, "c.txt"), seen), [both, read, commit, propose], "known, and changed since")
  assertTrips(await run((home) => put(home, "d.txt"), seen), [both, commit, propose], "known")
  const { value } = await run(async (home) => [await text(home, ["new.txt"]), await text(home, ["d.txt"])])
  assert.deepEqual(value, [content, content])
})

test("what is stored into an empty tree is asked for nowhere", async () => {
  const { run } = await setUp()
  const folders = async (home: FileSystem) => {
    await writeTogether(home, Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}`, `${i} ${content}`])))
  }
  assertTrips(await run(folders), [register, commit, propose], "forty files")
})

test("a small get takes three round trips, a listing two, and one less each in a client that has seen the tree", async () => {
  const { run, seen } = await setUpFilled()
  const get = await run((home) => text(home, ["a.txt"]))
  assert.equal(get.value, content)
  assertTrips(get, [register, read, read], "get")
  assertTrips(await run((home) => text(home, ["a.txt"]), seen), [both, read], "get of a tree that was seen")
  const listed = await run((home) => names(home))
  assert.deepEqual(listed.value, ["a.txt", "b.txt", "docs"])
  assertTrips(listed, [register, read], "ls")
  assertTrips(await run((home) => names(home), seen), [both], "ls of a tree that was seen")
})

test("mkdir, mv and rm take three round trips in a client that has seen the tree, and four in any other", async () => {
  const { run, seen } = await setUpFilled()
  const commands: readonly (readonly [string, (files: FileSystem) => Promise<void>])[] = [
    ["mkdir", (files) => mkdir({ files, path: ["new"] })],
    ["mv of a file", (files) => move({ files, path: ["a.txt"] }, { files, path: ["new", "a.txt"] })],
    ["mv of a directory", (files) => move({ files, path: ["new"] }, { files, path: ["docs", "new"] })],
    ["rm", (files) => remove({ files, path: ["b.txt"] })],
  ]
  for (const [name, command] of commands) assertTrips(await run(command, seen), [both, commit, propose], name)
  const rename = (files: FileSystem) => move({ files, path: ["docs"] }, { files, path: ["papers"] })
  assertTrips(await run(rename), [register, both, store, propose], "mv in a client that knows nothing")
  assert.equal((await run((home) => text(home, ["papers", "new", "a.txt"]))).value, content)
})

test("what was committed since a tree was opened is changed in its place, for a round trip and what is to be read of it", async () => {
  const { run, open } = await setUpFilled()
  const { chain } = await run(async (home) => {
    await mkdir({ files: await open(), path: ["theirs"] })
    await assert.rejects(mkdir({ files: home, path: ["theirs"] }), { code: "ERR_ALREADY_EXISTS" })
    await mkdir({ files: home, path: ["mine"] })
  })
  const theirs = [register, both, store, propose]
  assert.deepEqual(chain, [register, ...theirs, both, store, read, commit, propose])
  assert.deepEqual((await run((home) => names(home))).value, ["a.txt", "b.txt", "docs", "mine", "theirs"])
})

test("one change after another takes two round trips each in a client that goes on", async () => {
  const { trips, open, run } = await setUpFilled()
  const { value: home } = await trips.count(async () => {
    const files = await open()
    await mkdir({ files, path: ["0"] })
    return files
  })
  for (const name of ["1", "2"])
    assertTrips(await trips.count(() => mkdir({ files: home, path: [name] })), [commit, propose], name)
  assert.deepEqual((await run((files) => names(files))).value, ["0", "1", "2", "a.txt", "b.txt", "docs"])
})

test("a tree that is watched costs no round trip while nothing happens in it", async () => {
  const { run, trips } = await setUpFilled()
  const stop = new AbortController()
  const { value: watched } = await run(async (home) => {
    const versions = home.watch({ signal: stop.signal })[Symbol.asyncIterator]()
    await versions.next()
    return { next: versions.next() }
  })
  assert.equal(await trips.idle(0), 0)
  assert.equal(await trips.idle(3_600_000), 0)
  await run((home) => mkdir({ files: home, path: ["new"] }))
  const { value } = await trips.count(() => watched.next)
  assert.deepEqual(await names(value.value), ["a.txt", "b.txt", "docs", "new"])
  stop.abort()
})
