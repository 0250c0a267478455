/** The command as it is installed: a launcher that becomes it, under its own Node, whatever Node the machine has. */
import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Client, createClient } from "./client.ts"
import { command } from "./command.ts"
import { finish } from "./grid.ts"

const launcher = command.replace(/\.mjs$/, "")
const root = paths.join(paths.dirname(launcher), "..")
const oldNode = olderNode()
const skip = oldNode === undefined && "no Node older than 24 is installed"
let client: Client
/** As of a shell: the machine's Node comes first. */
let env: NodeJS.ProcessEnv

before(async () => {
  client = createClient()
  env = { ...client.env, PATH: `${paths.dirname(oldNode ?? process.execPath)}:/usr/bin:/bin` }
  const place = `dir:${client.folder}/disk`
  await client.run(["volume", "create", "disk", "--coding", "1/1/1", "--backend", place])
})
after(() => client.close())

function olderNode(): string | undefined {
  const found = execFileSync("bash", ["-c", "type -ap node; ls /usr/bin/node /usr/local/bin/node 2>/dev/null; true"])
  return String(found)
    .split("\n")
    .find((path) => {
      if (path === "" || path.includes("node_modules")) return false
      const version = String(execFileSync(path, ["--version"]))
      return Number.parseInt(version.slice(1), 10) < 24
    })
}

/** Starts a put that waits for its standard input. */
async function startPut(): Promise<ChildProcess> {
  const started = spawn(launcher, ["put", "-", "disk:/x"], { env, stdio: ["pipe", "ignore", "pipe"] })
  await sleep(1500) // it has handlers by now, if it ever has
  return started
}

async function endOf(file: string, args: readonly string[], more: { readonly cwd?: string } = {}) {
  return finish(spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"], ...more }))
}

test("there is one process, that of the Node that came with it", { skip, timeout: 60_000 }, async () => {
  const started = await startPut()
  const own = fs.realpathSync(`${root}/node_modules/.bin/node`)
  assert.equal(fs.readlinkSync(`/proc/${started.pid}/exe`), own)
  started.kill("SIGKILL")
  await once(started, "exit")
})

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)
  test(`${signal} ends the command by that signal`, { timeout: 60_000 }, async () => {
    const started = await startPut()
    started.kill(signal)
    assert.deepEqual(await once(started, "exit"), [null, signal])
  })

test("the exit code is the command's", { timeout: 60_000 }, async () => {
  assert.equal((await endOf(launcher, ["ls", "nothing:"])).code, 3)
})

test("a line of shell that goes on only after success does not go on", { timeout: 60_000 }, async () => {
  const line = `"${launcher}" put - disk:/x && echo stored`
  const shell = spawn("bash", ["-c", line], { env, stdio: ["pipe", "pipe", "ignore"], detached: true })
  let said = ""
  shell.stdout.on("data", (bytes: Buffer) => {
    said += bytes
  })
  await sleep(2500)
  process.kill(-shell.pid!, "SIGINT") // as a terminal does: to all of the group
  await once(shell, "close")
  assert.equal(said, "")
})

test("links lead to it, relative ones and links to links, from folders with spaces", { timeout: 60_000 }, async () => {
  const bin = `${client.folder}/my bin`
  fs.mkdirSync(bin)
  fs.symlinkSync(paths.relative(bin, launcher), `${bin}/one`)
  fs.symlinkSync("one", `${bin}/two`)
  for (const [file, cwd] of [
    [`${bin}/one`, "/"],
    [`${bin}/two`, "/"],
    ["./two", bin],
  ] as const)
    assert.match((await endOf(file, ["--version"], { cwd })).stdout, /^\d+\.\d+\.\d+\n$/)
  assert.match((await endOf("sh", ["two", "--version"], { cwd: bin })).stdout, /^\d/)
})

/** A copy of the command in `home`, without a Node of its own. */
function install(home: string): string {
  fs.mkdirSync(home, { recursive: true })
  fs.cpSync(`${root}/bin`, `${home}/bin`, { recursive: true })
  fs.cpSync(`${root}/dist`, `${home}/dist`, { recursive: true })
  fs.writeFileSync(`${home}/package.json`, '{"type": "module"}')
  return `${home}/bin/holdfast`
}

test("as a dependency of a project it runs under the Node beside it", { skip, timeout: 60_000 }, async () => {
  const modules = `${client.folder}/project/node_modules`
  const installed = install(`${modules}/holdfast`)
  fs.mkdirSync(`${modules}/.bin`)
  fs.symlinkSync(fs.realpathSync(`${root}/node_modules/.bin/node`), `${modules}/.bin/node`)
  fs.symlinkSync("../holdfast/bin/holdfast", `${modules}/.bin/holdfast`)
  for (const file of [installed, `${modules}/.bin/holdfast`])
    assert.match((await endOf(file, ["--version"])).stdout, /^\d+\.\d+\.\d+\n$/)
})

test("where there is only an older Node, it says so in one line", { skip, timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await endOf(install(`${client.folder}/alone`), ["ls"])
  assert.deepEqual([code, stdout], [1, ""])
  assert.match(stderr, /^holdfast: needs Node 24 or newer; this is v\d+.*\n$/)
})
