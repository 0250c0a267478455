/** A grid whose coordinator changes its mind, or is somebody else, as its users meet it. Real processes throughout. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { createServer } from "node:http"
import { after, before, test } from "node:test"
import { loadGrid } from "@holdfast/network"
import { type Members, startMembers } from "./members.ts"

let members: Members
before(async () => {
  members = await startMembers()
})
after(() => members?.close())

const weak = ["--coding", "1/1/1", "--register-mode", "crash"]
const identity = () => `${members.folder}/config/holdfast/profiles/default/identity`
const coordinatorDir = () => `${members.folder}/coordinator`

async function restartCoordinator(more: readonly string[] = []): Promise<void> {
  await members.kill("coordinator")
  await members.revive("coordinator", more)
  // As if the last command had been a while ago.
  fs.rmSync(`${identity()}/asked.json`, { force: true })
}

async function healthOf(path: string) {
  const { stdout } = await members.run(["check", "--deep", path, "--json"])
  return JSON.parse(stdout) as Record<string, unknown>
}

test("a coordinator that goes to 1/1/1 stores nothing that way: the user is told what changed, and may go on as it was", async () => {
  await members.run(["put", "-", "home:/before"], { input: "before\n" })
  await restartCoordinator(weak)
  const stopped = await members.run(["put", "-", "home:/during"], { input: "during\n", code: 6 })
  assert.match(stopped.stderr, /coding becomes 1\/1\/1 instead of 3\/4\/5/)
  const [, serial] = /holdfast grid accept (\d+)/.exec(stopped.stderr)!
  // While that waits nothing goes on silently, however lately the coordinator was asked, or whether it can be.
  fs.writeFileSync(`${identity()}/asked.json`, JSON.stringify({ askedMs: Date.now() }))
  for (const args of [["put", "-", "home:/during"], ["status"], ["gc"]])
    assert.match((await members.run(args, { input: "during\n", code: 6 })).stderr, /coding becomes 1\/1\/1/)
  const shown = await members.run(["grid", "show"])
  assert.match(
    shown.stdout,
    /coding 3\/4\/5, crash, 5 servers[\s\S]*waits for your word:\n {2}- the coding becomes 1\/1\/1/,
  )
  await members.run(["grid", "refuse", String(Number(serial) + 1)], { code: 1 })
  await members.run(["grid", "refuse", serial!])
  fs.rmSync(`${identity()}/asked.json`, { force: true })
  const put = await members.run(["put", "-", "home:/during"], { input: "during\n" })
  assert.match(put.stderr, /warning: .*which is not used: the coding/)
  assert.deepEqual((await loadGrid(identity())).coding, { k: 3, happy: 4, n: 5 })
  await restartCoordinator()
  for (const name of ["n1", "n2"]) await members.kill(name)
  assert.equal((await members.run(["cat", "home:/during"])).stdout, "during\n", "it lies on more than one node")
  for (const name of ["n1", "n2"]) await members.revive(name)
  assert.ok(await healthOf("home:"))
})

test("somebody else at the coordinator's address stops no command", async () => {
  await members.kill("coordinator")
  const { port } = new URL(`http://${(await loadGrid(identity())).coordinator}`)
  const stranger = createServer((_request, response) => void response.end("hello"))
  await new Promise<void>((resolve) => stranger.listen(Number(port), "127.0.0.1", resolve))
  fs.rmSync(`${identity()}/asked.json`, { force: true })
  const listed = await members.run(["ls", "home:/"])
  assert.match(listed.stdout, /before/)
  assert.match(listed.stderr, /warning: .*Going on with the grid as it was/)
  await members.run(["put", "-", "home:/meanwhile"], { input: "x" })
  await new Promise((resolve) => stranger.close(resolve))
  await members.revive("coordinator")
})

test("a node that moves to another port is found by the next command, however lately the coordinator was asked", async () => {
  await members.run(["status"])
  const asked = fs.readFileSync(`${identity()}/asked.json`, "utf8")
  const { id, address } = (await loadGrid(identity())).servers.find(({ name }) => name === "n1")!
  const { port: freePort, release } = await takePort()
  await members.kill("n1")
  release()
  await members.revive("n1", ["--listen", `127.0.0.1:${freePort}`], freePort)
  const usage = await members.run(["check", "--deep", "home:/"])
  assert.doesNotMatch(usage.stdout + usage.stderr, /no answer/)
  const moved = (await loadGrid(identity())).servers.find((server) => server.id === id)!
  assert.notEqual(moved.address, address)
  assert.notEqual(fs.readFileSync(`${identity()}/asked.json`, "utf8"), asked)
})

test("other voters are taken by the user's word, and have the roots of trees before they count", async () => {
  await members.run(["put", "-", "home:/roots"], { input: "roots\n" })
  const dir = ["--dir", coordinatorDir()]
  const before = JSON.parse((await members.run(["coordinator", "voters", ...dir, "--json"])).stdout) as {
    voters: string[]
  }
  assert.equal(before.voters.length, 5)
  await members.run(["coordinator", "voters", "n1", "n2", "n3", ...dir])
  fs.rmSync(`${identity()}/asked.json`, { force: true })
  const stopped = await members.run(["ls", "home:/"], { code: 6 })
  const [, serial] = /holdfast grid accept (\d+)/.exec(stopped.stderr)!
  const accepted = await members.run(["grid", "accept", serial!])
  assert.match(accepted.stdout, /2 registers were copied/)
  for (const name of ["n4", "n5"]) await members.kill(name)
  assert.equal((await members.run(["cat", "home:/roots"])).stdout, "roots\n")
  for (const name of ["n4", "n5"]) await members.revive(name)
})

test("the root's key is handed over once, 0600, and begins a new epoch that clients follow", async () => {
  const dir = ["--dir", coordinatorDir()]
  const file = `${members.folder}/root.pem`
  await members.run(["coordinator", "root", "export", ...dir, "--out", file])
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  await members.run(["coordinator", "root", "export", ...dir, "--out", `${file}2`], { code: 1 })
  assert.equal(fs.existsSync(`${file}2`), false)
  fs.rmSync(`${identity()}/asked.json`, { force: true })
  const stopped = await members.run(["ls", "home:/"], { code: 6 })
  const [, serial] = /introduces a root.*holdfast grid accept (\d+)/.exec(stopped.stderr)!
  await members.run(["grid", "accept", serial!])
  await members.run(["coordinator", "root", "sign", ...dir, "--root-file", file])
  await restartCoordinator()
  await members.run(["put", "-", "home:/epoch"], { input: "2\n" })
  const { epoch } = await loadGrid(identity())
  assert.equal(epoch, 2)
})

async function takePort(): Promise<{ port: number; release(): void }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  return { port, release: () => void server.close() }
}
