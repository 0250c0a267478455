import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createClient } from "./client.ts"
import { type RunOptions, startGrid } from "./grid.ts"
import { makeOldKit } from "./old-kit.ts"

/** Folders for disks, and machines that come and go. */
async function setUp(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-recovery-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const machine = () => {
    const client = createClient()
    t.after(() => client.close())
    const run = async (args: readonly string[], options?: RunOptions) => {
      const { stdout, stderr } = await client.run(args, options)
      return stdout + stderr
    }
    return { home: client.folder, env: client.env, profiles: join(client.folder, "config/holdfast/profiles"), run }
  }
  const disks = [0, 1, 2, 3].map((i) => join(folder, `disk${i}`))
  const places = disks.map((disk) => `dir:${disk}`)
  const old = machine()
  await old.run(["volume", "create", "disks", "--coding", "2/3/4", "--backend", ...places])
  await old.run(["put", "-", "disks:letter"], { input: "Dear disks,\n" })
  return { folder, disks, places, old, machine }
}

/** The words that a new kit was given, as they are typed into a file. */
function wordsOf(printed: string): string {
  const [, words] = /^ {2}([a-z]+(?: [a-z]+){11})$/m.exec(printed) ?? []
  assert.ok(words, printed)
  return `${words}\n`
}

/** Options that read words or passphrase from standard input. */
const typed = ["--kit-passphrase-file", "-"]

/** The second reader opens the kit too, from the disks alone, and finds the capability. */
function readIndependently(t: TestContext, kit: { disks: readonly string[]; input: string; expected: string }): void {
  const reader = join(import.meta.dirname, "../interop/reader/holdfast_reader.py")
  const needed = "from cryptography.hazmat.primitives.kdf.argon2 import Argon2id"
  if (spawnSync("python3", ["-c", needed]).status !== 0) {
    t.diagnostic("python3-cryptography 44 is not installed")
    return
  }
  const data = kit.disks.flatMap((disk) => ["--data", disk])
  const { stdout, stderr } = spawnSync("python3", [reader, "kit", ...data], { encoding: "utf8", input: kit.input })
  const secrets = JSON.parse(stdout || `{"error":${JSON.stringify(stderr)}}`) as { aliases: Record<string, string> }
  assert.equal(secrets.aliases["disks"], kit.expected.trim(), stderr)
}

