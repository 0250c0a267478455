/** What faults of others get: a clear error that says what, where and what to do, and what was stored stays readable. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import { after, before, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { finish } from "./grid.ts"
import { type Members, startMembers } from "./members.ts"
import { makeClock, missingForClocks } from "./soak/clock.ts"

const kept = "stored before anything went wrong\n"
let members: Members

before(async () => {
  members = await startMembers()
  await members.run(["put", "-", "home:/kept"], { input: kept })
})
after(async () => {
  await members?.close()
})

async function assertKept(): Promise<void> {
  assert.equal((await members.run(["cat", "home:/kept"])).stdout, kept)
}

/** Starts nodes again with other options, and as they were when `work` is done. */
async function withNodes(names: readonly string[], options: readonly string[], work: () => Promise<void>) {
  const restart = (more: readonly string[]) =>
    Promise.all(
      names.map(async (name) => {
        await members.kill(name)
        await members.revive(name, more)
      }),
    )
  await restart(options)
  try {
    await work()
  } finally {
    await restart([])
  }
}

test("full nodes are named, one is done without, and what was stored stays readable", async () => {
  const reserve = ["--reserve", String(2 ** 50)]
  await withNodes(["n1"], reserve, async () => {
    await members.run(["put", "-", "home:/one-full"], { input: randomBytes(50_000) })
  })
  await withNodes(["n1", "n2"], reserve, async () => {
    const ended = await members.run(["put", "-", "home:/two-full"], { input: randomBytes(50_000), code: 4 })
    assert.match(ended.stderr, /Only 3 of the 4 servers/)
    assert.match(ended.stderr, /no space left/)
    assert.match(ended.stderr, /[Ff]ree space|add servers/)
    await assertKept()
  })
  await members.run(["put", "-", "home:/two-full"], { input: randomBytes(50_000) })
})

test("a node that hangs is waited for a little, and then done without", async () => {
  members.signal("n3", "SIGSTOP")
  try {
    await assertKept()
    await members.run(["put", "-", "home:/while-one-hangs"], { input: "written\n" })
    assert.equal((await members.run(["cat", "home:/while-one-hangs"])).stdout, "written\n")
  } finally {
    members.signal("n3", "SIGCONT")
  }
})

test("a quota that is used up is told apart from a full disk", async () => {
  await withNodes(members.nodes, ["--quota", "1000000"], async () => {
    const ended = await members.run(["put", "-", "home:/too-much"], { input: randomBytes(9_000_000), code: 6 })
    assert.match(ended.stderr, /quota of 1000000 bytes/)
    assert.match(ended.stderr, /[Rr]emove|[Aa]sk/)
    await assertKept()
  })
})

test("what was filled up to the quota can be removed and collected, and then there is room again", async (t) => {
  if (missingForClocks !== undefined) return t.skip(`needs ${missingForClocks}`)
  const folder = fs.mkdtempSync(`${os.tmpdir()}/holdfast-clock-`)
  const clock = makeClock(`${folder}/clock`)
  const grid = await startMembers({ nodeEnv: () => clock.env })
  t.after(async () => {
    await grid.close()
    fs.rmSync(folder, { recursive: true })
  })
  const put = async (name: string, sizeBytes: number, code = 0) =>
    grid.run(["put", "-", `home:/${name}`], { input: randomBytes(sizeBytes), code })
  for (const name of ["one", "two", "three"]) await put(name, 400_000)
  await grid.run(["snapshot", "create", "home:", "first"])
  // What they hold is more than the quota now: nothing of what follows fits below it.
  await Promise.all(
    grid.nodes.map(async (name) => {
      await grid.kill(name)
      await grid.revive(name, ["--quota", "300000"])
    }),
  )
  await put("too-much", 400_000, 6)
  await grid.run(["mkdir", "home:/folder"], { code: 6 })
  for (const name of ["one", "two", "three"]) await grid.run(["rm", `home:/${name}`])
  await grid.run(["snapshot", "remove", "home:", "first"])
  await grid.run(["keep", "none"])
  await grid.run(["gc"])
  await put("too-much", 400_000, 6)
  clock.advance(25 * 3_600)
  await delay(2_000) // until nodes notice
  const gone = JSON.parse((await grid.run(["gc", "--json"])).stdout)
  assert.ok(gone.shares >= 15, `only ${gone.shares} shares went`)
  await put("after", 400_000)
})

test("a node with a certificate of another grid is refused by name, and reading goes on without it", async () => {
  const other = await startMembers()
  try {
    const [own, foreign] = [`${members.folder}/n1/identity`, `${other.folder}/n1/identity`]
    fs.renameSync(own, `${own}.own`)
    fs.cpSync(foreign, own, { recursive: true })
    await withNodes(["n1"], [], assertKept)
    const health = await finish(members.start(["check", "--deep", "home:"]))
    assert.match(health.stdout + health.stderr, /did not prove to belong to this grid/)
    fs.rmSync(own, { recursive: true })
    fs.renameSync(`${own}.own`, own)
    await members.kill("n1")
    await members.revive("n1")

    const identity = (folder: string) => `${folder}/config/holdfast/profiles/default/identity`
    fs.renameSync(identity(members.folder), `${members.folder}/identity.own`)
    fs.cpSync(identity(other.folder), identity(members.folder), { recursive: true })
    for (const name of fs.readdirSync(`${members.folder}/identity.own`))
      if (/^(ca|grid|member)/.test(name))
        fs.copyFileSync(`${members.folder}/identity.own/${name}`, `${identity(members.folder)}/${name}`)
    const refused = await finish(members.start(["ls", "home:"]))
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /certificate/)
    fs.rmSync(identity(members.folder), { recursive: true })
    fs.renameSync(`${members.folder}/identity.own`, identity(members.folder))
    await assertKept()
  } finally {
    await other.close()
  }
})

