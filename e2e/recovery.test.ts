import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createClient } from "./client.ts"
import { type RunOptions, startGrid } from "./grid.ts"

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
    return { home: client.folder, profiles: join(client.folder, "config/holdfast/profiles"), run }
  }
  const disks = [0, 1, 2, 3].map((i) => join(folder, `disk${i}`))
  const places = disks.map((disk) => `dir:${disk}`)
  const old = machine()
  await await old.run(["volume", "create", "disks", "--coding", "2/3/4", "--backend", ...places])
  await await old.run(["put", "-", "disks:letter"], { input: "Dear disks,\n" })
  return { folder, disks, places, old, machine }
}

test("two of four places give a new machine everything that the lost one had", async (t) => {
  const { folder, places, old, machine } = await setUp(t)
  await old.run(["alias", "create", "second"])
  assert.match(await old.run(["doctor"]), /no recovery kit yet/)
  const seen = await old.run(["seen", "export"])
  const made = await old.run(["recovery", "kit"])
  assert.match(made, /on 4 of the 4 places of disks: credentials to any 2 of them restore this profile/)
  assert.match(made, /Whoever controls 2 of these places can read it/)
  fs.rmSync(old.home, { recursive: true })
  // One disk is mounted elsewhere now, and known by the part that it holds.
  fs.mkdirSync(join(folder, "mnt"))
  fs.renameSync(join(folder, "disk3"), join(folder, "mnt/usb"))

  const fresh = machine()
  assert.match(await fresh.run(["recovery", "restore", "--backend", places[1]!], { code: 4 }), /1 good part .* needs 2/)
  const chosen = [places[1]!, `dir:${join(folder, "mnt/usb")}`]
  const restored = await fresh.run(["recovery", "restore", "--backend", ...chosen])
  assert.equal(await fresh.run(["seen", "export"]), seen)
  assert.match(seen, /"value": ?"[0-9a-f]{200}/)
  assert.match(restored, /The profile "default" is as it was on .*: 2 aliases, 1 volume/)
  assert.equal(await fresh.run(["cat", "disks:letter"]), "Dear disks,\n")
  await fresh.run(["put", "-", "disks:answer"], { input: "Dear owner,\n" })
  assert.equal(await fresh.run(["cat", "disks:answer"]), "Dear owner,\n")
  assert.match(await fresh.run(["volume", "test", "disks"]), /ok {3}directory .*mnt\/usb/)
  for (const name of fs.readdirSync(join(fresh.profiles, "default")))
    assert.equal(fs.statSync(join(fresh.profiles, "default", name)).mode & 0o077, 0, name)
  // The kit has the disk where it was before.
  assert.match(await fresh.run(["doctor"], { code: 1 }), /BAD {2}recovery kit: .* lacks what changed since/)
  await fresh.run(["recovery", "kit"])
  const next = machine()
  await next.run(["recovery", "restore", "--backend", ...chosen])
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
  await old.run(["recovery", "kit"])
  for (const lost of disks.slice(0, 2)) fs.rmSync(lost, { recursive: true })

  const fresh = machine()
  const restore = ["recovery", "restore", "--backend", ...places.slice(2)]
  assert.match(await fresh.run(restore), /Using disks needs 3 of its places. When the others are lost: .* --only-named/)
  await fresh.run(["cat", "disks:letter"], { code: 4 })
  const one = ["recovery", "restore", "--only-named", "--backend", places[2]!]
  await fresh.run(one, { code: 4 })
  const restored = await fresh.run([...restore, "--only-named"])
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

test("a passphrase is needed and enough, from a file, and leaves no trace in messages or files", async (t) => {
  const { folder, disks, places, old, machine } = await setUp(t)
  const [pass, wrongPass] = [join(folder, "pass.txt"), join(folder, "wrong.txt")]
  fs.writeFileSync(pass, "correct horse battery\n", { mode: 0o600 })
  fs.writeFileSync(wrongPass, "wrong horse battery\n", { mode: 0o600 })
  const made = await old.run(["recovery", "kit", "--name", "safe", "--kit-passphrase-file", pass])
  assert.match(made, /credentials to any 2 of them and the passphrase/)
  const fresh = machine()
  const restore = ["recovery", "restore", "--name", "safe", "--backend", ...places.slice(0, 3)]
  assert.match(await fresh.run(restore, { code: 7 }), /no terminal/)
  const wrong = await fresh.run([...restore, "--kit-passphrase-file", wrongPass], { code: 7 })
  assert.match(wrong, /not the passphrase of this recovery kit/)
  assert.ok(!fs.existsSync(join(fresh.profiles, "default")))
  const restored = await fresh.run([...restore, "--kit-passphrase-file", "-"], { input: "correct horse battery\n" })
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
  await old.run(["recovery", "kit"])
  const other = machine()
  const own = ["dir:own0", "dir:own1", "dir:own2"]
  await other.run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...own])
  const lock = join(folder, "lock.txt")
  fs.writeFileSync(lock, "lock this profile\n", { mode: 0o600 })
  await other.run(["lock", "--passphrase-file", lock])
  const restore = ["recovery", "restore", "--passphrase-file", lock, "--backend", ...places.slice(0, 2)]
  assert.match(await other.run(restore, { code: 1 }), /has these already, and they are others: disks:, disks\./)
  await other.run([...restore, "--profile", "second", "--passphrase-file", lock])
  assert.equal(await other.run(["cat", "disks:letter", "--profile", "second"]), "Dear disks,\n")
  await other.run([...restore, "--overwrite"])
  assert.equal(await other.run(["cat", "disks:letter", "--passphrase-file", lock]), "Dear disks,\n")
  const dir = join(other.profiles, "default")
  assert.deepEqual(fs.readdirSync(dir).toSorted(), ["recovery.json", "secrets.locked"])
})

test("test says which places hold a good part, and doctor when the kit no longer has everything", async (t) => {
  const { folder, places, old } = await setUp(t)
  const empty = await old.run(["recovery", "test"], { code: 4 })
  assert.match(empty, /There is no recovery kit main here/)
  await old.run(["recovery", "kit"])
  fs.renameSync(join(folder, "disk2"), join(folder, "unplugged"))
  const tested = await old.run(["recovery", "test"])
  assert.equal(tested.match(/^ok {3}disk\d-[0-9a-f]{8}: part \d of 4$/gm)?.length, 3)
  assert.match(tested, /^DOWN disk2-[0-9a-f]{8}: .*Is its disk mounted\?$/m)
  assert.match(tested, /Kit [0-9a-f]{16}: 3 good parts, 2 needed: restores\./)
  fs.renameSync(join(folder, "disk3"), join(folder, "unplugged3"))
  const two = await old.run(["recovery", "kit"], { code: 4 })
  assert.match(two, /Only 2 of the 3 places needed answered, so nothing was changed/)
  assert.match(
    await old.run(["recovery", "test", "--backend", ...places.slice(0, 2)]),
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

test("a kit that another profile made on the same places is not replaced unasked", async (t) => {
  const { old, machine } = await setUp(t)
  await old.run(["recovery", "kit"])
  const friend = machine()
  await friend.run(["volume", "import"], { input: await old.run(["volume", "export", "disks"]) })
  const refused = await friend.run(["recovery", "kit"], { code: 1 })
  assert.match(refused, /hold a recovery kit "main" that this profile did not make/)
  await friend.run(["recovery", "kit", "--name", "friend"])
  await friend.run(["recovery", "kit", "--replace"])
  await friend.run(["recovery", "kit"])
})

test("on a grid the new machine joins first, then takes over what the lost one had, with two of five nodes gone", async (t) => {
  const grid = await startGrid({ isBuilt: true })
  t.after(() => grid.close())
  await grid.run(["put", "-", "home:letter"], { input: "Dear nodes,\n" })
  assert.match((await grid.run(["recovery", "kit"])).stdout, /on 5 of the 5 places of grid: credentials to any 3/)
  const coordinator = `${grid.folder}/data/holdfast/grid/coordinator`
  const { stdout } = await grid.run(["invite", "--dir", coordinator, "--tenant", "home"])
  const successor = createClient()
  t.after(() => successor.close())
  await successor.run(["join", "--name", "successor"], { input: stdout })
  await grid.kill("n1")
  await grid.kill("n2")
  await successor.run(["recovery", "restore", "--volume", "grid"])
  assert.equal((await successor.run(["cat", "home:letter"])).stdout, "Dear nodes,\n")
})

test("a volume that survives no loss has no kit, and says why", async (t) => {
  const { old } = await setUp(t)
  await old.run(["volume", "create", "pair", "--coding", "1/1/2", "--backend", "dir:pair0", "dir:pair1"])
  const refused = await old.run(["recovery", "kit", "--volume", "pair"], { code: 2 })
  assert.match(refused, /pair has 2 places: .* at least 3 places/)
})
