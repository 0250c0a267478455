/** `holdfast maintain` over real nodes, directories and processes. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { type Client, createClient } from "./client.ts"
import { type Grid, startGrid, until } from "./grid.ts"

interface Round {
  readonly ok: boolean
  readonly trees: readonly {
    readonly tree: string
    readonly suspects: number
    readonly mended: number
    readonly below: number
    readonly broken: number
    readonly verify?: { readonly chunks: number; readonly isDone: boolean }
  }[]
  readonly volumes: readonly { readonly away: readonly unknown[]; readonly collected: unknown }[]
}

let client: Client
before(() => {
  client = createClient()
})
after(() => client.close())

/** Files below a place's folder that hold shares. */
function sharesIn(place: string): string[] {
  const names = fs.readdirSync(`${place}/shares`, { recursive: true, encoding: "utf8" })
  return names.map((name) => `${place}/shares/${name}`).filter((path) => fs.statSync(path).isFile())
}

function state(profile = "default") {
  const path = `${client.folder}/state/holdfast/maintenance/${profile}/state.json`
  return fs.existsSync(path) ? JSON.parse(fs.readFileSync(path, "utf8")) : undefined
}

test("who holds nothing but a verify capability keeps a grid's data whole: others may be lost after one was", async (t) => {
  const grid: Grid = await startGrid({ nodes: 7, coding: "3/4/5" })
  t.after(() => grid.close())
  const caretaker = Object.fromEntries(
    ["CONFIG", "DATA", "STATE"].map((kind) => [`XDG_${kind}_HOME`, `${grid.folder}/caretaker/${kind.toLowerCase()}`]),
  )
  const files = `${grid.folder}/files`
  fs.mkdirSync(files)
  for (let i = 0; i < 30; i++) fs.writeFileSync(`${files}/${i}`, randomBytes(i * 5000))
  await grid.run(["put", files, "home:/files"])
  const invite = `${grid.folder}/invite`
  const coordinator = `${grid.folder}/data/holdfast/grid/coordinator`
  const { stdout } = await grid.run([
    "invite",
    "--dir",
    coordinator,
    "--tenant",
    "home",
    "--roles",
    "read,append,repair",
  ])
  fs.writeFileSync(invite, stdout, { mode: 0o600 })
  await grid.run(["join", "--invite-file", invite, "--name", "caretaker"], { env: caretaker })
  const cap = (await grid.run(["cap", "home:", "--verify"])).stdout
  await grid.run(["alias", "add", "cared", "--local"], { env: caretaker, input: cap })
  const maintain = (args: readonly string[], code = 0) =>
    grid.json<Round>(["maintain", "--once", ...args], { env: caretaker, code })
  const well = await maintain([])
  assert.deepEqual([well.ok, well.trees[0]!.tree, well.volumes[0]!.collected], [true, "cared:", null])

  // Of seven nodes five hold a chunk, and there are few chunks: not each node need have a share.
  const nodes = ["n1", "n2", "n3", "n4", "n5", "n6", "n7"]
  const disk = (node: string) => `${grid.folder}/data/holdfast/grid/${node}/data`
  const shares = (node: string) => (fs.existsSync(`${disk(node)}/shares`) ? sharesIn(disk(node)).length : 0)
  const [lost, ...others] = nodes.sort((a, b) => shares(b) - shares(a)) as [string, ...string[]]
  await grid.kill(lost)
  const waiting = await maintain([], 5)
  assert.deepEqual([waiting.trees[0]!.mended, waiting.volumes[0]!.away.length], [0, 1])
  const mended = await maintain(["--wait", "0s"])
  assert.ok(mended.trees[0]!.mended > 0 && mended.trees[0]!.below === 0, JSON.stringify(mended))
  // It comes back with nothing: its copy of the root is mended too, on which the quorum stands then.
  grid.wipe(lost)
  await grid.revive()
  assert.ok((await maintain([])).ok)
  for (const node of others.slice(0, 2)) await grid.kill(node)
  await grid.run(["get", "home:/files", `${grid.folder}/back`])
  for (let i = 0; i < 30; i++)
    assert.ok(fs.readFileSync(`${grid.folder}/back/${i}`).equals(fs.readFileSync(`${files}/${i}`)))
  await grid.revive()
})

