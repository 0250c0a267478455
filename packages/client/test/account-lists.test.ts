/** The account's list is bound to its volume: each has one of its own, which goes along when the volume moves. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeCap, parseVolume, type VolumeDescription } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { listKeysOn } from "../src/account/account.ts"
import { exportAccount, exportDevice, useAccountFile } from "../src/account/files.ts"
import { changeAccountList, readAccountList } from "../src/account/list.ts"
import { createAliasTree } from "../src/account/new-tree.ts"
import { syncAccount } from "../src/account/sync.ts"
import { pathsOf } from "../src/profile/paths.ts"
import { createProfile, openProfile, type Profile } from "../src/profile/profile.ts"
import { changeVolume, withPlaces } from "../src/volumes/change.ts"
import { claimPlaces } from "../src/volumes/marker.ts"
import { openVolumeSession, type Session } from "../src/volumes/session.ts"

/** A folder, a profile in it and a volume `one` over directories; more volumes by `add`. */
async function setUp(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-lists-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const laptop = await profileIn(join(folder, "laptop"))
  const volumeOn = async (name: string, id: string, places: readonly string[]): Promise<VolumeDescription> => {
    const backends = places.map((place) => ({ kind: "directory", id: place, path: join(folder, place) }))
    const coding = { k: 1, happy: 1, n: places.length }
    const volume = parseVolume({ version: 1, id: id.repeat(16), name, coding, registerMode: "crash", backends })
    await claimPlaces(volume.backends, volume.id)
    return volume
  }
  return { folder, laptop, volumeOn }
}

async function profileIn(home: string): Promise<Profile> {
  const paths = pathsOf({ HOME: home })
  await createProfile(paths, "default")
  return openProfile(paths, "default", () => Promise.reject(new Error("asked for a passphrase")))
}

/** Runs one command's worth of work: directories are open to one session at a time. */
async function within<T>(profile: Profile, name: string, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await openVolumeSession(profile, profile.volumes.get(name)!, {})
  return work(session).finally(() => session.close())
}

const rootsIn = (profile: Profile, name: string) =>
  within(profile, name, async (session) => [...(await readAccountList(session)).roots.keys()])

test("each of two volumes has a list and a history of its own, on every device of the account", async (t) => {
  const { folder, laptop, volumeOn } = await setUp(t)
  for (const [i, name] of ["one", "two"].entries())
    await laptop.setVolume(await volumeOn(name, `a${i}`, [`${name}-place`]))
  for (const alias of ["home", "photos", "music"])
    await within(laptop, "one", (session) => createAliasTree(session, alias))
  await within(laptop, "two", (session) => createAliasTree(session, "letters"))
  assert.deepEqual(await rootsIn(laptop, "one"), ["home", "music", "photos"])
  assert.deepEqual(await rootsIn(laptop, "two"), ["letters"])

  await exportAccount(laptop, join(folder, "laptop.account"))
  const phone = await profileIn(join(folder, "phone"))
  await useAccountFile(phone, join(folder, "laptop.account"), async () => undefined)
  for (const name of ["two", "one"]) await within(phone, name, syncAccount)
  assert.deepEqual([...phone.aliases.keys()].sort(), ["home", "letters", "music", "photos"])
  assert.equal(phone.volumeOf("letters"), "two")
  await within(phone, "two", (session) => createAliasTree(session, "poems"))
  await within(laptop, "two", syncAccount)
  assert.equal(laptop.volumeOf("poems"), "two")

  const registers = await Promise.all(
    ["one", "two"].map((name) =>
      within(laptop, name, async ({ storage }) => {
        const { publicKey } = await listKeysOn(await laptop.account(), storage)
        return Buffer.from(publicKey).toString("hex")
      }),
    ),
  )
  assert.notEqual(registers[0], registers[1])
})

