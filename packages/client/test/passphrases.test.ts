/** What protects a new kit, and who waits for whoever types what opens a profile: each passphrase takes a second. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { pathsOf, profileDir } from "../src/profile/paths.ts"
import { changing, lockSecrets, readSecrets } from "../src/profile/secrets.ts"
import { chooseSecret } from "../src/recovery/protect.ts"
import { restoreProfile } from "../src/recovery/restore.ts"
import { secretsFor } from "./kit-fixture.ts"

const noOne = () => Promise.reject(new Error("asked for a passphrase"))
const passphrase = "correct horse battery staple"

test("whoever has to type a passphrase keeps nobody from changing the profile meanwhile", async (t) => {
  const home = fs.mkdtempSync(join(tmpdir(), "holdfast-restore-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  const paths = pathsOf({ HOME: home })
  const dir = profileDir(paths, "default")
  const restore = (ask: () => Promise<string>) =>
    restoreProfile(secretsFor(3), { paths, profile: "default", ask, overwrite: false })
  await restore(noOne)
  await changing(dir, async () => lockSecrets(dir, await readSecrets(dir, noOne), passphrase))
  let asked = 0
  await restore(async () => {
    asked++
    await changing(dir, async () => undefined)
    return passphrase
  })
  assert.equal(asked, 1)
})

test("a new kit has the words of the one before only when it may, and nothing without them only when asked", async () => {
  const before = { master: "ab".repeat(32) }
  const choose = (wish: Parameters<typeof chooseSecret>[0], known: { master?: string } = before) =>
    chooseSecret(wish, { name: "main", before: known })
  assert.deepEqual(await choose({ kind: "none" }), { kind: "none" })
  const same = await choose({ kind: "same" })
  assert.deepEqual([same.kind, toHex(same.master!), same.words], ["same", before.master, undefined])
  const fresh = await choose({ kind: "new-words" })
  assert.deepEqual([fresh.kind, fresh.words?.split(" ").length], ["words", 12])
  assert.notEqual(toHex(fresh.master!), before.master)
  assert.equal((await choose({ kind: "same" }, {})).kind, "words")
  const chosen = await choose({ kind: "passphrase", passphrase })
  assert.deepEqual([chosen.kind, chosen.words], ["passphrase", undefined])
  assert.notEqual(toHex(chosen.master!), before.master)
})
