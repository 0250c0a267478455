/** Round trips that follow each other in small commands, counted over five places that are equally far away. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { nodeCrypto } from "@holdfast/core/node"
import { accountKeysOf, accountRoles } from "@holdfast/protocol"
import { createMemorySeen, createStore, type SeenStore } from "@holdfast/store"
import { TripCounter } from "@holdfast/store/testing"
import type { FileSystem } from "../src/file-system.ts"
import { type Files, filesOf } from "../src/files.ts"
import { upload } from "../src/node/upload.ts"
import { mkdir } from "../src/verbs/mkdir.ts"
import { move } from "../src/verbs/move.ts"
import { remove } from "../src/verbs/remove.ts"
import { names, text, writeTogether } from "./world.ts"

const placeIds = ["n1", "n2", "n3", "n4", "n5"]
/** More than what stays in a directory's node. */
const content = "x".repeat(4000)

/** A tree with some files in it, and clients that come to it. */
async function setUp() {
  const trips = new TripCounter(nodeCrypto)
  const { clock } = trips.env
  const account = await accountKeysOf(nodeCrypto, nodeCrypto.random(32))
  const places = placeIds.map((id) => createMemoryPlace(id, nodeCrypto, { nowMs: () => clock.nowMs() }))
  /** A process of its own: what it knows of before is what it has seen. */
  const client = async (seen: SeenStore = createMemorySeen()): Promise<Files> => {
    const backends = places.map((place) => trips.away(place.backendOf({ account: account.id, roles: accountRoles })))
    const { chunks, registers } = await createStore({
      ...{ env: trips.env, account: account.id, seen, registerMode: "crash" },
      servers: backends.map((backend) => ({ backend, weight: 1 })),
      coding: { k: 3, happy: 4, n: 5 },
    })
    return filesOf({ chunks, registers, env: trips.env, account: account.id })
  }
  const first = await client()
  const { value: cap } = await trips.count(async () => {
    const made = await first.create("directory")
    const home = await first.open(made)
    await writeTogether(home, { "a.txt": content, "b.txt": content })
    await mkdir({ files: home, path: ["docs"] })
    return made
  })
  /** Counts what a command does in a process of its own. */
  const command = async <T>(work: (home: FileSystem) => Promise<T>, seen?: SeenStore) => {
    const files = await client(seen)
    return trips.count(async () => work(await files.open(cap, { isOneCommand: true })))
  }
  return { trips, command, cap, client }
}

test("a small put takes", async (t) => {
  const { command } = await setUp()
  const folder = fs.mkdtempSync(`${os.tmpdir()}/holdfast-trips-`)
  t.after(() => fs.rmSync(folder, { recursive: true }))
  fs.writeFileSync(`${folder}/new.txt`, content)
  const problems: unknown[] = []
  const put = await command(async (home) => {
    const onProblem = (problem: unknown) => void problems.push(problem)
    await upload(home.writer(), `${folder}/new.txt`, ["new.txt"], { onProblem })
  })
  assert.deepEqual(problems, [])
  console.log(put.trips, put.chain)
  const got = await command((home) => text(home, ["new.txt"]))
  assert.equal(got.value, content)
  console.log(got.trips, got.chain)
})

test("ls etc", async () => {
  const { command } = await setUp()
  const seen = createMemorySeen()
  for (const s of [undefined, seen, seen]) {
    const listed = await command((home) => names(home), s)
    console.log("ls", listed.trips, listed.chain, [...listed.servers])
  }
  let p: any = await command((files) => mkdir({ files, path: ["d"] }))
  console.log("mkdir", p.trips, p.chain)
  p = await command((files) => move({ files, path: ["a.txt"] }, { files, path: ["d", "a.txt"] }))
  console.log("mv", p.trips, p.chain)
  p = await command((files) => remove({ files, path: ["d", "a.txt"] }))
  console.log("rm", p.trips, p.chain)
})
