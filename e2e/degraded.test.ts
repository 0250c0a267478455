/** What is stored while a place is away or full: said once by the command that stores, and by `status` and `doctor`. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { createClient } from "./client.ts"
import { type Members, startMembers } from "./members.ts"

interface Degraded {
  readonly places: readonly { name: string; why: string; code: string; shares: number; registers: number }[]
  readonly chunks: number
}

interface Doctor {
  readonly findings: readonly { ok: boolean; check: string; message: string }[]
}

let members: Members
before(async () => {
  members = await startMembers()
})
after(async () => {
  await members?.close()
})

/** Starts a node again with other options, and as it was when `work` is done. */
async function withNode(name: string, options: readonly string[], work: () => Promise<void>) {
  const restart = async (more: readonly string[]) => {
    await members.kill(name)
    await members.revive(name, more)
  }
  await restart(options)
  await work().finally(() => restart([]))
}

test("a full node is named by put, status and doctor; a repair says why it could not mend", async () => {
  const doctor = async (code: 0 | 1) => JSON.parse((await members.run(["doctor", "--json"], { code })).stdout) as Doctor
  const nodeFindings = ({ findings }: Doctor) => findings.filter(({ check }) => check.startsWith("server "))
  await withNode("n1", ["--reserve", String(2 ** 50)], async () => {
    const put = await members.run(["put", "-", "home:/large"], { input: randomBytes(9_000_000) })
    assert.match(put.stderr, /warning: .*took (nothing|a part only): n1: The server has no space left/)
    assert.match(put.stderr, /\d chunks lack a place/)
    assert.equal(put.stderr.trim().split("\n").length, 1, "once, not for each chunk")
    const { stdout } = await members.run(["put", "-", "home:/other", "--json"], { input: randomBytes(100_000) })
    const { degraded } = JSON.parse(stdout) as { degraded: Degraded }
    assert.deepEqual(
      degraded.places.map(({ name, code }) => [name, code]),
      [["n1", "full"]],
    )
    assert.ok(degraded.chunks > 0)
    assert.match((await members.run(["status"])).stdout, /n1 +FULL .*it is full: 0 B left/)
    const { servers } = JSON.parse((await members.run(["status", "--json"])).stdout) as {
      servers: { name: string; full?: string; usage: { availableBytes: number } }[]
    }
    assert.deepEqual(
      servers.filter(({ full }) => full).map(({ name }) => name),
      ["n1"],
    )
    assert.equal(servers.find(({ name }) => name === "n1")!.usage.availableBytes, 0)
    const bad = nodeFindings(await doctor(1)).filter(({ ok }) => !ok)
    assert.deepEqual(
      bad.map(({ check, message }) => [check, /is full/.test(message)]),
      [["server n1", true]],
    )
    const repair = await members.run(["check", "--deep", "--repair", "home:"], { code: 5 })
    assert.match(repair.stderr, /n1: The server has no space left/)
  })
  const mended = await members.run(["check", "--deep", "--repair", "home:"])
  assert.equal(mended.stderr, "")
  assert.ok(
    nodeFindings(JSON.parse((await members.run(["doctor", "--json"], { code: 0 })).stdout)).every(({ ok }) => ok),
  )
})

test("a change that stores nothing but a root says which node did not take it", async () => {
  await members.run(["put", "-", "home:/name"], { input: "a" })
  await members.kill("n2")
  try {
    const { stderr, stdout } = await members.run(["mv", "home:/name", "home:/other-name", "--json"])
    const { degraded } = JSON.parse(stdout) as { degraded: Degraded }
    assert.deepEqual(
      degraded.places.map(({ name, code, registers }) => [name, code, registers]),
      [["n2", "ERR_SERVER_UNREACHABLE", 1]],
    )
    assert.match(stderr, /n2/)
    assert.equal((await members.run(["ls", "home:"])).stderr, "", "reading is no change")
  } finally {
    await members.revive("n2")
  }
  const { stdout } = await members.run(["mkdir", "home:/again", "--json"])
  assert.equal((JSON.parse(stdout) as { degraded: Degraded | null }).degraded, null)
})

test("a directory that is away is named by put, status and doctor", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const disk = (i: number) => `${client.folder}/disk${i}`
  await client.run([
    "volume",
    "create",
    "disks",
    "--coding",
    "2/3/4",
    "--backend",
    ...[1, 2, 3, 4].map((i) => `dir:${disk(i)}`),
  ])
  fs.renameSync(disk(4), `${disk(4)}-unplugged`)
  const put = await client.run(["put", "-", "disks:/file"], { input: randomBytes(300_000) })
  assert.match(put.stderr, /warning: .*took nothing: .*disk4 is not there/)
  assert.match((await client.run(["status"])).stdout, /3 of 4 places up.*DOWN [^\n]*disk4 is not there/s)
  const { stdout } = await client.run(["doctor", "--json"], { code: "any" })
  const { findings } = JSON.parse(stdout) as Doctor
  assert.ok(findings.some(({ ok, message }) => !ok && /disk4 is not there/.test(message)))
  fs.renameSync(`${disk(4)}-unplugged`, disk(4))
  assert.equal((await client.run(["check", "--deep", "--repair", "disks:"])).stderr, "")
  assert.match((await client.run(["check", "--deep", "disks:"])).stdout, / 0 damaged/)
})