test("a volume that moves to other places takes the account's list along", async (t) => {
  const { laptop, volumeOn, folder } = await setUp(t)
  await laptop.setVolume(await volumeOn("one", "a0", ["old"]))
  await within(laptop, "one", (session) => createAliasTree(session, "home"))
  await within(laptop, "one", (session) => changeAccountList(session, (list) => ({ ...list, keepMs: 3_600_000 })))
  const next = withPlaces(laptop.volumes.get("one")!, [{ kind: "directory", id: "new", path: join(folder, "new") }])
  await claimPlaces([next.backends[0]!], next.id)
  await changeVolume(laptop, next)
  const list = await within(laptop, "one", readAccountList)
  assert.deepEqual([[...list.roots.keys()], list.keepMs], [["home"], 3_600_000])
})

test("what other devices of the account listed moves too: their trees, and the lists of those that may only append", async (t) => {
  const { laptop, volumeOn, folder } = await setUp(t)
  await laptop.setVolume(await volumeOn("one", "a0", ["old"]))
  await within(laptop, "one", syncAccount)
  await exportAccount(laptop, join(folder, "laptop.account"))
  const phone = await profileIn(join(folder, "phone"))
  const agree = () => Promise.resolve()
  await useAccountFile(phone, join(folder, "laptop.account"), agree)
  await phone.setVolume(laptop.volumes.get("one")!)
  await within(phone, "one", (session) => createAliasTree(session, "photos"))
  const server = await profileIn(join(folder, "server"))
  await server.setVolume(laptop.volumes.get("one")!)
  const file = join(folder, "server.account")
  const device = { file, deviceKey: nodeCrypto.random(32), name: "server", epoch: 1 }
  const grant = await exportDevice(phone, await phone.account(), device)
  await within(phone, "one", (session) =>
    changeAccountList(session, (list) => ({ ...list, epoch: 1, grants: [...list.grants, grant] })),
  )
  await useAccountFile(server, file, agree)
  await within(server, "one", (session) => createAliasTree(session, "backups"))
  assert.deepEqual([...laptop.aliases.keys()], [], "the laptop has heard of neither")

  const next = withPlaces(laptop.volumes.get("one")!, [{ kind: "directory", id: "new", path: join(folder, "new") }])
  await claimPlaces([next.backends[0]!], next.id)
  await changeVolume(laptop, next)
  assert.deepEqual(await rootsIn(laptop, "one"), ["photos"])
  await server.setVolume(laptop.volumes.get("one")!)
  assert.deepEqual(await rootsIn(server, "one"), ["backups"])
  for (const [profile, alias] of [
    [laptop, "photos"],
    [server, "backups"],
  ] as const)
    await within(profile, "one", async (session) => {
      await syncAccount(session)
      const keys = await keysOfCap(nodeCrypto, decodeCap(profile.aliases.get(alias)!))
      assert.equal((await session.store.registers.read(keys))?.sequence, 1)
    })
})

test("what another profile listed as removed is told from a list that is not there", async (t) => {
  const { laptop, volumeOn } = await setUp(t)
  await laptop.setVolume(await volumeOn("one", "a0", ["old"]))
  await within(laptop, "one", (session) => createAliasTree(session, "home"))
  // As after places were lost with all they held, and described anew under another id.
  await laptop.removeVolume("one")
  await laptop.setVolume(await volumeOn("one", "a1", ["other"]))
  assert.deepEqual((await within(laptop, "one", syncAccount)).notes, [])
  assert.ok(laptop.aliases.has("home"))
  assert.deepEqual(await rootsIn(laptop, "one"), ["home"])
  await within(laptop, "one", (session) => changeAccountList(session, (list) => ({ ...list, roots: new Map() })))
  assert.equal((await within(laptop, "one", syncAccount)).notes.length, 1)
  assert.ok(!laptop.aliases.has("home"))
})

test("no second volume gets the id of one that the profile has, nor with it that one's list", async (t) => {
  const { laptop, volumeOn } = await setUp(t)
  await laptop.setVolume(await volumeOn("one", "a0", ["old"]))
  await assert.rejects(laptop.setVolume(await volumeOn("theirs", "a0", ["evil"])), { code: "ERR_ALREADY_EXISTS" })
  assert.deepEqual([...laptop.volumes.keys()], ["one"])
})
