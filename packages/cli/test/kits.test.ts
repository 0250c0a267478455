/** Recovery kits lie in registers that no tree names: they are the account's too, and no collection takes them. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { goodParts, groupParts, keyOfKit, openKit, readParts } from "@holdfast/client/kits"
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { recoveryRegisterSeed } from "@holdfast/protocol"
import { exportAccount, useAccountFile } from "../../client/src/account/files.ts"
import { readAccountList } from "../../client/src/account/list.ts"
import { createAliasTree } from "../../client/src/account/new-tree.ts"
import { pathsOf, profileDir } from "../../client/src/profile/paths.ts"
import { readSecrets } from "../../client/src/profile/secrets.ts"
import { type MakeOptions, makeRecoveryKit } from "../../client/src/recovery/make.ts"
import { masterOf } from "../../client/src/recovery/protect.ts"
import { restoreProfile } from "../../client/src/recovery/restore.ts"
import { createDevice, type Device } from "../../client/test/devices.ts"
import { collectAccount } from "../src/account/collect.ts"

const day = 86_400_000

async function setUp(t: TestContext) {
  const clock = { aheadMs: 0 }
  const places = ["a", "b", "c", "d", "e"].map((id) =>
    createMemoryPlace(id, nodeCrypto, { nowMs: () => Date.now() + clock.aheadMs }),
  )
  const laptop = await createDevice(t, places)
  const collect = async (device: Device) => {
    clock.aheadMs += 40 * day
    return collectAccount(await device.open(), { graceMs: 0, dryRun: false, keep: [], warn: () => undefined })
  }
  return { laptop, collect, other: () => createDevice(t, places) }
}

const kitOptions = (more: Partial<MakeOptions> = {}): MakeOptions => ({
  ...{ name: "main", protection: { kind: "same" }, replace: false, nowMs: Date.now() },
  ...more,
})

/** The secrets of the kit that `words` open, from the places alone. */
async function opened(device: Device, words: string, name = "main") {
  const session = await device.open()
  const master = await masterOf(words, name)
  const [kit] = groupParts(goodParts(await readParts(session, recoveryRegisterSeed(master))))
  assert.ok(kit, "the places hold no part of the kit")
  const restored = await openKit(nodeCrypto, kit, { key: (await keyOfKit(kit))!, secret: { master } })
  return restored!.secrets
}

/** Another device of the account of `device`. */
async function joined(device: Device, other: Device): Promise<Device> {
  const file = join(device.folder, "whole.account")
  await exportAccount(device.profile, file)
  await useAccountFile(other.profile, file, async () => undefined)
  return other
}

test("a recovery kit restores after gc with its grace long over, whichever device of the account collects", async (t) => {
  const { laptop, collect, other } = await setUp(t)
  await createAliasTree(await laptop.open(), "home")
  const { words } = await makeRecoveryKit(await laptop.open(), kitOptions())
  const phone = await joined(laptop, await other())
  const phoneKit = await makeRecoveryKit(await phone.open(), kitOptions({ name: "phone" }))
  for (const device of [laptop, phone, laptop]) await collect(device)
  const secrets = await opened(laptop, words!)
  assert.deepEqual([...secrets.aliases], [...laptop.profile.aliases])
  assert.equal((await opened(phone, phoneKit.words!, "phone")).volume, "disks")
})

test("a kit of before kits were listed is listed by the next command that syncs, and kept by other devices", async (t) => {
  const { laptop, collect, other } = await setUp(t)
  const { words } = await makeRecoveryKit(await laptop.open(), kitOptions())
  const { changeKits, ownKits } = await import("../../client/src/account/kits.ts")
  const session = await laptop.open()
  await changeKits(session, { remove: await ownKits(laptop.profile, "disks") })
  await createAliasTree(session, "home")
  await collect(await joined(laptop, await other()))
  assert.equal((await opened(laptop, words!)).volume, "disks")
})

test("a kit that was replaced is out of the list once it is erased, and its register goes", async (t) => {
  const { laptop, collect } = await setUp(t)
  const first = await makeRecoveryKit(await laptop.open(), kitOptions())
  const second = await makeRecoveryKit(await laptop.open(), kitOptions({ protection: { kind: "new-words" } }))
  const session = await laptop.open()
  assert.equal((await readAccountList(session)).kits.length, 1)
  await collect(laptop)
  const before = await readParts(session, recoveryRegisterSeed(await masterOf(first.words!, "main")))
  assert.deepEqual([...new Set(before.map(({ state }) => state))], ["none"])
  assert.equal((await opened(laptop, second.words!)).volume, "disks")
})

test("kits and `account export` carry the keys that move volumes", async (t) => {
  const { laptop, other } = await setUp(t)
  const [id, seed] = ["00112233445566778899aabbccddeeff", new Uint8Array(nodeCrypto.random(32))]
  await laptop.profile.setVolumeKey(id, seed)
  const phone = await joined(laptop, await other())
  assert.deepEqual([...phone.profile.volumeKeys], [[id, seed]])
  const { words } = await makeRecoveryKit(await laptop.open(), kitOptions())
  const paths = pathsOf({ HOME: join(laptop.folder, "new") })
  const ask = () => Promise.reject(new Error("asked for a passphrase"))
  await restoreProfile(await opened(laptop, words!), { paths, profile: "default", ask, overwrite: false })
  const { secrets } = await readSecrets(profileDir(paths, "default"), ask)
  assert.deepEqual(secrets.volumeKeys, { [id]: toHex(seed) })
  assert.ok(!Object.keys(secrets).some((name) => name.startsWith("volumeKey0")))
})

test("an alias that the account does not own is none of its own after a recovery either", async (t) => {
  const { laptop } = await setUp(t)
  await createAliasTree(await laptop.open(), "home")
  await createAliasTree(await laptop.open(), "friend")
  const volume = laptop.profile.volumeOf("home")!
  await laptop.profile.setAlias("friend", laptop.profile.aliases.get("friend")!, { volume, state: "local" })
  const { words } = await makeRecoveryKit(await laptop.open(), kitOptions())
  const paths = pathsOf({ HOME: join(laptop.folder, "new") })
  const ask = () => Promise.reject(new Error("asked for a passphrase"))
  await restoreProfile(await opened(laptop, words!), { paths, profile: "default", ask, overwrite: false })
  const { secrets } = await readSecrets(profileDir(paths, "default"), ask)
  assert.deepEqual(Object.keys(secrets.aliases).sort(), ["friend", "home"])
  assert.deepEqual(secrets.aliasStates, { friend: "local" })
})
