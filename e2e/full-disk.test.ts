/**
 * Disks without a byte left, real ones: what was acknowledged stays and is read, what cannot be stored says why and what to do, and
 * what is removed and collected makes room. Filled by our own data up to the reserve, and by others to the last byte.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { type TestContext, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { type Client, createClient } from "./client.ts"
import { startMembers } from "./members.ts"
import { makeClock, missingForClocks } from "./soak/clock.ts"

const kept = "stored before anything was full\n"

const mounted: string[] = []

/** Before what they lie in is removed: hooks run in the order in which they were given. */
function unmount(): void {
  for (const folder of mounted.splice(0)) execFileSync("umount", ["-l", folder])
}

/** A file system of `size` at each of `folders`; undefined where this user can make none. */
function littleDisks(t: TestContext, size: string, folders: readonly string[]): readonly string[] | undefined {
  for (const folder of folders) {
    fs.mkdirSync(folder, { recursive: true })
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder], { stdio: "ignore" })
    } catch {
      t.skip("only root can mount a small file system")
      return undefined
    }
    mounted.push(folder)
  }
  return folders
}

/** What somebody else has there takes all that is left. */
function fill(folder: string): void {
  assert.throws(() => fs.writeFileSync(`${folder}/foreign`, Buffer.alloc(64_000_000)), { code: "ENOSPC" })
}

function empty(folder: string): void {
  fs.rmSync(`${folder}/foreign`)
}

test("nodes on disks without a byte left start and are read, refuse the rest as full, and go on when there is room", async (t) => {
  const members = await startMembers()
  t.after(async () => {
    await members.close({ keep: true })
    unmount()
    fs.rmSync(members.folder, { recursive: true })
  })
  const data = members.nodes.map(members.dataOf)
  await members.run(["put", "-", "home:/kept"], { input: kept })
  await Promise.all(members.nodes.map((name) => members.kill(name)))
  for (const folder of data) fs.renameSync(folder, `${folder}.before`)
  if (!littleDisks(t, "8m", data)) return
  for (const folder of data) fs.cpSync(`${folder}.before`, folder, { recursive: true })
  await Promise.all(members.nodes.map((name) => members.revive(name)))
  await members.run(["put", "-", "home:/large"], { input: randomBytes(3_000_000) })
  data.forEach(fill)
  for (const isAgain of [false, true]) {
    if (isAgain) await Promise.all(members.nodes.map((name) => members.kill(name).then(() => members.revive(name))))
    assert.equal((await members.run(["cat", "home:/kept"])).stdout, kept)
    for (const command of [["put", "-", "home:/more"], ["mkdir", "home:/more"], ["rm", "home:/large"], ["gc"]]) {
      const { stderr } = await members.run(command, { input: "more", code: 4 })
      assert.match(stderr, /no space left|disk is full/, command.join(" "))
      assert.match(stderr, /free space/i, command.join(" "))
      assert.doesNotMatch(stderr, /looks like a bug/)
    }
  }
  data.forEach(empty)
  await delay(600) // until nodes look at their disks again
  await members.run(["rm", "home:/large"])
  await members.run(["put", "-", "home:/more"], { input: "more" })
  await members.run(["gc"])
  await members.run(["check", "--deep", "--verify", "home:"])
  assert.equal((await members.run(["cat", "home:/more"])).stdout, "more")
})

/** A volume over three small disks, with the alias `home:`. */
async function volume(t: TestContext, client: Client): Promise<readonly string[] | undefined> {
  const disks = littleDisks(
    t,
    "8m",
    ["d1", "d2", "d3"].map((name) => `${client.folder}/${name}`),
  )
  if (!disks) return undefined
  const places = disks.map((disk) => `dir:${disk}`)
  await client.run(["volume", "create", "disks", "--coding", "2/2/3", "--backend", ...places])
  await client.run(["alias", "create", "home"])
  await client.run(["put", "-", "home:/kept"], { input: kept })
  return disks
}

