/** What others write says nothing about what an account holds: owners who collect, writers' care lists, lists of stolen devices. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import {
  decodeCap,
  deviceListSecret,
  emptyAccountList,
  encodeAccountList,
  encodeCap,
  registerIdOf,
  signGrant,
  toReadCap,
} from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { decodeEntryCap, emptyCare, encodeCare, encodeEntryCap } from "@holdfast/tree"
import { appendOnlyRoles, listKeysOn } from "../../client/src/account/account.ts"
import { changeAccountList } from "../../client/src/account/list.ts"
import { exitCodes } from "../src/exit-codes.ts"
import { addTree, createHarness, type Harness } from "./files-harness.ts"

const day = 86_400_000

async function putSome({ folder, run }: Harness, name: string): Promise<Buffer> {
  const bytes = Buffer.from(crypto.random(300_000))
  fs.writeFileSync(`${folder}/${name}`, bytes)
  await run("put", `${folder}/${name}`, `home:/${name}`)
  return bytes
}

async function assertHolds({ folder, run, reopen }: Harness, path: string, bytes: Buffer): Promise<void> {
  await reopen()
  await run("get", path, `${folder}/back`)
  assert.ok(fs.readFileSync(`${folder}/back`).equals(bytes), path)
  fs.rmSync(`${folder}/back`)
}

async function capFile(of: Harness, to: Harness, ...options: string[]): Promise<string> {
  const file = `${to.folder}/their.cap`
  fs.writeFileSync(file, await of.run("cap", "home:", ...options), { mode: 0o600 })
  return file
}

/** Removes the tree and collects all of it. */
async function forget(harness: Harness): Promise<void> {
  await harness.run("alias", "remove", "home", "--yes")
  harness.pass(40 * day)
  await harness.run("gc")
}

test("what an account takes over or links in stays, though its owner collects it before the account did", async (t) => {
  const owner = await createHarness(t)
  const [taker, linker] = [await owner.other(), await owner.other()]
  const bytes = await putSome(owner, "file")
  await taker.run("alias", "add", "theirs", "--cap-file", await capFile(owner, taker, "--read"))
  await linker.run("ln", `@file:${await capFile(owner, linker, "--read")}`, "home:/theirs")
  await forget(owner)
  await assertHolds(taker, "theirs:/file", bytes)
  await assertHolds(linker, "home:/theirs/file", bytes)
  await forget(taker)
  await assertHolds(linker, "home:/theirs/file", bytes)
})

for (const strength of ["read", "write"])
  test(`a writer's care list that names nothing takes nothing from those who hold the tree to ${strength} it`, async (t) => {
    const writer = await createHarness(t)
    const holder = await writer.other()
    const bytes = await putSome(writer, "file")
    const file = await capFile(writer, holder, ...(strength === "read" ? ["--read"] : []))
    await holder.run("alias", "add", "theirs", "--cap-file", file)
    const { registers } = writer.session().store
    const keys = await keysOfCap(crypto, decodeCap(writer.aliases.get("home")!))
    const { sequence, content } = (await registers.read(keys))!
    assert.ok(await registers.write(keys, sequence, { content, care: encodeCare(emptyCare) }))
    await writer.run("mkdir", "home:/later")
    for (const _ of [1, 2]) {
      writer.pass(40 * day)
      await holder.run("gc")
    }
    await forget(writer)
    await assertHolds(holder, "theirs:/file", bytes)
  })

test("while the newest version of a tree cannot be walked, what older versions list stays", async (t) => {
  const writer = await createHarness(t)
  const holder = await writer.other()
  await putSome(writer, "file")
  await holder.run("alias", "add", "theirs", "--cap-file", await capFile(writer, holder))
  const marked = async () => (await holder.backends[0]!.listMarks({ limit: 4096 })).length
  const before = await marked()
  const { registers } = writer.session().store
  const keys = await keysOfCap(crypto, decodeCap(writer.aliases.get("home")!))
  const { sequence, content } = (await registers.read(keys))!
  assert.ok(await registers.write(keys, sequence, { content, care: encodeCare(emptyCare) }))
  await writer.run("mkdir", "home:/later") // held for the writer alone, as the list names nobody
  await forget(writer)
  for (const _ of [1, 2]) {
    writer.pass(40 * day)
    assert.ok((await holder.json<{ unreadable: unknown[] }>("gc")).unreadable.length > 0)
    process.exitCode = 0 // what is lost is told by it
  }
  assert.ok((await marked()) >= before)
})

test("a tree that is listed twice keeps its old versions as long as either listing says", async (t) => {
  const owner = await createHarness(t)
  const other = await owner.other()
  await putSome(owner, "file")
  await other.run("alias", "add", "theirs", "--cap-file", await capFile(owner, other))
  await other.run("rm", "theirs:/file") // kept for the owner, as another account's
  await owner.run("alias", "add", "same", "--cap-file", await capFile(owner, owner, "--read"))
  await owner.run("keep", "same:", "none")
  await collectTwice(owner)
  assert.ok((await keptOf(owner)).length > 1)
  await owner.run("keep", "home:", "none")
  await collectTwice(owner)
  assert.equal((await keptOf(owner)).length, 1)
})

test("an append-only device can neither shorten how long versions are kept nor stop the account from collecting", async (t) => {
  const owner = await createHarness(t)
  const other = await owner.other()
  await putSome(owner, "file")
  await other.run("alias", "add", "theirs", "--cap-file", await capFile(owner, other))
  await other.run("rm", "theirs:/file") // kept for the owner, as another account's
  const device = await addDevice(owner)
  const readCap = (await owner.run("cap", "home:", "--read")).trim()
  await device({ ...emptyAccountList, roots: new Map([["short", { cap: readCap, keepMs: 0 }]]) })
  await collectTwice(owner)
  assert.ok((await keptOf(owner)).length > 1)
  await device("no list")
  await owner.run("gc")
  assert.match(owner.warnings.join(), /append-only device "camera" cannot be read/)
})

