/** What a restored kit changes in a profile, what it leaves, and when it is refused. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { encodeCap, type RecoverySecrets, type VolumeBackend } from "@holdfast/protocol"
import { pathsOf, profileDir } from "../src/profile/paths.ts"
import { createProfile, openProfile } from "../src/profile/profile.ts"
import { readSecrets } from "../src/profile/secrets.ts"
import { partiesOf, thresholdOf } from "../src/recovery/parties.ts"
import { restoreProfile } from "../src/recovery/restore.ts"
import { normalSecret } from "../src/recovery/words.ts"
import { volumeOver } from "./devices.ts"
import { secretsFor } from "./kit-fixture.ts"

const noOne = () => Promise.reject(new Error("asked for a passphrase"))
const capOf = () => encodeCap({ kind: "dw", seed: new Uint8Array(crypto.random(32)) })
const disks = volumeOver(["a", "b", "c", "d", "e"].map((id) => ({ id, backendOf: noOne as never })))

function setUp(t: TestContext) {
  const home = fs.mkdtempSync(join(tmpdir(), "holdfast-restore-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  const paths = pathsOf({ HOME: home })
  const dir = profileDir(paths, "default")
  const restore = (secrets: RecoverySecrets, more: { overwrite?: boolean } = {}) =>
    restoreProfile(secrets, { paths, profile: "default", ask: noOne, overwrite: false, ...more })
  const read = async () => (await readSecrets(dir, noOne)).secrets
  return { paths, restore, read }
}

const kitOf = (more: Partial<RecoverySecrets> = {}): RecoverySecrets => ({
  ...secretsFor(5),
  ...{ aliases: new Map([["home", capOf()]]), volumes: [disks] },
  others: new Map([["accountSeed", new Uint8Array(crypto.random(32))]]),
  ...more,
})

test("a kit is restored into a profile that has nothing yet, again into that one, and beside what is new there", async (t) => {
  const { paths, restore, read } = setUp(t)
  await createProfile(paths, "default")
  await (await openProfile(paths, "default", noOne)).account() // makes a seed of its own
  const kit = kitOf()
  await restore(kit)
  const once = await read()
  assert.equal(once.accountSeed, toHex(kit.others.get("accountSeed")!))
  assert.deepEqual(once.aliases, Object.fromEntries(kit.aliases))
  assert.deepEqual(Object.keys(once.volumes ?? {}), ["disks"])
  await restore(kit)
  assert.deepEqual(await read(), once)
  const more = kitOf({ ...kit, aliases: new Map([["work", capOf()]]), volumes: [{ ...disks, name: "more" }] })
  await restore(more)
  const both = await read()
  assert.deepEqual(
    [Object.keys(both.aliases), Object.keys(both.volumes ?? {})],
    [
      ["home", "work"],
      ["disks", "more"],
    ],
  )
})

test("an alias, a volume or an account of the profile's own is replaced only when that is said", async (t) => {
  const { restore, read } = setUp(t)
  const kit = kitOf()
  await restore(kit)
  const before = await read()
  const others: readonly (readonly [Partial<RecoverySecrets>, RegExp])[] = [
    [{ aliases: new Map([["home", capOf()]]) }, /others: home:\. /],
    [{ volumes: [{ ...disks, id: "f".repeat(32) }] }, /others: disks\. /],
    [{ others: new Map([["accountSeed", new Uint8Array(crypto.random(32))]]) }, /the profile's accountSeed/],
  ]
  for (const [change, message] of others) {
    await assert.rejects(restore({ ...kit, ...change }), { code: "ERR_ALREADY_EXISTS", message })
    assert.deepEqual(await read(), before)
  }
  await restore({ ...kit, ...others[0]![0] }, { overwrite: true })
  assert.notDeepEqual((await read()).aliases, before.aliases)
  await restore({ ...kit, ...others[0]![0], others: new Map([["ownerSecret", crypto.random(32)]]) })
})

test("what is typed counts as words only when it is mostly words of the list, and ten of them or more", async () => {
  const words = "abandon amount liar amount expire adjust cage candy arch gather drum buyer"
  for (const typed of [` ${words}\n`, `,${words},`, ` 1) ${words.replace(" ", " 2. ")}`])
    assert.equal(await normalSecret(typed), words)
  for (const text of [
    "abandon amount liar",
    "Candy  Cage",
    "zwölf Wörter die auf keiner Liste stehen sind auch ein guter Satz",
  ])
    assert.equal(await normalSecret(text), text)
  const misspelt = words.replace("expire", "expyre")
  await assert.rejects(normalSecret(misspelt), { code: "ERR_WRONG_PASSPHRASE", message: /word 5 is not on the list/ })
})

test("places count as one party when one credential, service, machine or grid opens them", async () => {
  const bucket = (id: string, credentials: string, endpoint?: string): VolumeBackend => ({
    ...{ kind: "s3", id, bucket: id, prefix: "", region: "r", pathStyle: true, conditionalWrites: true, credentials },
    ...(endpoint !== undefined && { endpoint }),
  })
  const node = (id: string): VolumeBackend => ({ kind: "node", id, name: id })
  const directory = (id: string): VolumeBackend => ({ kind: "directory", id, path: `/${id}` })
  const parties = (...places: VolumeBackend[]) => {
    const volumes = new Map([["disks", { ...disks, backends: places }]])
    return partiesOf({ volume: "disks", profile: { volumes }, backends: [] })
  }
  const aws = bucket("aws", "/none/a")
  const own = bucket("own", "/none/b", "https://s3.example.org")
  assert.deepEqual(await parties(aws, own, node("n"), directory("d")), [1, 1, 1, 1])
  assert.deepEqual(await parties(aws, node("n"), node("m"), directory("d"), directory("e")), [2, 2, 1])
  assert.deepEqual(await parties(aws, bucket("b", "/none/c")), [2], "of one service")
  assert.deepEqual(await parties(own, bucket("b", "/none/b", "https://other.example.org")), [2], "of one key")
  const grid = { volume: "grid", profile: { volumes: new Map() }, backends: Array.from({ length: 5 }) as never }
  assert.deepEqual(await partiesOf(grid), [5])
  const crash = { ...grid, registerMode: "crash" as const }
  assert.equal((await thresholdOf(crash, true)).threshold, 3)
  await assert.rejects(thresholdOf(crash, false), { code: "ERR_INVALID_ARGUMENT", message: /in one hand/ })
  const two = { ...crash, backends: Array.from({ length: 2 }) as never }
  await assert.rejects(thresholdOf(two, true), { code: "ERR_INVALID_ARGUMENT", message: /has 2 places/ })
})
