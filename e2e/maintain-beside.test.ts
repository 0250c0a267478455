/** Maintenance beside a local grid, by several processes of one profile, and where a quota is used up: over real nodes and processes. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import { test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { createClient } from "./client.ts"
import { finish, startGrid, until } from "./grid.ts"
import { startMembers } from "./members.ts"
import { makeClock, missingForClocks } from "./soak/clock.ts"

interface Status {
  readonly local: {
    readonly running: boolean
    readonly maintenance: {
      readonly profile: string
      readonly why: string | null
      readonly last: { readonly started: string; readonly ended: string | null } | null
    } | null
  }
}

interface Round {
  readonly ok: boolean
  readonly trees: readonly {
    readonly mended: number
    readonly below: number
    readonly verify?: { readonly chunks: number; readonly isDone: boolean }
  }[]
  readonly volumes: readonly {
    readonly refusing: readonly { readonly why: string; readonly code: string }[]
    readonly collected: { readonly shares: number } | null
    readonly error: unknown
  }[]
}

test("a local grid looks after its profile's trees while it runs, and says so; a locked profile it leaves alone and says that once", async (t) => {
  const grid = await startGrid({ isMaintained: true })
  t.after(() => grid.close())
  const standing = async () => (await grid.json<Status>(["status"])).local.maintenance
  assert.equal((await standing())!.profile, "default")
  await until("a round to end", async () => ((await standing())?.last?.ended ?? null) !== null)
  await grid.run(["put", "-", "home:/file"], { input: randomBytes(50_000) })
  const { stdout } = await grid.run(["status"])
  assert.match(stdout, /It looks after the trees of profile "default" \(last round \d{4}-\S+\)$/m)
  assert.match(stdout, /maintained home: last looked at /)
  const before = (await standing())!.last!
  assert.ok((await grid.json<Round>(["maintain", "--once"])).ok)
  assert.notDeepEqual((await standing())!.last, before, "rounds are told whoever ran them")

  const passphrase = `${grid.folder}/passphrase`
  fs.writeFileSync(passphrase, "a long passphrase\n", { mode: 0o600 })
  await grid.run(["lock", "--passphrase-file", passphrase])
  await grid.run(["down"])
  const log = `${grid.folder}/data/holdfast/grid/log/supervisor.log`
  const logged = fs.readFileSync(log, "utf8").length
  await grid.run(["up"])
  await until("the grid to say why it looks after nothing", async () => ((await standing())?.why ?? null) !== null)
  assert.match((await standing())!.why!, /The profile "default" is locked, so nothing is looked after/)
  const said = fs.readFileSync(log, "utf8").slice(logged)
  assert.equal(said.split("is locked, so nothing").length, 2, said)
  await grid.run(["down"])
  await grid.run(["unlock", "--passphrase-file", passphrase])
  await grid.run(["up", "--no-maintain"])
  assert.equal(await standing(), null)
  assert.match((await grid.run(["status"])).stdout, /It looks after no trees/)
})

test("of two processes that look after one profile one waits for the other's round, and goes on with what it left when it was killed", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  await client.run(["volume", "create", "big", "--coding", "1/1/1", "--backend", `dir:${client.folder}/disk`])
  await client.run(["put", "-", "big:/huge"], { input: randomBytes(48 * 4 * 1024 * 1024) })
  const { chunks } = await client.json<{ chunks: number }>(["check", "--deep", "big:"])
  const args = ["maintain", "--every", "0s", "--json"]
  const path = `${client.folder}/state/holdfast/maintenance/default/state.json`
  const positions = () =>
    fs.existsSync(path)
      ? Object.values<{ verify?: { position: string } }>(JSON.parse(fs.readFileSync(path, "utf8")).trees)
      : []
  const first = client.start([...args, "--limit-download", "30M"])
  t.after(() => first.kill("SIGKILL"))
  await until("a part to be verified", () => positions().some(({ verify }) => (verify?.position ?? "") !== ""))
  const second = client.start(args)
  t.after(() => second.kill("SIGKILL"))
  const said = { out: "", err: "" }
  second.stdout!.setEncoding("utf8").on("data", (text: string) => {
    said.out += text
  })
  second.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said.err += text
  })
  await until("the second to wait", () => said.err.includes("waiting for its end"))
  assert.ok(said.err.includes(`Process ${first.pid} is in a round`), said.err)
  assert.equal(said.out, "")
  first.kill("SIGKILL")
  await once(first, "close")
  await until("the second to end the round", () => said.out.includes("\n"))
  const round = JSON.parse(said.out) as Round
  const verified = round.trees.map(({ verify }) => verify?.chunks ?? 0).reduce((sum, one) => sum + one, 0)
  assert.ok(verified > 0 && verified < chunks, `${verified} of ${chunks} chunks`)
  second.kill("SIGTERM")
  await once(second, "close")
})

test("where a quota is used up a round says who lacks room and for whom, tries no more there, and collects all the same", async (t) => {
  const isClocked = missingForClocks === undefined
  const folder = fs.mkdtempSync(`${os.tmpdir()}/holdfast-clock-`)
  const clock = isClocked ? makeClock(`${folder}/clock`) : undefined
  const grid = await startMembers(clock ? { nodeEnv: () => clock.env } : {})
  t.after(async () => {
    await grid.close()
    fs.rmSync(folder, { recursive: true })
  })
  for (let i = 0; i < 20; i++) await grid.run(["put", "-", `home:/${i}`], { input: randomBytes(60_000) })
  const account = JSON.parse((await grid.run(["account", "show", "--json"])).stdout) as { id: string }
  await grid.kill("n1")
  fs.rmSync(grid.dataOf("n1"), { recursive: true })
  await grid.revive("n1", ["--quota", "20000"])
  const maintain = async (codes: readonly number[], ...more: readonly string[]) => {
    const { code, stdout, stderr } = await finish(grid.start(["maintain", "--once", "--json", ...more]))
    assert.ok(codes.includes(code!), `${code}: ${stderr}`)
    return JSON.parse(stdout) as Round
  }
  const told = await grid.run(["maintain", "--once"], { code: 5 })
  assert.match(told.stdout, /grid lacks room for what was to be mended, which account [0-9a-f]{16} pays for\. n1: /)
  assert.ok(told.stdout.includes(account.id.slice(0, 16)), told.stdout)
  assert.match(told.stdout, /quota of 20000 bytes/)
  assert.match(told.stdout, /Free space .*gc.* or add a place/)
  const tight = await maintain([5])
  assert.deepEqual(
    tight.volumes[0]!.refusing.map(({ code }) => code),
    ["ERR_QUOTA_EXCEEDED"],
  )
  assert.ok(tight.trees.some(({ below }) => below > 10))

  for (const name of grid.nodes) {
    await grid.kill(name)
    await grid.revive(name, ["--quota", "200000"])
  }
  await grid.run(["put", "-", "home:/more"], { input: randomBytes(600_000), code: 6 })
  for (let i = 0; i < 20; i++) await grid.run(["rm", `home:/${i}`])
  await grid.run(["keep", "none"])
  const full = await maintain([0, 5], "--collect-every", "0s")
  assert.deepEqual([full.volumes[0]!.error, full.volumes[0]!.collected?.shares], [null, 0], "all is too young")
  if (!clock) return t.diagnostic(`that space comes back needs ${missingForClocks}`)
  clock.advance(25 * 3_600)
  await delay(2_000) // until nodes notice
  const after = await maintain([0, 5], "--collect-every", "0s")
  assert.ok(after.volumes[0]!.collected!.shares > 0, JSON.stringify(after.volumes))
})
