/** Files of other users, met by a real one: what is not this user's is refused or told with whose it is, and never taken for absent. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { type TestContext, test } from "node:test"
import { createClient } from "./client.ts"

const [nobody, other] = [65_534, 1_234]
const missing =
  process.getuid?.() !== 0
    ? "needs root, to be other users"
    : fs.existsSync("/usr/bin/setpriv")
      ? undefined
      : "needs setpriv (util-linux)"

/** An unprivileged user with a volume on a directory. */
async function setUp(t: TestContext) {
  if (missing !== undefined) {
    t.skip(missing)
    return undefined
  }
  const via = ["setpriv", "--reuid", String(nobody), "--regid", String(nobody), "--clear-groups"]
  const client = createClient({ via })
  t.after(() => client.close())
  const { folder, run } = client
  const give = (path: string, uid: number) => execFileSync("chown", ["-R", `${uid}:${uid}`, `${folder}/${path}`])
  give("", nobody)
  await run(["volume", "create", "own", "--coding", "1/1/1", "--backend", `dir:${folder}/disk`])
  await run(["put", "-", "own:/file"], { input: "mine\n" })
  const sees = async () => assert.equal((await run(["cat", "own:/file"])).stdout, "mine\n")
  await sees()
  return { folder, run, give, sees }
}

test("a capability file of another user is refused, whatever its mode and by whatever way", async (t) => {
  const user = await setUp(t)
  if (!user) return
  const { folder, run, give } = user
  await run(["cap", "own:", "--out", "own.cap"])
  await run(["ls", "@file:own.cap"])
  fs.symlinkSync("own.cap", `${folder}/link.cap`)
  await run(["ls", "@file:link.cap"]) // root made it, who may read everything anyway
  fs.lchownSync(`${folder}/link.cap`, other, other)
  assert.match((await run(["ls", "@file:link.cap"], { code: 6 })).stderr, /Other users .* may read or replace/)
  give("own.cap", other)
  const closed = await run(["ls", "@file:own.cap"], { code: 1 })
  assert.match(closed.stderr, /own\.cap belongs to user 1234, and you are user 65534\..*as that user/)
  for (const mode of [0o644, 0o604, 0o606]) {
    fs.chmodSync(`${folder}/own.cap`, mode)
    assert.match((await run(["ls", "@file:own.cap"], { code: 6 })).stderr, /what another user owns, copy/)
  }
})

test("a profile in another user's folder is refused or told, and not taken for one that nobody made", async (t) => {
  const user = await setUp(t)
  if (!user) return
  const { folder, run, give, sees } = user
  const profile = "config/holdfast/profiles/default"
  give(profile, other)
  for (const args of [
    ["ls", "own:"],
    ["volume", "create", "more", "--coding", "1/1/1", "--backend", `dir:${folder}/more`],
  ])
    assert.match(
      (await run(args, { code: 1 })).stderr,
      /profiles\/default belongs to user 1234, and you are user 65534/,
    )
  execFileSync("chmod", ["-R", "a+rX", `${folder}/${profile}`])
  assert.match((await run(["ls", "own:"], { code: 6 })).stderr, /Other users .* may read or replace your secrets/)
  execFileSync("chmod", ["-R", "go=", `${folder}/${profile}`])
  give(profile, 0)
  const sudo = await run(["ls", "own:"], { code: 1 })
  assert.match(sudo.stderr, /profiles\/default belongs to root, .*sudo chown -R 65534 '.*profiles\/default'/)
  give(profile, nobody)
  await sees()
})

test("a directory whose index root made in a run with sudo is told as that, with what to do", async (t) => {
  const user = await setUp(t)
  if (!user) return
  const { folder, run, give, sees } = user
  for (const mode of [0o644, 0o600]) {
    give("disk/index.sqlite", 0)
    fs.chmodSync(`${folder}/disk/index.sqlite`, mode)
    for (const args of [
      ["ls", "own:"],
      ["rm", "own:/file"],
    ]) {
      const { stderr } = await run(args, { code: 4 })
      assert.match(stderr, /index\.sqlite belongs to root, .*sudo chown -R 65534 '.*\/disk\/index\.sqlite'/)
    }
    give("disk/index.sqlite", nobody)
    await sees()
  }
})
