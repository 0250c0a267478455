/** The command where the machine's Node is too old for it: a launcher starts it under its own, and neither outlives the other. */
import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Client, createClient } from "./client.ts"
import { command } from "./command.ts"

const oldNode = olderNode()
const skip = oldNode === undefined && "no Node older than 24 is installed"
let client: Client

before(async () => {
  client = createClient()
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

/** Starts a put that waits for its standard input, and gives the process that does it. */
async function startPut(): Promise<{ launcher: ChildProcess; pid: number }> {
  const stdio = ["pipe", "ignore", "pipe"] as const
  const launcher = spawn(oldNode!, [command, "put", "-", "disk:/x"], { env: client.env, stdio: [...stdio] })
  for (;;) {
    const children = fs.readFileSync(`/proc/${launcher.pid}/task/${launcher.pid}/children`, "utf8").trim()
    if (children !== "") {
      await sleep(1000) // it has handlers by now, if it ever has
      return { launcher, pid: Number(children.split(" ")[0]) }
    }
    await sleep(20)
  }
}

/** Resolves when a process is gone. */
async function gone(pid: number): Promise<void> {
  while (fs.existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8")))
    await sleep(20)
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)
  test(`${signal} ends the command, and the launcher as it`, { skip, timeout: 60_000 }, async () => {
    const { launcher, pid } = await startPut()
    launcher.kill(signal)
    const [code, by] = await once(launcher, "exit")
    assert.deepEqual([code, by], [null, signal])
    await gone(pid)
  })

test("a signal to the command alone is the launcher's end too, and its exit code the launcher's", {
  skip,
  timeout: 60_000,
}, async () => {
  const { launcher, pid } = await startPut()
  process.kill(pid, "SIGTERM")
  assert.deepEqual(await once(launcher, "exit"), [null, "SIGTERM"])
  const unknown = spawn(oldNode!, [command, "ls", "nothing:"], { env: client.env, stdio: "ignore" })
  assert.deepEqual(await once(unknown, "exit"), [3, null])
})

test("a launcher that is killed does not leave its command behind", { skip, timeout: 60_000 }, async () => {
  const { launcher, pid } = await startPut()
  launcher.kill("SIGKILL")
  await gone(pid)
})

test("a line of shell that goes on only after success does not go on", { skip, timeout: 60_000 }, async () => {
  const line = `"${oldNode}" "${command}" put - disk:/x && echo stored`
  const shell = spawn("bash", ["-c", line], { env: client.env, stdio: ["pipe", "pipe", "ignore"], detached: true })
  let said = ""
  shell.stdout.on("data", (bytes: Buffer) => {
    said += bytes
  })
  await sleep(2500)
  process.kill(-shell.pid!, "SIGINT") // as a terminal does: to all of the group
  await once(shell, "close")
  assert.equal(said, "")
})
