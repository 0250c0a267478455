import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { encodeCap } from "@holdfast/protocol"
import { pathsOf, profileDir } from "../src/profile/paths.ts"
import { createProfile, openProfile } from "../src/profile/profile.ts"
import { changing, isLocked, lockSecrets, readSecrets, secretFiles, unlockSecrets } from "../src/profile/secrets.ts"

const capOf = () => encodeCap({ kind: "dw", seed: nodeCrypto.random(32) })
const noOne = () => Promise.reject(new Error("asked for a passphrase"))
const privateKey = "-----BEGIN PRIVATE KEY-----\nnot a real one\n-----END PRIVATE KEY-----\n"

async function setUp(t: TestContext) {
  const home = fs.mkdtempSync(join(tmpdir(), "holdfast-profile-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  const paths = pathsOf({ HOME: home })
  await createProfile(paths, "default")
  const dir = profileDir(paths, "default")
  fs.mkdirSync(join(dir, "identity"), { mode: 0o700 })
  fs.writeFileSync(secretFiles(dir).privateKey, privateKey, { mode: 0o600 })
  const open = (passphrase?: string) =>
    openProfile(paths, "default", passphrase === undefined ? noOne : async () => passphrase)
  const lock = (passphrase: string, before?: string) =>
    changing(dir, async () => lockSecrets(dir, await readSecrets(dir, async () => before!), passphrase))
  return { home, paths, dir, files: secretFiles(dir), open, lock }
}

/** Every file below `folder` with its text. */
function filesBelow(folder: string): Map<string, string> {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
  const paths = names.map((name) => join(folder, name)).filter((path) => fs.statSync(path).isFile())
  return new Map(paths.map((path) => [path, fs.readFileSync(path, "latin1")]))
}

test("folders follow the XDG variables, and HOME without them", () => {
  const env = { HOME: "/h", XDG_CONFIG_HOME: "/c", XDG_DATA_HOME: "/d", XDG_STATE_HOME: "/s", XDG_CACHE_HOME: "/k" }
  assert.deepEqual(pathsOf(env), {
    config: "/c/holdfast",
    data: "/d/holdfast",
    state: "/s/holdfast",
    cache: "/k/holdfast",
  })
  assert.deepEqual(pathsOf({ HOME: "/h", XDG_DATA_HOME: "" }), {
    config: "/h/.config/holdfast",
    data: "/h/.local/share/holdfast",
    state: "/h/.local/state/holdfast",
    cache: "/h/.cache/holdfast",
  })
})

test("a profile's name cannot lead out of the folder of profiles", () => {
  const paths = pathsOf({ HOME: "/h" })
  for (const name of ["", ".", "..", "../x", "a/b", "a b", "-a", "a".repeat(65), "a\n"])
    assert.throws(() => profileDir(paths, name), { code: "ERR_INVALID_ARGUMENT" }, name)
})

test("files of a new profile are 0600 and folders 0700 even under umask 0", async (t) => {
  const before = process.umask(0)
  t.after(() => process.umask(before))
  const { home, open } = await setUp(t)
  const profile = await open()
  await profile.setAlias("home", capOf())
  await profile.seen.update("aa".repeat(32), async () => ({ sequence: 3 }))
  await profile.device()
  for (const name of fs.readdirSync(home, { recursive: true, encoding: "utf8" })) {
    const stat = fs.statSync(join(home, name))
    assert.equal(stat.mode & 0o777, stat.isDirectory() ? 0o700 : 0o600, name)
  }
})

test("a secret that others may read is refused, with the command that closes it", async (t) => {
  const { dir, files, open } = await setUp(t)
  for (const path of [dir, files.plain, files.privateKey]) {
    const { mode } = fs.statSync(path)
    fs.chmodSync(path, mode | 0o040)
    await assert.rejects(
      open(),
      (error) => isHoldfastError(error, "ERR_EXPOSED") && error.message.includes(`chmod go= ${path}`),
    )
    fs.chmodSync(path, mode)
  }
  await open()
})

test("aliases that would be taken for something else are refused", async (t) => {
  const profile = await (await setUp(t)).open()
  for (const alias of ["", "hf", "a:b", "a/b", ".", "-x", "__proto__ ", "a b", "é"])
    await assert.rejects(profile.setAlias(alias, capOf()), { code: "ERR_INVALID_ARGUMENT" }, alias)
  await assert.rejects(profile.setAlias("good", "hf:dw:mistyped"), { code: "ERR_BAD_CAPABILITY" })
  assert.equal(profile.aliases.size, 0)
})

test("an alias that another command has forgotten meanwhile is forgotten, and no other goes with it", async (t) => {
  const { open } = await setUp(t)
  const [one, other] = [await open(), await open()]
  for (const alias of ["a", "b"]) await one.setAlias(alias, capOf(), { state: "listed" })
  const late = await open()
  await other.removeAlias("a")
  assert.ok(late.aliases.has("a"), "opened before")
  await late.removeAlias("a")
  assert.deepEqual([...late.aliases.keys()], ["b"])
  assert.deepEqual([...(await open()).aliases.keys()], ["b"])
})

test("two commands that add aliases at once lose none", async (t) => {
  const { open } = await setUp(t)
  const profiles = await Promise.all(Array.from({ length: 8 }, () => open()))
  await Promise.all(profiles.map((profile, i) => profile.setAlias(`a${i}`, capOf())))
  assert.deepEqual(
    [...(await open()).aliases.keys()].sort(),
    profiles.map((_, i) => `a${i}`),
  )
})

test("the lock of a command that was killed is taken over", async (t) => {
  const { open, files } = await setUp(t)
  fs.writeFileSync(files.changing, `${process.pid} 1`, { mode: 0o600 }) // this pid, but started at another time
  await (await open()).setAlias("home", capOf())
  assert.ok(!fs.existsSync(files.changing))
})

test("a damaged file is named, with what to do, and without what is in it", async (t) => {
  const { open, files } = await setUp(t)
  for (const text of ["", "{", '{"version":1}', '{"version":1,"convergenceSecret":"topsecret","aliases":{}}']) {
    fs.writeFileSync(files.plain, text)
    await assert.rejects(open(), (error) => {
      assert.ok(isHoldfastError(error, "ERR_BAD_FORMAT"))
      assert.match(error.message, /secrets\.json.*Restore it from a backup/)
      assert.ok(!`${error.stack}${JSON.stringify(error)}${error.cause}`.includes("topsecret"))
      return true
    })
  }
})

test("a locked profile holds the same secrets, and no file of it holds them readable", async (t) => {
  const { home, dir, open, lock } = await setUp(t)
  const cap = capOf()
  const before = await open()
  await before.setAlias("home", cap)
  await lock("correct horse")
  assert.ok(isLocked(dir))
  const after = await open("correct horse")
  assert.deepEqual([...after.aliases], [["home", cap]])
  assert.deepEqual(after.convergenceSecret, before.convergenceSecret)
  await after.setAlias("second", cap)
  assert.equal((await open("correct horse")).aliases.size, 2)
  const secrets = [cap, Buffer.from(before.convergenceSecret).toString("hex"), "PRIVATE KEY", "correct horse"]
  for (const [path, text] of filesBelow(home))
    for (const secret of secrets) assert.ok(!text.includes(secret), `${path} holds a secret`)
})

test("a wrong passphrase and a damaged locked file are told apart", async (t) => {
  const { files, open, lock } = await setUp(t)
  await lock("correct horse")
  await assert.rejects(open("wrong horse"), { code: "ERR_WRONG_PASSPHRASE" })
  const bytes = fs.readFileSync(files.locked)
  bytes[bytes.length - 40]! ^= 1
  fs.writeFileSync(files.locked, bytes)
  await assert.rejects(
    open("correct horse"),
    (error) => isHoldfastError(error, "ERR_BAD_FORMAT") && error.message.includes(files.locked),
  )
})

test("another passphrase replaces the first, and unlocking brings all back", async (t) => {
  const { dir, files, open, lock } = await setUp(t)
  await (await open()).setAlias("home", capOf())
  await lock("first one")
  await lock("second one", "first one")
  await assert.rejects(open("first one"), { code: "ERR_WRONG_PASSPHRASE" })
  await changing(dir, async () => unlockSecrets(dir, await readSecrets(dir, async () => "second one")))
  assert.equal((await open()).aliases.size, 1)
  assert.equal(fs.readFileSync(files.privateKey, "utf8"), privateKey)
  assert.equal(fs.statSync(files.privateKey).mode & 0o777, 0o600)
})

test("what an interrupted lock or unlock left readable is removed by the next command", async (t) => {
  const { files, open, lock } = await setUp(t)
  const plain = fs.readFileSync(files.plain)
  await lock("correct horse")
  const left = [files.plain, files.privateKey, `${files.plain}.0a0b0c.tmp`, `${files.privateKey}.0a0b0c.tmp`]
  for (const path of left) {
    fs.writeFileSync(path, plain, { mode: 0o600 })
    await open("correct horse")
    assert.ok(!fs.existsSync(path), path)
  }
})

test("what this process changes while it reads its profile anew is not forgotten", async (t) => {
  const { paths, dir, open, lock } = await setUp(t)
  let asked: (() => void) | undefined
  let type: ((passphrase: string) => void) | undefined
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  const profile = await openProfile(paths, "default", () => {
    asked!()
    return new Promise((resolve) => {
      type = resolve
    })
  })
  await lock("a long passphrase")
  const refreshed = profile.refresh()
  await isAsked // what is locked was read
  await changing(dir, async () => unlockSecrets(dir, await readSecrets(dir, async () => "a long passphrase")))
  const cap = capOf()
  await profile.setAlias("home", cap)
  type!("a long passphrase")
  await refreshed
  assert.equal(profile.aliases.get("home"), cap)
  assert.equal((await open()).aliases.get("home"), cap)
})
