/** Processes killed at random moments of writes: nothing acknowledged is lost, nothing is half there. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { openEngine } from "@holdfast/backends/directory"
import { nodeCrypto, systemClock } from "@holdfast/core/node"
import { finish } from "./grid.ts"
import { type Members, startMembers } from "./members.ts"
import { randomFrom } from "./random.ts"

/** 1,000 before a release: see docs/contributing.md. */
const rounds = Number(process.env["HOLDFAST_KILL_ROUNDS"] ?? 100)
const lanes = 2
/** A put takes about so long from start to end. */
const spanMs = 450

let members: Members
before(async () => {
  members = await startMembers()
})
after(async () => {
  await members?.close()
})

test(`${rounds} puts with a node, the client or the coordinator killed meanwhile lose nothing acknowledged`, async (t) => {
  const seed = Number(process.env.HOLDFAST_TEST_SEED ?? Date.now() % 1_000_000)
  t.diagnostic(`HOLDFAST_TEST_SEED=${seed}`)
  const random = randomFrom(seed)
  const acknowledged = new Set<number>()
  const killed = { node: 0, client: 0, coordinator: 0 }
  const down = new Set<string>()
  const source = `${members.folder}/source`

  const playRound = async (round: number) => {
    writeFiles(`${source}/r${round}`, random)
    const child = members.start(["put", `${source}/r${round}`, `home:/r${round}`])
    const ended = finish(child)
    const kind = (["node", "client", "coordinator"] as const)[random(3)]!
    await Promise.race([delay(random(spanMs)), ended])
    if (kind === "client") {
      if (child.exitCode === null) killed.client++
      child.kill("SIGKILL")
    } else {
      const victim = kind === "node" ? members.nodes[random(members.nodes.length)]! : kind
      if (!down.has(victim)) {
        down.add(victim)
        await members.kill(victim)
        killed[kind]++
        await members.revive(victim)
        down.delete(victim)
      }
    }
    if ((await ended).code === 0) acknowledged.add(round)
  }
  let next = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (next < rounds) await playRound(next++)
    }),
  )
  t.diagnostic(`killed ${JSON.stringify(killed)}; ${acknowledged.size} of ${rounds} puts acknowledged`)
  assert.ok(killed.node > 10 && killed.client > 10 && killed.coordinator > 10, JSON.stringify(killed))
  assert.ok(acknowledged.size > rounds / 4, `only ${acknowledged.size} puts were acknowledged`)

  await members.run(["get", "home:", `${members.folder}/back`])
  for (let round = 0; round < rounds; round++) {
    const [expected, found] = [contentOf(`${source}/r${round}`), contentOf(`${members.folder}/back/r${round}`)]
    if (found || acknowledged.has(round)) assert.deepEqual(found, expected, `round ${round}`)
  }
  // A node that was away has missed shares; no chunk lacks more than a repair can mend.
  await members.run(["check", "home:", "--deep", "--verify", "--repair"])
  const report = JSON.parse((await members.run(["check", "home:", "--deep", "--verify", "--json"])).stdout)
  assert.ok(report.healthy > 0 && report.damaged === 0 && report.lost === 0, JSON.stringify(report))
})

test("after all that, what the nodes hold is whole", async () => {
  await members.close({ keep: true })
  for (const node of members.nodes) {
    const engine = await openEngine({ dir: members.dataOf(node), crypto: nodeCrypto, clock: systemClock })
    const report = await engine.scrub()
    await engine.close()
    assert.ok(report.shares > 20, `${node} holds ${report.shares} shares`)
    assert.deepEqual(report.rot, [], node)
  }
  fs.rmSync(members.folder, { recursive: true, force: true })
})

/** Files of the sizes that are stored differently: inline, in a pack, as small and as large shares. */
function writeFiles(folder: string, random: (limit: number) => number): void {
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, sizeBytes] of Object.entries({ a: 100, b: 5_000, c: 60_000, d: 400_000 }))
    fs.writeFileSync(
      `${folder}/${name}`,
      Uint8Array.from({ length: 1 + random(sizeBytes) }, () => random(256)),
    )
}

/** Names and contents of a folder; undefined when it is not there. */
function contentOf(folder: string): Record<string, Buffer> | undefined {
  if (!fs.existsSync(folder)) return undefined
  return Object.fromEntries(fs.readdirSync(folder).map((name) => [name, fs.readFileSync(`${folder}/${name}`)]))
}