/** Puts files until there is no room for another; gives their number. */
async function putAll(client: Client): Promise<number> {
  for (let count = 0; ; count++) {
    const { code, stderr } = await client.run(["put", "-", `home:/f${count}`], {
      input: randomBytes(2_400_000),
      code: "any",
    })
    if (code === 0) continue
    assert.equal(code, 4, stderr)
    assert.match(stderr, /no space left.*[Ff]ree space/s)
    return count
  }
}

test("directories that are full of their own data are read, and what is removed and collected makes room again", async (t) => {
  if (missingForClocks !== undefined) return t.skip(`needs ${missingForClocks}`)
  const folder = fs.mkdtempSync("/tmp/holdfast-clock-")
  const clock = makeClock(`${folder}/clock`)
  const client = createClient({ moreEnv: clock.env })
  t.after(() => {
    unmount()
    client.close()
    fs.rmSync(folder, { recursive: true })
  })
  if (!(await volume(t, client))) return
  const count = await putAll(client)
  assert.ok(count >= 2, `${count} files`)
  assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
  await client.run(["keep", "none"])
  for (let i = 0; i < count; i++) await client.run(["rm", `home:/f${i}`])
  clock.advance(25 * 3_600)
  const gone = await client.json<{ shares: number }>(["gc"])
  assert.ok(gone.shares >= 3 * count, `only ${gone.shares} shares of ${count} files went`)
  assert.ok((await putAll(client)) >= count - 1)
  await client.run(["check", "--deep", "--verify", "home:"])
  assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
})

test("directories on disks that others filled to the last byte are read, refuse the rest, and lose nothing", async (t) => {
  const client = createClient()
  t.after(() => {
    unmount()
    client.close()
  })
  const disks = await volume(t, client)
  if (!disks) return
  disks.forEach(fill)
  assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
  await client.run(["check", "--deep", "home:"])
  for (const command of [["mkdir", "home:/d"], ["rm", "home:/kept"], ["put", "-", "home:/more"], ["gc"]]) {
    const { stderr } = await client.run(command, { input: "more", code: 4 })
    assert.match(stderr, /no space left|disk is full/, command.join(" "))
    assert.match(stderr, /free space/i, command.join(" "))
  }
  disks.forEach(empty)
  await client.run(["put", "-", "home:/more"], { input: "more" })
  await client.run(["check", "--deep", "--verify", "home:"])
  assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
})

test("a full disk under a part of the profile ends commands as that, says where, and spoils nothing", async (t) => {
  const client = createClient()
  t.after(() => {
    unmount()
    client.close()
  })
  const parts = ["config", "data", "state", "cache"].map((name) => `${client.folder}/${name}`)
  if (!littleDisks(t, "2m", parts)) return
  if (!(await volume(t, client))) return
  for (const [i, part] of parts.entries()) {
    fill(part)
    assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
    const commands = [
      ["alias", "create", `t${i}`],
      ["put", "-", `home:/more${i}`],
      ["gc"],
      ["cap", "home:", "--out", `${part}/x.cap`],
    ]
    for (const command of commands) {
      const { code, stderr } = await client.run(command, { input: "more", code: "any" })
      if (code === 0) continue
      assert.equal(code, 1, `${command.join(" ")}: ${stderr}`)
      assert.match(stderr, /disk is full.*[Ff]ree some space/, command.join(" "))
      assert.ok(stderr.includes(part), `${command.join(" ")}: ${stderr}`)
    }
    assert.ok(!fs.existsSync(`${part}/x.cap`), "no part of a capability is left")
    empty(part)
    const startMs = performance.now()
    await client.run(["alias", "create", `again${i}`]) // waits for nobody who is gone
    assert.ok(performance.now() - startMs < 8_000)
    await client.run(["put", "-", `home:/again${i}`], { input: "again" })
    assert.equal((await client.run(["cat", "home:/kept"])).stdout, kept)
  }
})