test("an invitation that is used, expired, damaged or not one says which", async () => {
  const join = async (file: string) =>
    (await members.run(["join", "--invite-file", file, "--profile", "p"], { code: 6 })).stderr
  const expired = await members.invite("late", "--role", "client", "--tenant", "bob", "--ttl", "1")
  const used = await members.invite("used", "--role", "client", "--tenant", "bob")
  await members.run(["join", "--invite-file", used, "--profile", "first", "--name", "first"])
  assert.match(await join(used), /used/)
  await delay(1100) // an invitation lives a second at least
  assert.match(await join(expired), /ended on/)
  const text = fs.readFileSync(expired, "utf8").trim()
  fs.writeFileSync(`${members.folder}/cut.invite`, text.slice(0, -3), { mode: 0o600 })
  assert.match(await join(`${members.folder}/cut.invite`), /invitation/)
  fs.writeFileSync(`${members.folder}/no.invite`, "hello\n", { mode: 0o600 })
  const nothing = await join(`${members.folder}/no.invite`)
  assert.match(nothing, /invitation/)
  assert.ok(!nothing.includes(text.slice(20)), "an error must not show an invitation")
})

test("a file system that fills up on this side ends a get with nothing half-written", async (t) => {
  const folder = `${members.folder}/little`
  fs.mkdirSync(folder)
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" })
  } catch {
    return t.skip("only root can mount a file system of 1 MiB")
  }
  try {
    await members.run(["put", "-", "home:/large"], { input: randomBytes(6_000_000) })
    fs.writeFileSync(`${folder}/large`, "what was here before")
    const ended = await members.run(["get", "home:/large", `${folder}/large`], { code: 1 })
    assert.match(ended.stderr, /local disk is full: .*large.*Free some space/s)
    assert.deepEqual(fs.readdirSync(folder), ["large"])
    assert.equal(fs.readFileSync(`${folder}/large`, "utf8"), "what was here before")
  } finally {
    execFileSync("umount", [folder])
  }
})

test("a reader that goes away and Ctrl-C end a command without harm", async () => {
  await members.run(["put", "-", "home:/long"], { input: randomBytes(9_000_000) })
  const cat = members.start(["cat", "home:/long"])
  cat.stdout!.once("data", () => cat.stdout!.destroy())
  const ended = await new Promise<{ code: number | null; stderr: string }>((resolve) => {
    let stderr = ""
    cat.stderr!.on("data", (piece: Buffer) => {
      stderr += piece.toString()
    })
    cat.once("close", (code) => resolve({ code, stderr }))
  })
  assert.deepEqual(ended, { code: 0, stderr: "" })

  fs.writeFileSync(`${members.folder}/big`, randomBytes(60_000_000))
  const put = members.start(["put", `${members.folder}/big`, "home:/big"])
  const stopped = finish(put)
  await delay(400)
  put.kill("SIGINT")
  const { stderr } = await stopped
  assert.equal(put.signalCode, "SIGINT", stderr) // as the shell expects, which shows it as 130
  assert.ok(!/ at .*\.m?[jt]s:/.test(stderr), stderr)
  assert.ok(!(await members.run(["ls", "home:"])).stdout.includes("big"))
  await assertKept()
})

test("servers that were all set back are noticed: reading only when asked to, writing not at all", async () => {
  const stop = () => Promise.all(members.nodes.map((name) => members.kill(name)))
  const start = () => Promise.all(members.nodes.map((name) => members.revive(name)))
  const copy = (from: (node: string) => string, to: (node: string) => string) => {
    for (const node of members.nodes) {
      fs.rmSync(to(node), { recursive: true, force: true })
      fs.cpSync(from(node), to(node), { recursive: true })
    }
  }
  const backup = (node: string) => `${members.folder}/${node}/backup`
  await stop()
  copy(members.dataOf, backup)
  await start()
  await members.run(["put", "-", "home:/later"], { input: "later\n" })
  await stop()
  copy(backup, members.dataOf)
  await start()
  const ended = await members.run(["cat", "home:/kept"], { code: 5 })
  assert.match(ended.stderr, /version \d+ of this tree, but version \d+ was seen/)
  assert.match(ended.stderr, /--accept-rollback/)
  const read = await members.run(["cat", "home:/kept", "--accept-rollback"])
  assert.equal(read.stdout, kept)
  assert.notEqual(read.stderr, "")
  await members.run(["put", "-", "home:/x", "--accept-rollback"], { input: "x", code: 5 })
})
