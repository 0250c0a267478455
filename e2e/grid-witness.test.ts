/** A grid of two nodes and a witness, each a process: any one may be killed, and come back with nothing. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { createClient } from "./client.ts"
import { type Members, startMembers } from "./members.ts"

interface Status {
  readonly grid: { readonly survives: { readonly lost: number } }
  readonly servers: readonly { name: string; up: boolean; witness?: true; usage?: { shareCount: number } }[]
}

const json = async <T>(members: Members, args: readonly string[]): Promise<T> =>
  JSON.parse((await members.run([...args, "--json"])).stdout) as T

/** A second writer of the same tenant, with the tree of the first. */
async function secondWriter(members: Members): Promise<void> {
  const file = await members.invite("second", "--role", "client", "--tenant", "alice")
  await members.run(["--profile", "second", "join", "--invite-file", file, "--name", "second"])
  const cap = join(members.folder, "home.cap")
  fs.writeFileSync(cap, (await members.run(["cap", "home:"])).stdout, { mode: 0o600 })
  await members.run(["--profile", "second", "alias", "add", "home", "--cap-file", cap])
}

test("two nodes and a witness survive any one of them killed, wiped and come back, and two writers go on meanwhile", async (t) => {
  const members = await startMembers({
    coding: "1/1/2",
    nodes: ["n1", "n2", "w1"],
    invitation: (node) => (node === "w1" ? ["--witness"] : []),
  })
  t.after(() => members.close())
  const content = randomBytes(5_000_000)
  const contentOf = async (path: string) => {
    const back = join(members.folder, "back")
    await members.run(["get", path, back])
    const bytes = fs.readFileSync(back)
    fs.rmSync(back)
    return bytes
  }
  await members.run(["put", "-", "home:/first"], { input: content })
  await secondWriter(members)
  assert.equal((await json<Status>(members, ["status"])).grid.survives.lost, 1)

  for (const lost of ["n1", "n2", "w1"]) {
    await members.kill(lost)
    assert.ok((await contentOf("home:/first")).equals(content), `${lost} is away`)
    // Two writers at once: of a quorum of two, the witness is one more than once.
    await Promise.all([
      members.run(["put", "-", `home:/of-the-first-without-${lost}`], { input: content.subarray(0, 1_500_000) }),
      members.run(["--profile", "second", "put", "-", `home:/of-the-second-without-${lost}`], { input: `not ${lost}` }),
    ])
    fs.rmSync(members.dataOf(lost), { recursive: true })
    await members.revive(lost)
    await members.run(["check", "--deep", "--repair", "home:"])
  }
  for (const lost of ["n1", "n2", "w1"]) {
    await members.kill(lost)
    const back = join(members.folder, `all-without-${lost}`)
    await members.run(["get", "home:/", back])
    for (const before of ["n1", "n2", "w1"]) {
      assert.equal(fs.readFileSync(join(back, `of-the-second-without-${before}`), "utf8"), `not ${before}`)
      const first = fs.readFileSync(join(back, `of-the-first-without-${before}`))
      assert.ok(first.equals(content.subarray(0, 1_500_000)))
    }
    await members.revive(lost)
  }
  await members.run(["rm", "home:/first"])
  await members.run(["gc"])
  await members.run(["rebalance", "home:"])
  const { servers } = await json<Status>(members, ["status"])
  const shares = Object.fromEntries(servers.map(({ name, usage }) => [name, usage?.shareCount]))
  assert.equal(shares["w1"], 0)
  assert.ok(shares["n1"]! > 0 && shares["n2"]! > 0)
  assert.deepEqual(
    servers.filter(({ witness }) => witness).map(({ name }) => name),
    ["w1"],
  )
  assert.match((await members.run(["status"])).stdout, /w1 .*0 shares.*, witness/)
  assert.match((await members.run(["doctor"], { code: "any" })).stdout, /server w1: .* a witness/)
  assert.match((await members.run(["grid", "show"])).stdout, /w1: a witness: roots of trees, and no data/)
  const words = join(members.folder, "words")
  fs.writeFileSync(words, "correct horse battery staple of mine 4711\n", { mode: 0o600 })
  await members.run(["recovery", "kit", "--kit-passphrase-file", words]) // three places: the witness keeps a part
  assert.match(
    (await members.run(["doctor"], { code: "any" })).stdout,
    /ok +recovery kit: .* restores what the profile has/,
  )
  const listed = await members.run(["coordinator", "members", "--dir", `${members.folder}/coordinator`])
  assert.match(listed.stdout, /^w1 .* witness$/m)

  await members.kill("n1")
  await members.kill("n2")
  for (const args of [
    ["get", "home:/of-the-first-without-n1", join(members.folder, "x")],
    ["put", "-", "home:/x"],
  ]) {
    const alone = await members.run(args, { code: "any", input: "x" })
    assert.notEqual(alone.code, 0)
    assert.match(alone.stderr, /1 of the 2 /, "the witness alone is no majority")
  }
})

test("two nodes without a witness are told what they lack, and survive none lost", async (t) => {
  const members = await startMembers({ coding: "1/1/2", nodes: ["n1", "n2"] })
  t.after(() => members.close())
  await members.run(["put", "-", "home:/file"], { input: "here" })
  const status = await members.run(["status"])
  assert.match(status.stdout, /survives 0 lost/)
  assert.match(status.stdout, /does NOT survive the loss of either node.*\n.*holdfast invite --role node --witness/)
  const doctor = await members.run(["doctor"], { code: "any" })
  assert.match(
    doctor.stdout,
    /^ok {3}grid .*: It does NOT survive the loss of either node.*\n {7}.*holdfast invite --role node --witness$/m,
  )
  await members.kill("n2")
  await members.run(["cat", "home:/file"], { code: 4 })
})

test("up explains what two nodes lack, makes a grid with a witness, and refuses one that would help nothing", async (t) => {
  const client = createClient()
  const grid = ["--dir", join(client.folder, "grid")]
  const two = ["--dir", join(client.folder, "two"), "--profile", "two"]
  t.after(async () => {
    for (const one of [grid, two]) await client.run(["down", ...one], { code: "any" })
    client.close()
  })
  const useless = ["up", "--nodes", "4", "--coding", "2/3/3", "--witness", "--dir", join(client.folder, "four")]
  assert.match((await client.run(useless, { code: 2 })).stderr, /A witness would help nothing/)
  const made = await client.run(["up", "--nodes", "2", "--witness", ...grid])
  assert.match(made.stdout, /2 nodes and the witness w1, any 1 of 2 shares/)
  assert.doesNotMatch(made.stdout, /one of two is none/)
  await client.run(["put", "-", "home:/file"], { input: "here" })
  assert.match((await client.run(["status", ...grid])).stdout, /survives 1 lost, .* 3 of 3 servers up/)
  assert.match((await client.run(["doctor", ...grid], { code: "any" })).stdout, /ok +process w1: runs/)
  const again = await client.run(["up", "--nodes", "3", ...grid], { code: "any" })
  assert.match(again.stderr, /has 2 nodes, a witness and coding 1\/1\/2, which stay/)
  await client.run(["down", ...grid])

  const lone = await client.run(["up", "--nodes", "2", ...two])
  assert.match(
    lone.stdout,
    /does NOT survive the loss of either node[\s\S]*one of two is none[\s\S]*holdfast up --nodes 2 --witness/,
  )
  await client.run(["down", ...two])
})