test("a read tells of shares that are damaged or gone, and the next round mends them first", async () => {
  const places = ["a", "b", "c", "d", "e"].map((name) => `${client.folder}/disks/${name}`)
  const volume = ["volume", "create", "disks", "--coding", "3/4/5", "--backend"]
  await client.run([...volume, ...places.map((place) => `dir:${place}`)])
  // Of so many chunks each place has shares that are read first.
  fs.writeFileSync(`${client.folder}/large`, randomBytes(50_000_000))
  await client.run(["put", "large", "disks:/large"])
  assert.ok((await client.json<Round>(["maintain", "--once"])).ok)
  for (const share of sharesIn(places[0]!)) {
    const bytes = fs.readFileSync(share)
    bytes[bytes.length >> 1]! ^= 1
    fs.writeFileSync(share, bytes)
  }
  for (const share of sharesIn(places[1]!)) fs.rmSync(share)
  const { stderr } = await client.run(["get", "-v", "disks:/large", "back"])
  assert.ok(fs.readFileSync(`${client.folder}/back`).equals(fs.readFileSync(`${client.folder}/large`)))
  assert.match(stderr, /^a-\S+: \d+ shares? damaged, read from others\.$/m)
  assert.match(stderr, /^b-\S+: \d+ shares? missing, read from others\.$/m)
  const mended = await client.json<Round>(["maintain", "--once", "--sample", "0"])
  assert.ok(mended.trees[0]!.suspects > 0 && mended.trees[0]!.mended > 0, JSON.stringify(mended))
  await client.json<Round>(["maintain", "--once", "--every", "0s"]) // what nothing has read yet
  await client.run(["check", "--deep", "--verify", "disks:"])
  for (const place of places.slice(2, 4)) for (const share of sharesIn(place)) fs.rmSync(share)
  await client.run(["get", "disks:/large", "again"])
  assert.ok(fs.readFileSync(`${client.folder}/again`).equals(fs.readFileSync(`${client.folder}/large`)))
})

test("a round that was killed goes on where it was, one that is asked to end says so, and metrics tell of it", async () => {
  await client.run(["volume", "create", "big", "--coding", "1/1/1", "--backend", `dir:${client.folder}/bigdisk`])
  const file = fs.openSync(`${client.folder}/huge`, "w")
  for (let i = 0; i < 48; i++) fs.writeSync(file, randomBytes(4 * 1024 * 1024))
  fs.closeSync(file)
  await client.run(["put", "huge", "big:/huge"])
  const chunks = (await client.json<{ chunks: number }>(["check", "--deep", "big:"])).chunks
  assert.ok(chunks > 45)
  const args = ["maintain", "--volume", "big", "--every", "0s"]
  const before = new Set(Object.keys(state()?.trees ?? {}))
  const position = () =>
    Object.entries<{ verify?: { position: string } }>(state()?.trees ?? {})
      .map(([key, { verify }]) => (before.has(key) ? "" : (verify?.position ?? "")))
      .find((at) => at !== "")
  const isKilled = client.start([...args, "--once", "--limit-download", "60M"])
  await until("a part to be verified", () => position() !== undefined)
  isKilled.kill("SIGKILL")
  await once(isKilled, "close")
  const [left] = (await client.json<Round>([...args, "--once"])).trees
  assert.ok(left!.verify!.isDone && left!.verify!.chunks > 0 && left!.verify!.chunks < chunks, JSON.stringify(left))

  const running = client.start([...args, "--metrics", "0"])
  let said = ""
  running.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text
  })
  let address: string | undefined
  await until("its monitor to be there", () => {
    address = /http:\/\/\S+\/metrics/.exec(said)?.[0]
    return address !== undefined
  })
  await until("a round to end", async () =>
    /holdfast_maintain_rounds_total 1/.test(await (await fetch(address!)).text()),
  )
  assert.match(await (await fetch(address!)).text(), /holdfast_maintain_below_chunks\{tree="big:"\} 0/)
  assert.ok((await client.json<Round>([...args, "--once"])).ok, "between rounds another process may run one")
  running.kill("SIGTERM")
  const [code, by] = await once(running, "close")
  assert.deepEqual([code, by], [null, "SIGTERM"])
  assert.match(said, /Stopped\. The same command goes on from here\./)
  const { stdout } = await client.run(["status"])
  assert.match(stdout, /maintained big: last looked at \S+, verified in full \d{4}-\d\d-\d\d/)
})
