/** The local grid as real processes: up, lost processes, down, what doctor says, a locked profile, a rollback. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { type TestContext, test } from "node:test"
import { createKeyAndRequest, openAuthority } from "@holdfast/network"
import { command } from "./command.ts"
import { type Grid, startGrid, until } from "./grid.ts"

interface Status {
  readonly local: { readonly running: boolean; readonly parts: readonly Part[] }
  readonly locked: boolean
  readonly servers: readonly { readonly name: string; readonly up: boolean; readonly usage?: object }[]
}
interface Part {
  readonly name: string
  readonly port: number
  readonly pid?: number
  readonly restarts: number
}
interface Diagnosis {
  readonly ok: boolean
  readonly findings: readonly {
    readonly check: string
    readonly ok: boolean
    readonly message: string
    readonly mend?: string
  }[]
}

const small = { nodes: 3, coding: "2/3/3" }

async function gridOf(t: TestContext): Promise<Grid> {
  const grid = await startGrid(small)
  t.after(() => grid.close())
  return grid
}

const gridDir = (grid: Grid) => `${grid.folder}/data/holdfast/grid`
const profileDir = (grid: Grid) => `${grid.folder}/config/holdfast/profiles/default`
const partsOf = async (grid: Grid) => (await grid.json<Status>(["status"])).local.parts
const supervisorOf = (grid: Grid): number =>
  JSON.parse(fs.readFileSync(`${gridDir(grid)}/supervisor.json`, "utf8")).supervisor.pid

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** Processes whose command line names this grid's folder. */
function processesOf(grid: Grid): string[] {
  return fs
    .readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid) && isAlive(Number(pid)))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(gridDir(grid))
      } catch {
        return false
      }
    })
}

/** What doctor finds wrong. */
async function wrong(grid: Grid) {
  const { findings, ok } = await grid.json<Diagnosis>(["doctor"], { code: "any" })
  const bad = findings.filter((finding) => !finding.ok)
  assert.equal(ok, bad.length === 0)
  return bad
}

test("each part is a process of its own, and one that is killed is soon back", async (t) => {
  const grid = await gridOf(t)
  const before = await partsOf(grid)
  assert.deepEqual(
    before.map(({ name }) => name),
    ["coordinator", "n1", "n2", "n3"],
  )
  assert.equal(new Set(before.map(({ pid }) => pid)).size, 4)
  await grid.run(["put", "-", "home:file"], { input: "kept" })
  for (const name of ["n2", "coordinator"]) {
    const { pid } = before.find((part) => part.name === name)!
    process.kill(pid!, "SIGKILL")
    await until(`${name} to come back`, async () => {
      const { local, servers } = await grid.json<Status>(["status"])
      const now = local.parts.find((part) => part.name === name)!
      return now.pid !== undefined && now.pid !== pid && now.restarts === 1 && servers.every(({ up }) => up)
    })
  }
  assert.equal((await grid.run(["cat", "home:file"])).stdout, "kept")
})

test("down leaves no process, a second down says so, and up again finds everything", async (t) => {
  const grid = await gridOf(t)
  await grid.run(["put", "-", "home:file"], { input: "kept" })
  assert.ok(processesOf(grid).length >= 5)
  assert.deepEqual(await grid.json(["down"]), { stopped: true, dir: gridDir(grid) })
  assert.deepEqual(processesOf(grid), [])
  assert.deepEqual(await grid.json(["down"]), { stopped: false, dir: gridDir(grid) })
  assert.equal((await grid.run(["cat", "home:file"], { code: 4 })).stdout, "")
  await grid.run(["up"])
  assert.equal((await grid.run(["cat", "home:file"])).stdout, "kept")
  const other = await grid.run(["up", "--nodes", "5"], { code: "any" })
  assert.match(other.stderr, /has 3 nodes and coding 2\/3\/3, which stay/)
})

test("after the supervisor itself is killed, up starts anew and down leaves no process", async (t) => {
  const grid = await gridOf(t)
  await grid.run(["put", "-", "home:file"], { input: "kept" })
  process.kill(supervisorOf(grid), "SIGKILL")
  const left = (await wrong(grid)).filter(({ check }) => check.startsWith("process "))
  assert.deepEqual(left.map(({ check }) => check).sort(), [
    "process coordinator",
    "process n1",
    "process n2",
    "process n3",
  ])
  for (const { message, mend } of left) {
    assert.match(message, /runs on as \d+ without the supervisor/)
    assert.match(mend!, /holdfast up/)
  }
  await grid.run(["up"])
  assert.equal((await grid.run(["cat", "home:file"])).stdout, "kept")
  assert.equal(processesOf(grid).length, 5)
  process.kill(supervisorOf(grid), "SIGKILL")
  await grid.run(["down"])
  assert.deepEqual(processesOf(grid), [])
})

