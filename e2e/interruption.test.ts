/**
 * Commands that are asked to end in the middle: nothing half done stays, what was sent is kept, and the status says that it was a signal.
 */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Client, createClient } from "./client.ts"
import { command } from "./command.ts"
import { startMembers } from "./members.ts"

const largeBytes = 400 * 1024 * 1024
let client: Client

before(async () => {
  client = createClient()
  const places = ["a", "b", "c"].map((name) => `dir:${client.folder}/disks/${name}`)
  await client.run(["volume", "create", "disks", "--coding", "2/2/3", "--backend", ...places])
  fs.mkdirSync(`${client.folder}/from`)
  for (let i = 0; i < 200; i++) fs.writeFileSync(`${client.folder}/from/a${i}`, `small ${i}`)
  const piece = Buffer.alloc(1024 * 1024)
  const large = fs.openSync(`${client.folder}/from/large`, "w")
  for (let at = 0; at < largeBytes; at += piece.length) {
    piece.fill(at / piece.length)
    fs.writeSync(large, piece)
  }
  fs.closeSync(large)
})
after(() => client.close())

function start(...args: string[]): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, [command, ...args], {
    cwd: client.folder,
    env: client.env,
    stdio: ["pipe", "ignore", "pipe"],
  })
  let said = ""
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text
  })
  return { child, said: () => said }
}

/** Sends `signal` once `isTime`; gives how the command ended. */
async function stop({ child, said }: ReturnType<typeof start>, signal: NodeJS.Signals, isTime: () => boolean) {
  while (!isTime()) {
    assert.equal(child.exitCode, null, said())
    await sleep(10)
  }
  child.kill(signal)
  const [code, by] = await once(child, "close")
  return { code, by, said: said() }
}

/** Bytes below a folder. */
function bytesIn(folder: string): number {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
  return names.reduce((sum, name) => sum + (fs.statSync(`${folder}/${name}`, { throwIfNoEntry: false })?.size ?? 0), 0)
}

test("a put that is stopped keeps what it stored, and goes on from there", { timeout: 120_000 }, async () => {
  const put = start("put", "from", "disks:/")
  const stopped = await stop(put, "SIGTERM", () => bytesIn(`${client.folder}/disks`) > largeBytes / 4)
  assert.deepEqual([stopped.code, stopped.by], [null, "SIGTERM"])
  assert.equal(stopped.said, "holdfast: Stopped. The same command goes on from here.\n")
  const { stdout } = await client.run(["ls", "disks:/from"])
  assert.deepEqual([stdout.includes("a199"), stdout.includes("large")], [true, false])
  const again = await client.json<{ files: number; unchanged: number }>(["put", "from", "disks:/"])
  assert.deepEqual([again.files, again.unchanged], [1, 200])
})

test("a put of standard input that is stopped stores nothing", { timeout: 60_000 }, async () => {
  const put = start("put", "-", "disks:/stdin")
  put.child.stdin!.write("some")
  const startMs = performance.now()
  const { code, by, said } = await stop(put, "SIGINT", () => performance.now() > startMs + 2500)
  assert.deepEqual([code, by], [null, "SIGINT"], said)
  assert.match(said, /^holdfast: Stopped\./)
  await client.run(["ls", "disks:/stdin"], { code: 3 })
})

test("a get that is stopped leaves neither the file nor a part of it", { timeout: 120_000 }, async () => {
  fs.mkdirSync(`${client.folder}/to`)
  const get = start("get", "disks:/from/large", "to/")
  const { code, by, said } = await stop(get, "SIGINT", () => bytesIn(`${client.folder}/to`) > 1_000_000)
  assert.deepEqual([code, by], [null, "SIGINT"], said)
  assert.deepEqual(fs.readdirSync(`${client.folder}/to`), [])
})

test("a signal before anything was begun, and a second one, end the command at once", { timeout: 60_000 }, async () => {
  const put = start("put", "-", "disks:/stdin")
  put.child.kill("SIGHUP")
  assert.deepEqual(await once(put.child, "close"), [null, "SIGHUP"])
})

/** True when a process has a handler of its own: Node has none for SIGHUP, the lowest bit. */
function hearsSignals(pid: number): boolean {
  const [, mask = "0"] = /^SigCgt:\s*(\w+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return (BigInt(`0x${mask}`) & 1n) === 1n
}

/** Commands by their words; each is begun while three of five nodes hang, so that it cannot end by itself. */
const hanging: readonly (readonly string[])[] = [
  ["ls", "home:"],
  ["cat", "home:large"],
  ["get", "home:large", "got"],
  ["put", "large", "home:again"],
  ["rm", "home:large"],
  ["mkdir", "home:new"],
  ["check", "home:", "--deep", "--verify"],
  ["rebalance", "home:"],
  ["gc"],
  ["snapshot", "create", "home:", "now"],
]

test("every command over nodes that hang ends when it is told to, with the status of a signal", {
  timeout: 300_000,
}, async () => {
  const members = await startMembers()
  try {
    fs.writeFileSync(`${members.folder}/large`, Buffer.alloc(3_000_000, "held fast"))
    await members.run(["put", `${members.folder}/large`, "home:large"])
    for (const words of hanging) {
      const silent = members.nodes.slice(0, 3)
      const command = members.start(
        words.map((word) => (word === "large" || word === "got" ? `${members.folder}/${word}` : word)),
      )
      let said = ""
      command.stderr!.setEncoding("utf8").on("data", (text: string) => {
        said += text
      })
      for (const node of silent) members.signal(node, "SIGSTOP")
      while (command.exitCode === null && !hearsSignals(command.pid!)) await sleep(20)
      await sleep(1000)
      assert.deepEqual(
        [command.exitCode, command.signalCode],
        [null, null],
        `${words.join(" ")} ended by itself: ${said}`,
      )
      command.kill("SIGINT")
      const [, by] = await Promise.race([once(command, "close"), sleep(8000, [null, "still running"])])
      assert.equal(by, "SIGINT", words.join(" "))
      assert.equal(said, "holdfast: Stopped. The same command goes on from here.\n", words.join(" "))
      for (const node of silent) members.signal(node, "SIGCONT")
    }
    await members.run(["check", "home:", "--deep", "--verify"])
  } finally {
    for (const node of members.nodes) members.signal(node, "SIGCONT")
    await members.close()
  }
})