test("two of four places give a new machine everything that the lost one had", async (t) => {
  const { folder, disks, places, old, machine } = await setUp(t)
  await old.run(["alias", "create", "second"])
  assert.match(await old.run(["doctor"]), /no recovery kit yet/)
  const seen = await old.run(["seen", "export"])
  // What other versions keep beside what this one knows is carried too.
  const others = { accountSeed: "a5".repeat(32), laterSecret: "010203" }
  const secretsFile = (profiles: string) => join(profiles, "default/secrets.json")
  const secretsIn = (profiles: string) => JSON.parse(fs.readFileSync(secretsFile(profiles), "utf8")) as typeof others
  fs.writeFileSync(secretsFile(old.profiles), JSON.stringify({ ...secretsIn(old.profiles), ...others }))
  const made = await old.run(["recovery", "kit"])
  assert.match(made, /on 4 of the 4 places of disks: any 2 of them and the words restore this profile/)
  const input = wordsOf(made)
  readIndependently(t, { disks: disks.slice(2), input, expected: await old.run(["cap", "disks:"]) })
  fs.rmSync(old.home, { recursive: true })
  // One disk is mounted elsewhere now, and known by the part that it holds.
  fs.mkdirSync(join(folder, "mnt"))
  fs.renameSync(join(folder, "disk3"), join(folder, "mnt/usb"))

  const fresh = machine()
  const one = ["recovery", "restore", ...typed, "--backend", places[1]!]
  assert.match(await fresh.run(one, { code: 4, input }), /1 good part .* needs 2/)
  const chosen = [places[1]!, `dir:${join(folder, "mnt/usb")}`]
  const restored = await fresh.run(["recovery", "restore", ...typed, "--backend", ...chosen], { input })
  assert.equal(await fresh.run(["seen", "export"]), seen)
  const { accountSeed, laterSecret } = secretsIn(fresh.profiles)
  assert.deepEqual({ accountSeed, laterSecret }, others)
  assert.match(seen, /"values": ?\[\s*"[0-9a-f]{200}/)
  assert.match(restored, /The profile "default" is as it was on .*: 2 aliases, 1 volume/)
  assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
  await fresh.run(["put", "-", "disks:answer"], { input: "Dear owner,\n" })
  assert.equal(await fresh.run(["cat", "disks:answer"]), "Dear owner,\n")
  assert.match(await fresh.run(["volume", "test", "disks"]), /ok {3}directory .*mnt\/usb/)
  for (const name of fs.readdirSync(join(fresh.profiles, "default")))
    assert.equal(fs.statSync(join(fresh.profiles, "default", name)).mode & 0o077, 0, name)
  // The kit has the disk where it was before.
  assert.match(await fresh.run(["doctor"], { code: 1 }), /BAD {2}recovery kit: .* lacks what changed since/)
  assert.match(await fresh.run(["recovery", "kit"]), /and the words or passphrase of the kit before restore/)
  const next = machine()
  await next.run(["recovery", "restore", ...typed, "--backend", ...chosen], { input })
  for (const { run } of [fresh, next])
    assert.match(
      await run(["doctor"]),
      /recovery kit: main on disks of \d{4}-\d\d-\d\d restores what the profile has now/,
    )
})

test("when two of four places are gone for good, the other two give everything, and new ones make the volume whole", async (t) => {
  const { folder, disks, places, old, machine } = await setUp(t)
  const big = join(old.home, "big")
  fs.writeFileSync(big, randomBytes(3_000_000))
  await old.run(["put", big, "disks:"])
  const input = wordsOf(await old.run(["recovery", "kit"]))
  for (const lost of disks.slice(0, 2)) fs.rmSync(lost, { recursive: true })

  const fresh = machine()
  const restore = ["recovery", "restore", ...typed, "--backend", ...places.slice(2)]
  assert.match(
    await fresh.run(restore, { input }),
    /Using disks needs 3 of its places. When the others are lost: .* --only-named/,
  )
  await fresh.run(["cat", "disks:letter"], { code: 4 })
  const one = ["recovery", "restore", ...typed, "--only-named", "--backend", places[2]!]
  await fresh.run(one, { code: 4, input })
  const restored = await fresh.run([...restore, "--only-named"], { input })
  assert.match(restored, /disks lies on 2 places alone now/)
  assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
  await fresh.run(["put", "-", "disks:between"], { input: "on two disks\n" })

  const [added] = /volume add-backend .*/.exec(restored)!
  const added2 = added.replace("PLACE...", `dir:${join(folder, "new0")} dir:${join(folder, "new1")}`).split(" ")
  assert.match(await fresh.run(added2), /Volume disks: coding 2\/3\/4, byzantine, survives 1 lost, 1 lying/)
  await fresh.run(["check", "--deep", "--repair", "disks:"])
  await fresh.run(["put", "-", "disks:after"], { input: "on four disks\n" })
  fs.rmSync(disks[2]!, { recursive: true })
  await fresh.run(["get", "disks:big", "big"])
  assert.ok(fs.readFileSync(join(fresh.home, "big")).equals(fs.readFileSync(big)))
  assert.equal(await fresh.run(["cat", "disks:after"]), "on four disks\n")
})

test("a passphrase is needed and enough, is read alike from file and terminal, and leaves no trace", async (t) => {
  const { folder, disks, places, old, machine } = await setUp(t)
  const [pass, wrongPass, weak] = ["pass", "wrong", "weak"].map((name) => join(folder, `${name}.txt`))
  // A blank at its end is part of it, as it would be when it is typed; the line after it is not.
  fs.writeFileSync(pass!, "correct horse battery \r\nnot this\n", { mode: 0o600 })
  fs.writeFileSync(wrongPass!, "correct horse battery\n", { mode: 0o600 })
  fs.writeFileSync(weak!, "password2026\n", { mode: 0o600 })
  const kit = ["recovery", "kit", "--name", "safe", "--kit-passphrase-file"]
  assert.match(await old.run([...kit, weak!], { code: 2 }), /too weak for a recovery kit: about 10\^\d guesses/)
  const made = await old.run([...kit, pass!])
  assert.match(made, /any 2 of them and the passphrase restore/)
  const fresh = machine()
  const restore = ["recovery", "restore", "--name", "safe", "--backend", ...places.slice(0, 3)]
  assert.match(await fresh.run(restore, { code: 7 }), /no terminal .* --kit-passphrase-file FILE/)
  const wrong = await fresh.run([...restore, "--kit-passphrase-file", wrongPass!], { code: 3 })
  assert.match(wrong, /None of these places holds a part of the recovery kit "safe" for these words or this passphrase/)
  assert.ok(!fs.existsSync(join(fresh.profiles, "default")))
  const input = "correct horse battery \n"
  const restored = await fresh.run([...restore, ...typed], { input })
  assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
  for (const text of [made, wrong, restored]) assert.doesNotMatch(text, /hf:|horse/)
  for (const disk of disks)
    for (const entry of fs.readdirSync(disk, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) {
        const bytes = fs.readFileSync(join(entry.parentPath, entry.name))
        for (const secret of ["hf:", "horse", "convergence"]) assert.ok(!bytes.includes(secret), entry.name)
      }
})

test("an existing profile keeps its aliases unless it is told otherwise, and stays locked", async (t) => {
  const { folder, places, old, machine } = await setUp(t)
  const input = wordsOf(await old.run(["recovery", "kit"]))
  const other = machine()
  const own = ["dir:own0", "dir:own1", "dir:own2"]
  await other.run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...own])
  const lock = join(folder, "lock.txt")
  fs.writeFileSync(lock, "lock this profile\n", { mode: 0o600 })
  await other.run(["lock", "--passphrase-file", lock])
  const restore = ["recovery", "restore", ...typed, "--passphrase-file", lock, "--backend", ...places.slice(0, 2)]
  assert.match(
    await other.run(restore, { code: 1, input }),
    /has these already, and they are others: disks:, disks[.,]/,
  )
  await other.run([...restore, "--profile", "second"], { input })
  assert.equal(await other.run(["cat", "disks:letter", "--profile", "second"]), "Dear disks,\n")
  await other.run([...restore, "--overwrite"], { input })
  assert.equal(await other.run(["cat", "disks:letter", "--passphrase-file", lock]), "Dear disks,\n")
  const dir = join(other.profiles, "default")
  assert.deepEqual(fs.readdirSync(dir).toSorted(), ["recovery.json", "secrets.locked"])
})

test("test says which places hold a good part, and doctor when the kit no longer has everything", async (t) => {
  const { folder, places, old } = await setUp(t)
  const empty = await old.run(["recovery", "test"], { code: 4 })
  assert.match(empty, /There is no recovery kit main here that this profile can find/)
  const input = wordsOf(await old.run(["recovery", "kit"]))
  fs.renameSync(join(folder, "disk2"), join(folder, "unplugged"))
  const tested = await old.run(["recovery", "test"])
  assert.equal(tested.match(/^ok {3}disk\d-[0-9a-f]{8}: part \d of 4$/gm)?.length, 3)
  assert.match(tested, /^DOWN disk2-[0-9a-f]{8}: .*Is its disk mounted\?$/m)
  assert.match(tested, /Kit [0-9a-f]{16}: 3 good parts, 2 needed: restores, with its words or passphrase\./)
  // A kit of another name is not found by this one, but named.
  assert.match(await old.run(["recovery", "test", "--name", "laptop"], { code: 4 }), /made another: main on disks of/)
  fs.renameSync(join(folder, "disk3"), join(folder, "unplugged3"))
  const two = await old.run(["recovery", "kit"], { code: 4 })
  assert.match(two, /Only 2 of the 3 places needed answered, so nothing was changed/)
  assert.match(
    await old.run(["recovery", "test", ...typed, "--backend", ...places.slice(0, 2)], { input }),
    /2 good parts, 2 needed: restores/,
  )
  fs.renameSync(join(folder, "unplugged"), join(folder, "disk2"))
  fs.renameSync(join(folder, "unplugged3"), join(folder, "disk3"))

  assert.match(await old.run(["doctor"]), /ok {3}recovery kit: /)
  await old.run(["alias", "create", "later"])
  assert.match(
    await old.run(["doctor"], { code: 1 }),
    /BAD {2}recovery kit: main on disks of .* lacks what changed since/,
  )
  await old.run(["recovery", "kit"])
  assert.match(await old.run(["doctor"]), /ok {3}recovery kit: /)
})

test("kits of two profiles on the same places do not meet, and one passphrase for both is refused", async (t) => {
  const { folder, old, machine } = await setUp(t)
  await old.run(["recovery", "kit"])
  const friend = machine()
  await friend.run(["volume", "import"], { input: await old.run(["volume", "export", "disks"]) })
  await friend.run(["recovery", "kit"])
  for (const { run } of [old, friend]) assert.match(await run(["recovery", "test"]), /4 good parts, 2 needed: restores/)
  const pass = join(folder, "pass")
  fs.writeFileSync(pass, "one passphrase for the two of us\n", { mode: 0o600 })
  const kit = ["recovery", "kit", "--kit-passphrase-file", pass]
  await old.run(kit)
  assert.match(await friend.run(kit, { code: 1 }), /hold a recovery kit "main" that this profile did not make/)
  await friend.run([...kit, "--name", "friend"])
  await friend.run([...kit, "--replace"])
  await friend.run(kit)
})

test("new words make the old ones worthless on every place that answers, and the next kit reaches the others", async (t) => {
  const { folder, places, old, machine } = await setUp(t)
  const first = wordsOf(await old.run(["recovery", "kit"]))
  fs.renameSync(join(folder, "disk2"), join(folder, "unplugged"))
  const file = join(old.home, "words")
  const second = await old.run(["recovery", "kit", "--new-words", "--words-file", file])
  assert.match(second, /The kit before is erased on 3 places/)
  assert.match(second, /may still hold a part of a kit before:\n {2}disk2-[0-9a-f]{8}: .*Is its disk mounted/)
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.doesNotMatch(second, new RegExp(fs.readFileSync(file, "utf8").trim()))
  fs.renameSync(join(folder, "unplugged"), join(folder, "disk2"))
  assert.match(await old.run(["doctor"], { code: 1 }), /BAD {2}recovery kit: places may still hold parts .*\(disk2-/)
  const fresh = machine()
  const restore = ["recovery", "restore", ...typed, "--backend", ...places]
  await fresh.run(restore, { code: 4, input: first })
  await old.run(["recovery", "kit"])
  await fresh.run(restore, { code: 3, input: first })
  assert.match(await old.run(["doctor"]), /ok {3}recovery kit: /)
  await fresh.run(restore, { input: fs.readFileSync(file) })
  assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
})

test("a kit of the old kind restores for its owner, who is told, and the next one erases it", async (t) => {
  for (const passphrase of [undefined, "an old passphrase"]) {
    const { places, old, machine } = await setUp(t)
    await makeOldKit(old.env, passphrase)
    const told = /of the old kind/
    assert.match(await old.run(["doctor"], { code: 1 }), told)
    assert.match(await old.run(["recovery", "test"]), told)
    const fresh = machine()
    const restore = ["recovery", "restore", "--backend", ...places.slice(0, 2)]
    const open = passphrase === undefined ? ["--without-passphrase"] : typed
    assert.match(await fresh.run([...restore, ...open], { input: passphrase ?? "" }), told)
    assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
    if (passphrase === undefined)
      assert.match(
        await machine().run([...restore, ...typed], { input: "some words of mine", code: 6 }),
        /--without-passphrase/,
      )
    const made = await fresh.run(["recovery", "kit"])
    assert.match(made, /The kit before is erased on 4 places/)
    assert.match(await fresh.run(["doctor"]), /ok {3}recovery kit: main on disks/)
    await machine().run([...restore, ...open], { input: passphrase ?? "", code: 3 })
    await machine().run([...restore, ...typed], { input: wordsOf(made) })
  }
})

test("a kit without words is refused where one credential reads enough places", async (t) => {
  const { old } = await setUp(t)
  const refused = await old.run(["recovery", "kit", "--without-passphrase"], { code: 2 })
  assert.match(refused, /The 4 places of disks are in one hand: a single credential could read/)
})

test("on a grid the new machine joins first, then takes over what the lost one had, with two of five nodes gone", async (t) => {
  const grid = await startGrid()
  t.after(() => grid.close())
  await grid.run(["put", "-", "home:letter"], { input: "Dear nodes,\n" })
  const made = (await grid.run(["recovery", "kit"])).stdout
  assert.match(made, /on 5 of the 5 places of grid: any 3 of them and the words/)
  const coordinator = `${grid.folder}/data/holdfast/grid/coordinator`
  const { stdout } = await grid.run(["invite", "--dir", coordinator, "--tenant", "home"])
  const successor = createClient()
  t.after(() => successor.close())
  await successor.run(["join", "--name", "successor"], { input: stdout })
  await grid.kill("n1")
  await grid.kill("n2")
  await successor.run(["recovery", "restore", ...typed, "--volume", "grid"], { input: wordsOf(made) })
  assert.equal((await successor.run(["cat", "home:letter"])).stdout, "Dear nodes,\n")
})

test("a member of the tenant without a capability finds and opens no kit, and the owner of an old one is told", async (t) => {
  const grid = await startGrid({ nodes: 3, coding: "2/3/3" })
  t.after(() => grid.close())
  await grid.run(["put", "-", "home:letter"], { input: "Dear nodes,\n" })
  const coordinator = `${grid.folder}/data/holdfast/grid/coordinator`
  const { stdout } = await grid.run(["invite", "--dir", coordinator, "--tenant", "home"])
  const auditor = createClient()
  t.after(() => auditor.close())
  await auditor.run(["join", "--name", "aud"], { input: stdout })
  const open = ["recovery", "restore", "--volume", "grid", "--without-passphrase", "--profile", "default"]

  // What was so until now: the old kit gives the auditor everything.
  await makeOldKit(grid.env)
  const doctor = await grid.run(["doctor"], { code: 1 })
  assert.match(doctor.stdout, /BAD {2}recovery kit: main on grid of .* is of the old kind/)
  assert.match((await auditor.run(["recovery", "test"], { code: "any" })).stdout, /of the old kind is there/)

  const made = (await grid.run(["recovery", "kit"])).stdout
  assert.match(made, /The kit before is erased on 3 places/)
  const refused = await auditor.run(open, { code: 3 })
  assert.match(refused.stderr, /None of these places holds a part of a recovery kit "main" without words/)
  const guessed = ["recovery", "restore", "--volume", "grid", ...typed]
  const other = "abandon amount liar amount expire adjust cage candy arch gather drum buyer"
  for (const input of [other, "correct horse battery staple"]) await auditor.run(guessed, { input, code: 3 })
  await auditor.run(["recovery", "test"], { code: 4 })
  assert.equal((await auditor.json<{ alias: string }[]>(["alias", "list"])).length, 0)
  await auditor.run(guessed, { input: wordsOf(made) }) // with the words it is the owner
  assert.equal((await auditor.run(["cat", "home:letter"])).stdout, "Dear nodes,\n")
})

test("a volume that survives no loss has no kit, and says why", async (t) => {
  const { old } = await setUp(t)
  await old.run(["volume", "create", "pair", "--coding", "1/1/2", "--backend", "dir:pair0", "dir:pair1"])
  const refused = await old.run(["recovery", "kit", "--volume", "pair"], { code: 2 })
  assert.match(refused, /pair has 2 places: .* at least 3 places/)
})