test("a taken port of the status page moves the page, and up says where", async (t) => {
  const grid = await gridOf(t)
  const { statusPage } = await grid.json<{ statusPage: string }>(["up"])
  await grid.run(["down"])
  const intruder = createServer((socket) => void socket.destroy())
  await new Promise<void>((resolve) => intruder.listen(Number(new URL(statusPage).port), "127.0.0.1", resolve))
  const moved = await grid.json<{ statusPage: string }>(["up"])
  assert.notEqual(moved.statusPage, statusPage)
  assert.match(await (await fetch(moved.statusPage)).text(), /4 of 4 processes run/)
  await new Promise((resolve) => intruder.close(resolve))
})

test("a second grid in another folder needs a profile of its own", async (t) => {
  const grid = await gridOf(t)
  const dir = `${grid.folder}/second`
  const refused = await grid.run(["up", "--nodes", "1", "--dir", dir], { code: "any" })
  assert.notEqual(refused.code, 0)
  assert.match(refused.stderr, /belongs to the grid at .*--profile NAME/)
  await grid.run(["--profile", "second", "up", "--nodes", "1", "--dir", dir])
  try {
    await grid.run(["--profile", "second", "put", "-", "home:file"], { input: "other" })
    assert.equal((await grid.run(["ls", "home:"])).stdout, "")
    const { local } = await grid.json<{ local: unknown }>(["--profile", "second", "status"])
    assert.equal(local, null) // what runs in the usual folder is another grid
    const { findings } = await grid.json<Diagnosis>(["--profile", "second", "doctor"])
    assert.ok(!findings.some(({ check }) => check.startsWith("process")))
  } finally {
    await grid.run(["down", "--dir", dir])
  }
})

test("doctor is content with a grid that is well, and names what is not, with what to do", async (t) => {
  const grid = await gridOf(t)
  assert.deepEqual(await wrong(grid), [])

  const key = `${profileDir(grid)}/identity/key.pem`
  fs.chmodSync(key, 0o644)
  assert.deepEqual(
    (await wrong(grid)).map(({ mend }) => mend),
    [`Close that with: chmod go= ${key}`],
  )
  fs.chmodSync(key, 0o600)
  const nodeKey = `${gridDir(grid)}/n1/identity/key.pem`
  fs.chmodSync(nodeKey, 0o640)
  assert.deepEqual(
    (await wrong(grid)).map(({ check, mend }) => [check, mend]),
    [["grid keys", `Close that with: chmod go= ${nodeKey}`]],
  )
  fs.chmodSync(nodeKey, 0o600)

  await grid.kill("n2")
  const stopped = await wrong(grid)
  assert.deepEqual(
    stopped.map(({ check }) => check),
    ["process n2", "server n2"],
  )
  for (const { mend } of stopped) assert.ok(mend)
  await grid.revive()

  await grid.run(["down"])
  const { port } = JSON.parse(fs.readFileSync(`${gridDir(grid)}/grid.json`, "utf8")).nodes[0] as Part
  const intruder = createServer((socket) => void socket.destroy())
  await new Promise<void>((resolve) => intruder.listen(port, "127.0.0.1", resolve))
  const taken = await wrong(grid)
  assert.match(taken.find(({ check }) => check === "local grid")?.mend ?? "", /holdfast up/)
  assert.match(taken.find(({ check }) => check === "process n1")?.message ?? "", /another program has its port/)
  await new Promise((resolve) => intruder.close(resolve))
})

test("doctor finds a certificate that ended", async (t) => {
  const grid = await gridOf(t)
  const identity = `${profileDir(grid)}/identity`
  const { memberId, tenant } = JSON.parse(fs.readFileSync(`${identity}/member.json`, "utf8"))
  const authority = await openAuthority(`${gridDir(grid)}/coordinator/authority`)
  const { keyPem, csrPem } = await createKeyAndRequest()
  const nowMs = Date.now() - 10 * 86_400_000
  const certificate = await authority.sign(csrPem, { memberId, tenant, role: "client", nowMs, validDays: 1 })
  fs.writeFileSync(`${identity}/key.pem`, keyPem)
  fs.writeFileSync(`${identity}/cert.pem`, certificate)
  const [found, ...more] = await wrong(grid)
  assert.deepEqual([found?.check, more], ["certificate", []])
  assert.match(found?.message ?? "", /ended on/)
  assert.match(found?.mend ?? "", /invitation/)
  assert.equal((await grid.run(["ls", "home:"], { code: 6 })).stdout, "")
})

