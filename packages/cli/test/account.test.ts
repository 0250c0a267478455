/** Accounts over one grid: nobody's collection touches what another reads, devices share one list, nothing goes by a client's clock. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { equal, isHoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { registerIdOf } from "@holdfast/protocol"
import { listKeysOn } from "../../client/src/account/account.ts"
import { exitCodes } from "../src/exit-codes.ts"
import { createHarness, type Harness, linkInner } from "./files-harness.ts"

const day = 86_400_000
const withCode = (code: string) => (error: unknown) => isHoldfastError(error) && error.code === code

async function putSome({ folder, run }: Harness, name: string, seed: number): Promise<Buffer> {
  const bytes = Buffer.alloc(300_000, seed)
  fs.writeFileSync(`${folder}/${name}`, bytes)
  await run("put", `${folder}/${name}`, `home:/${name}`)
  return bytes
}

async function assertHolds({ folder, run, reopen }: Harness, path: string, bytes: Buffer): Promise<void> {
  await reopen()
  const to = `${folder}/back-${Math.random()}`
  await run("get", path, to)
  assert.ok(fs.readFileSync(to).equals(bytes), path)
}

interface Collected {
  readonly shares: number
  readonly bytes: number
  readonly young: number
  readonly errors: Record<string, string>
  readonly unreadable: { place: string; message: string }[]
}

test("gc of one person never takes what another put, shared or copied", async (t) => {
  const alice = await createHarness(t)
  const bob = await alice.other()
  const hers = await putSome(alice, "hers", 1)
  const his = await putSome(bob, "his", 2)
  // Bob links to Alice's folder and copies out of it.
  fs.writeFileSync(`${bob.folder}/alice.cap`, await alice.run("cap", "home:", "--read"), { mode: 0o600 })
  await bob.run("alias", "add", "alice", "--cap-file", `${bob.folder}/alice.cap`, "--local")
  await bob.run("cp", "alice:/hers", "home:/copy")
  for (const harness of [alice, bob]) {
    alice.pass(40 * day)
    for (const one of [alice, bob]) assert.deepEqual((await one.json<Collected>("gc")).shares, 0)
    await assertHolds(harness, harness === alice ? "home:/hers" : "home:/his", harness === alice ? hers : his)
  }
  // Alice removes hers for good; what Bob copied stays.
  await alice.run("rm", "home:/hers")
  await alice.run("keep", "home:", "none")
  alice.pass(2 * day)
  await alice.run("gc")
  await assertHolds(bob, "home:/copy", hers)
  await assert.rejects(alice.run("cat", "home:/hers"), withCode("ERR_NOT_FOUND"))
})

test("what another writes into a tree is kept for its owner, though the writer forgets it and collects", async (t) => {
  const alice = await createHarness(t)
  const bob = await alice.other()
  fs.writeFileSync(`${bob.folder}/w.cap`, await alice.run("cap", "home:"), { mode: 0o600 })
  await bob.run("alias", "add", "shared", "--cap-file", `${bob.folder}/w.cap`)
  const bytes = Buffer.alloc(200_000, 7)
  fs.writeFileSync(`${bob.folder}/gift`, bytes)
  await bob.run("put", `${bob.folder}/gift`, "shared:/gift")
  await bob.run("alias", "remove", "shared", "--yes")
  alice.pass(40 * day)
  await bob.run("gc")
  await assertHolds(alice, "home:/gift", bytes)
  alice.pass(40 * day)
  await alice.run("gc")
  await bob.run("gc")
  await assertHolds(alice, "home:/gift", bytes)
})

test("two devices of one account see one list, and either may collect", async (t) => {
  const laptop = await createHarness(t)
  const bytes = await putSome(laptop, "file", 3)
  await laptop.run("alias", "create", "photos")
  const phone = await laptop.other("same")
  await assertHolds(phone, "home:/file", bytes)
  assert.match(await phone.run("alias", "list"), /photos:/)
  await phone.run("alias", "create", "notes")
  const own = await putSome(phone, "from-phone", 4)
  assert.match(await laptop.run("alias", "list"), /notes:/)
  laptop.pass(40 * day)
  for (const device of [laptop, phone]) assert.equal((await device.json<Collected>("gc")).shares, 0)
  await assertHolds(laptop, "home:/from-phone", own)
  await phone.run("alias", "remove", "photos", "--yes")
  await assert.rejects(laptop.run("alias", "add", "home", "--cap-file", "/dev/null"))
  assert.doesNotMatch(await laptop.run("alias", "list"), /photos:/)
})

test("trees with one name on two devices that join are both kept", async (t) => {
  const one = await createHarness(t)
  const bytes = await putSome(one, "mine", 5)
  await one.run("alias", "list") // lists home:
  const other = await one.other("same")
  const foreign = await one.other()
  const theirs = await putSome(foreign, "other", 6)
  fs.writeFileSync(`${other.folder}/cap`, await foreign.run("cap", "home:"), { mode: 0o600 })
  other.aliases.set("home", fs.readFileSync(`${other.folder}/cap`, "utf8").trim()) // from before there were accounts
  await other.run("alias", "list")
  assert.match(other.warnings.join(), /now called home-2:/)
  await assertHolds(other, "home:/mine", bytes)
  await assertHolds(other, "home-2:/other", theirs)
})

test("a place that is away during gc loses nothing, and catches up", async (t) => {
  const harness = await createHarness(t)
  const bytes = await putSome(harness, "kept", 8)
  await putSome(harness, "gone", 9)
  await harness.run("rm", "home:/gone")
  await harness.run("keep", "none")
  harness.pass(2 * day)
  const place = harness.backends[2]!
  const { collectToken } = place
  place.collectToken = () => Promise.reject(new Error("away"))
  const first = await harness.json<Collected>("gc")
  assert.deepEqual(Object.keys(first.errors), ["n3"])
  place.collectToken = collectToken
  const second = await harness.json<Collected>("gc")
  assert.ok(first.shares === 4 * second.shares && second.shares > 0, `${first.shares}, then ${second.shares}`)
  await assertHolds(harness, "home:/kept", bytes)
})

test("a place that does not itself say what it holds of a root keeps everything", async (t) => {
  const harness = await createHarness(t)
  await putSome(harness, "gone", 9)
  await harness.run("alias", "remove", "home", "--yes")
  await harness.run("alias", "create", "other")
  harness.pass(2 * day)
  harness.backends[0]!.keptValues = () => Promise.reject(new Error("no answer"))
  const { shares, errors } = await harness.json<Collected>("gc")
  assert.deepEqual([Object.keys(errors), shares > 0], [["n1"], true])
  assert.ok((await harness.backends[0]!.listMarks({ limit: 10 })).length > 0)
})

test("a value that one place alone took keeps its chunks there", async (t) => {
  const harness = await createHarness(t)
  await harness.run("mkdir", "home:/before")
  // A writer that stops when one place has its root: the others refuse it.
  const others = harness.backends.slice(1).map((backend) => ({ backend, propose: backend.proposeRegisters }))
  for (const { backend } of others) backend.proposeRegisters = () => Promise.reject(new Error("away"))
  await assert.rejects(putSome(harness, "late", 7), withCode("ERR_NO_QUORUM"))
  for (const { backend, propose } of others) backend.proposeRegisters = propose
  harness.pass(2 * day)
  // The collector's quorum does not hear that place.
  const first = harness.backends[0]!
  const { readRegisters } = first
  first.readRegisters = () => Promise.reject(new Error("slow"))
  await harness.reopen()
  const before = (await first.listMarks({ limit: 4096 })).length
  const { shares } = await harness.json<Collected>("gc")
  first.readRegisters = readRegisters
  assert.ok(shares > 0, "elsewhere it is garbage")
  assert.equal((await first.listMarks({ limit: 4096 })).length, before)
})

test("clocks of clients that are off by years change nothing", async (t) => {
  const harness = await createHarness(t)
  await putSome(harness, "old", 1)
  await harness.run("rm", "home:/old")
  await harness.run("keep", "home:", "30d")
  harness.pass(2 * day)
  const { now } = Date
  for (const offMs of [-3650 * day, 3650 * day]) {
    // The places' clocks go on as they were.
    harness.pass(-offMs)
    Date.now = () => now() + offMs
    try {
      assert.equal((await harness.json<Collected>("gc")).shares, 0, `${offMs}`)
    } finally {
      Date.now = now
      harness.pass(offMs)
    }
  }
  const [past] = (await harness.json<unknown[]>("alias", "list")) as unknown[]
  assert.ok(past)
})

test("old versions go when they are not to be kept, after the places' grace alone", async (t) => {
  const harness = await createHarness(t)
  await putSome(harness, "old", 1)
  await harness.run("rm", "home:/old")
  harness.pass(2 * day)
  assert.equal((await harness.json<Collected>("gc")).shares, 0, "the last 16 versions stay")
  assert.match(await harness.run("keep", "home:", "none"), /old versions: none/)
  assert.ok((await harness.json<Collected>("gc")).bytes > 300_000)
  assert.equal(await harness.run("ls", "home:"), "")
})

test("a file that was put and removed is freed once the places' grace is over, and not an hour before", async (t) => {
  const harness = await createHarness(t)
  await harness.run("keep", "none")
  await putSome(harness, "gone", 1)
  const kept = await putSome(harness, "kept", 2)
  await harness.run("rm", "home:/gone")
  harness.pass(day - 3_600_000)
  const early = await harness.json<Collected>("gc")
  assert.ok(early.shares === 0 && early.young > 0, "a day is what places spare")
  harness.pass(2 * 3_600_000)
  assert.ok((await harness.json<Collected>("gc")).bytes > 300_000)
  await assertHolds(harness, "home:/kept", kept)
})

test("an alias in the account is replaced or removed only when that is said", async (t) => {
  const harness = await createHarness(t)
  const { folder, run } = harness
  const bytes = await putSome(harness, "file", 1)
  fs.writeFileSync(`${folder}/read.cap`, await run("cap", "home:", "--read"), { mode: 0o600 })
  await assert.rejects(run("alias", "add", "home", "--cap-file", `${folder}/read.cap`), withCode("ERR_ALREADY_EXISTS"))
  await assert.rejects(run("alias", "remove", "home"), /next `holdfast gc` frees it/)
  await assertHolds(harness, "home:/file", bytes)
})

test("a damaged part of a tree is named, costs nothing else, and linked trees stay", async (t) => {
  const harness = await createHarness(t)
  const { run, json, backends, reopen } = harness
  const bytes = await putSome(harness, "file", 1)
  await linkInner(harness, bytes)
  await run("gc")
  await run("alias", "remove", "inner", "--yes") // only the link keeps it now
  await run("alias", "create", "broken")
  await run("mkdir", "broken:/a")
  harness.pass(2 * day)
  // Every place loses the root nodes of home: and broken:, but not what is listed beside them.
  await reopen()
  const getShares = backends.map((backend) => backend.getShares)
  const small = (share: Uint8Array | undefined) => (share && share.length > 50_000 ? share : undefined)
  for (const [i, backend] of backends.entries())
    backend.getShares = async (...args) => (await getShares[i]!(...args)).map(small)
  const { unreadable, shares } = await json<Collected>("gc")
  process.exitCode = undefined // the command's own
  assert.ok(unreadable.some(({ place }) => place.startsWith("home:")))
  for (const [i, backend] of backends.entries()) backend.getShares = getShares[i]!
  assert.equal(shares, 0)
  await assertHolds(harness, "home:/linked/file", bytes)
})

test("a tree whose link is removed is freed once no kept version links it", async (t) => {
  const harness = await createHarness(t)
  const { run, json } = harness
  const bytes = await putSome(harness, "file", 1)
  await linkInner(harness, bytes)
  await run("alias", "remove", "inner", "--yes")
  await run("gc") // notes that it is linked
  const { liveChunks, neededBy } = await json<{ liveChunks: number; neededBy: { tree: string; chunks: number }[] }>(
    "gc",
  )
  assert.deepEqual(
    neededBy.map(({ tree }) => tree),
    ["home:", "home:/linked"],
  )
  assert.equal(
    neededBy.reduce((sum, { chunks }) => sum + chunks, 0),
    liveChunks,
  )
  await run("rm", "home:/linked")
  harness.pass(2 * day)
  await run("gc")
  const [, before] = await json<{ sequence: number }[]>("history", "list", "home:")
  await run("history", "restore", "home:", String(before!.sequence))
  await assertHolds(harness, "home:/linked/file", bytes) // a version that is kept links it
  await run("rm", "home:/linked")
  await run("keep", "none")
  const collect = () => json<Collected & { liveChunks: number }>("gc")
  const first = await collect()
  assert.ok(first.liveChunks < liveChunks, `${first.liveChunks} of ${liveChunks} chunks are needed`)
  harness.pass(2 * day)
  assert.ok(first.shares + (await collect()).shares > 0, "something is freed")
})

test("what a quota does not let an account hold is an error that names place and quota, until there is room", async (t) => {
  let aheadMs = 0
  const nowMs = () => Date.now() + aheadMs
  const places = ["n1", "n2", "n3", "n4", "n5"].map((id) =>
    createMemoryPlace(id, nodeCrypto, { nowMs, quotaBytes: 300_000 }),
  )
  const owner = await createHarness(t, (access) => places.map((place) => place.backendOf(access)))
  const holder = await owner.other()
  const bytes = await putRandom(owner, 600_000)
  await putRandom(holder, 500_000)
  fs.writeFileSync(`${holder.folder}/their.cap`, await owner.run("cap", "home:", "--read"), { mode: 0o600 })
  await holder.run("alias", "add", "theirs", "--cap-file", `${holder.folder}/their.cap`)
  assert.match(holder.warnings.join(), /n\d: The quota of 300000 bytes is used up.*Remove what you do not need/)
  await holder.run("keep", "none")
  const collect = () =>
    holder.json<Collected & { notHeld: { server: string; message: string; isQuota: boolean }[] }>("gc")
  const { notHeld } = await collect()
  assert.deepEqual(notHeld.map(({ server }) => server).sort(), ["n1", "n2", "n3", "n4", "n5"])
  assert.ok(notHeld.every(({ isQuota, message }) => isQuota && /quota of 300000 bytes/.test(message)))
  assert.equal(process.exitCode, exitCodes.refused)
  process.exitCode = 0
  await holder.run("rm", "home:/file")
  aheadMs += 2 * day
  assert.deepEqual((await collect()).notHeld, [], "what the same collection frees makes room")
  await owner.run("alias", "remove", "home", "--yes")
  aheadMs += 2 * day
  await owner.run("gc")
  await assertHolds(holder, "theirs:/file", bytes)
})

async function putRandom({ folder, run }: Harness, length: number): Promise<Buffer> {
  const bytes = Buffer.from(nodeCrypto.random(length))
  fs.writeFileSync(`${folder}/file`, bytes)
  await run("put", `${folder}/file`, "home:/file")
  return bytes
}

test("check --repair brings the account's own list back on places that lost it", async (t) => {
  const harness = await createHarness(t)
  const bytes = await putSome(harness, "file", 1)
  await harness.run("alias", "create", "second")
  interface Checked {
    readonly ok: boolean
    readonly registers: { problem?: string }[]
    readonly account: { server: string; what: string; problem?: string }[]
  }
  const problemsOf = ({ account }: Checked) =>
    account.filter(({ problem }) => problem !== undefined).map(({ server, what }) => `${server} ${what}`)
  // One after another all places come back empty.
  for (const position of [0, 1, 2, 3, 4]) {
    harness.replaceServer(position)
    await harness.reopen()
    // Another reader has brought the list there perhaps, never all that belongs to it.
    const found = await harness.json<Checked>("check", "--deep", "home:")
    assert.equal(found.ok, false)
    assert.deepEqual(problemsOf(await harness.json<Checked>("check", "--deep", "--repair", "home:")), [])
    const { profile, storage } = harness.session()
    const list = registerIdOf((await listKeysOn(await profile.account(), storage)).publicKey)
    const held = await harness.backends[position]!.readRegisters([list])
    assert.ok(held[0], "the list is there again")
    assert.deepEqual(
      await harness.backends[position]!.listRegisters({ limit: 9 }).then((own) => own.some((id) => equal(id, list))),
      true,
    )
    process.exitCode = 0
  }
  await assertHolds(harness, "home:/file", bytes)
  assert.match(await harness.run("alias", "list"), /second:/)
})