test("what a full device removed stays removed, whatever an append-only device and its older values list", async (t) => {
  const owner = await createHarness(t)
  const device = await addDevice(owner)
  await owner.run("alias", "create", "camera")
  const cap = owner.aliases.get("camera")!
  await owner.run("alias", "remove", "camera", "--yes")
  await device({ ...emptyAccountList, roots: new Map([["photos", { cap }]]) })
  owner.warnings.length = 0
  await owner.run("gc")
  assert.deepEqual([...owner.aliases.keys()], ["home"], "it was removed before the device listed it")
  assert.match(owner.warnings.join(), /"camera" lists photos: still, which was removed/)
  const other = await addTree(owner.session())
  await device({ ...emptyAccountList, roots: new Map([["other", { cap: other }]]) })
  await owner.run("gc")
  await owner.run("alias", "list")
  assert.ok(owner.aliases.has("other"), "what a device lists is taken over")
  await owner.run("alias", "remove", "other", "--yes")
  await device({ ...emptyAccountList, roots: new Map([["again", { cap: await readCapOf(other) }]]) })
  await owner.run("gc")
  await owner.run("alias", "list")
  assert.deepEqual([...owner.aliases.keys()], ["home"])
  // Whoever removed it may change his mind.
  fs.writeFileSync(`${owner.folder}/cap`, other, { mode: 0o600 })
  await owner.run("alias", "add", "mine", "--cap-file", `${owner.folder}/cap`)
  await owner.run("gc")
  await owner.run("alias", "list")
  assert.deepEqual([...owner.aliases.keys()].sort(), ["home", "mine"])
})

test("an immutable listing whose chunks are lost, or that means nothing, is named and stops no collection", async (t) => {
  const owner = await createHarness(t)
  const device = await addDevice(owner)
  await putSome(owner, "file")
  await owner.run("mkdir", "home:/a")
  await owner.run("cp", "home:/file", "home:/a/file")
  const kept = (await owner.run("cap", "home:/a", "--read")).trim()
  const missing = lostDirectoryCap(kept)
  const nonsense = encodeCap({ kind: "ci", entry: Uint8Array.of(0x83, 1, 2, 3) })
  await device({
    ...emptyAccountList,
    roots: new Map([
      ["missing", { cap: missing }],
      ["nonsense", { cap: nonsense }],
    ]),
  })
  await putSome(owner, "gone")
  await owner.run("rm", "home:/gone")
  await owner.run("keep", "none")
  owner.pass(40 * day)
  const { unreadable, problems, shares } = await owner.json<{
    unreadable: { place: string }[]
    problems: { label: string }[]
    shares: number
  }>("gc")
  assert.equal(process.exitCode, exitCodes.damaged)
  process.exitCode = 0
  assert.deepEqual(
    unreadable.map(({ place }) => place),
    ["missing:/"],
  )
  assert.deepEqual(
    problems.map(({ label }) => label),
    ["nonsense:"],
  )
  assert.ok(shares > 0)
})

/** A capability like `text`, of a directory whose chunk nobody ever stored. */
function lostDirectoryCap(text: string): string {
  const cap = decodeCap(text)
  assert.ok(cap.kind === "ci")
  const entry = decodeEntryCap(cap)
  assert.ok(entry.kind === "directory" && entry.reference)
  const chunk = { ...entry.reference.chunk, id: crypto.random(32) }
  return encodeCap(encodeEntryCap({ ...entry, reference: { ...entry.reference, chunk } }))
}

async function readCapOf(text: string): Promise<string> {
  const cap = decodeCap(text)
  assert.ok(cap.kind === "dw")
  return encodeCap({ ...(await toReadCap(crypto, cap)) })
}

/** What the first collection writes itself ends the versions before it for the second. */
async function collectTwice(harness: Harness): Promise<void> {
  for (const _ of [1, 2]) {
    harness.pass(3 * day)
    assert.deepEqual((await harness.json<{ errors: object }>("gc")).errors, {})
  }
}

/** Values of the owner's tree that a place has, the newest included. */
async function keptOf({ aliases, backends }: Harness) {
  const { publicKey } = await keysOfCap(crypto, decodeCap(aliases.get("home")!))
  return backends[0]!.keptValues(registerIdOf(publicKey))
}

/** Lets a device add to the account; gives what writes to its list. */
async function addDevice(owner: Harness) {
  const session = owner.session()
  const { store, profile, storage } = session
  const { keys } = await profile.account()
  const deviceKey = crypto.random(32)
  const grant = await signGrant(nodeEnv.crypto, keys!.collectSeed, {
    ...{ epoch: 1, deviceKey, roles: appendOnlyRoles, name: "camera" },
  })
  await changeAccountList(session, (list) => ({ ...list, epoch: 1, grants: [grant] }))
  const listKeys = await listKeysOn({ listSecret: deviceListSecret(keys!, deviceKey) }, storage)
  return async (list: Parameters<typeof encodeAccountList>[0] | string) => {
    const content = typeof list === "string" ? Buffer.from(list) : encodeAccountList(list)
    const after = (await store.registers.read(listKeys))?.sequence ?? 0
    assert.ok(await store.registers.write(listKeys, after, { content, care: encodeCare(emptyCare) }))
  }
}