test("a locked profile needs its passphrase for data, and none for up, down, status and doctor", async (t) => {
  const grid = await gridOf(t)
  const file = `${grid.folder}/passphrase`
  fs.writeFileSync(file, "correct horse\n", { mode: 0o600 })
  const named = ["--passphrase-file", file]
  await grid.run(["put", "-", "home:file"], { input: "kept" })
  await grid.run(["lock", ...named])
  assert.equal((await grid.run(["cat", "home:file", ...named])).stdout, "kept")
  assert.equal((await grid.run(["cat", "home:file"], { env: { HOLDFAST_PASSPHRASE_FILE: file } })).stdout, "kept")
  assert.equal(
    (await grid.run(["cat", "home:file", "--passphrase-file", "-"], { input: "correct horse" })).stdout,
    "kept",
  )
  const mistyped = await grid.run(["ls", "--json", "--passphrase-file", "-"], { input: "wrong horse", code: 7 })
  assert.equal(JSON.parse(mistyped.stdout).error.code, "ERR_WRONG_PASSPHRASE")

  const status = await grid.json<Status>(["status"])
  assert.ok(status.locked && status.servers.length === 3 && status.servers.every(({ up, usage }) => up && !usage))
  assert.ok((await grid.json<Status>(["status", ...named])).servers.every(({ usage }) => usage))
  assert.deepEqual(await wrong(grid), [])
  await grid.run(["down"])
  assert.ok((await grid.json<Status>(["status"])).servers.every(({ up }) => !up))
  await grid.run(["up"])

  const next = `${grid.folder}/next`
  fs.writeFileSync(next, "another horse", { mode: 0o600 })
  await grid.run(["lock", "--change", ...named, "--new-passphrase-file", next])
  await grid.run(["ls", ...named], { code: 7 })
  await grid.run(["unlock", "--passphrase-file", next])
  assert.equal((await grid.run(["cat", "home:file"])).stdout, "kept")
})

test("the passphrase is asked for once on the terminal, without echo, while standard input is a pipe", async (t) => {
  const grid = await gridOf(t)
  const file = `${grid.folder}/passphrase`
  fs.writeFileSync(file, "correct horse", { mode: 0o600 })
  await grid.run(["lock", "--passphrase-file", file])
  const { spawn } = await import("node:child_process")
  const line = `echo piped | '${process.execPath}' '${command}' put - home:file && echo stored`
  const terminal = spawn("script", ["-qfec", line, "/dev/null"], { env: grid.env })
  t.after(() => terminal.kill("SIGKILL"))
  let shown = ""
  for await (const piece of terminal.stdout) {
    if (!shown.includes("Passphrase") && String(piece).includes("Passphrase"))
      terminal.stdin.write("correct xx\b\x7fhorse\r")
    shown += String(piece)
    if (shown.includes("stored")) terminal.stdin.end()
  }
  assert.match(shown, /Passphrase of profile default: [\s\S]*stored/)
  assert.equal(shown.split("Passphrase").length, 2)
  assert.ok(!shown.includes("horse"), shown)
  assert.equal((await grid.run(["cat", "home:file", "--passphrase-file", file])).stdout, "piped\n")
})

test("servers restored from an old copy are refused; --accept-rollback reads them and never writes", async (t) => {
  const grid = await gridOf(t)
  const nodes = ["n1", "n2", "n3"]
  await grid.run(["put", "-", "home:old"], { input: "old" })
  await grid.run(["down"])
  for (const node of nodes)
    fs.cpSync(`${gridDir(grid)}/${node}/data`, `${grid.folder}/copy/${node}`, { recursive: true })
  await grid.run(["up"])
  await grid.run(["put", "-", "home:new"], { input: "new" })
  await grid.run(["down"])
  for (const node of nodes) {
    fs.rmSync(`${gridDir(grid)}/${node}/data`, { recursive: true })
    fs.cpSync(`${grid.folder}/copy/${node}`, `${gridDir(grid)}/${node}/data`, { recursive: true })
  }
  await grid.run(["up"])
  const refused = await grid.run(["ls", "home:"], { code: 5 })
  assert.match(refused.stderr, /--accept-rollback/)
  const accepted = await grid.run(["ls", "home:", "--accept-rollback"])
  assert.equal(accepted.stdout, "old\n")
  assert.match(accepted.stderr, /^holdfast: warning: .*version 2 .*version 3 .*only be read/)
  assert.equal((await grid.run(["cat", "home:old", "--accept-rollback"])).stdout, "old")
  for (const words of [["put", "-", "home:x"], ["rm", "home:old"], ["gc"]])
    await grid.run([...words, "--accept-rollback"], { code: 5, input: "x" })
  await grid.run(["ls", "home:"], { code: 5 })
})
