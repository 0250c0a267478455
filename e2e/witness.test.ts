/** A volume over two places and a witness, which is a directory, or a node: what it survives, what it keeps, how it is offered. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { type Client, createClient } from "./client.ts"
import { command } from "./command.ts"
import { startMembers } from "./members.ts"

interface Volume {
  readonly version: number
  readonly registerMode: string
  readonly survives: { readonly lost: number }
  readonly lacksWitness?: boolean
  readonly backends: readonly { id: string; kind: string; witness?: boolean; shareCount?: number }[]
}

function newClient(t: TestContext): Client {
  const client = createClient()
  t.after(() => client.close())
  return client
}

/** Bytes of the files below a folder, and whether one holds any of these. */
function bytesIn(folder: string): number {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.reduce((sum, { parentPath, name }) => sum + fs.statSync(join(parentPath, name)).size, 0)
}

async function without(place: string, work: () => Promise<void>): Promise<void> {
  fs.renameSync(place, `${place}.away`)
  await work().finally(() => fs.renameSync(`${place}.away`, place))
}

test("with a witness, any one of the three places may be away: puts and gets go on, and repairs mend what it missed", async (t) => {
  const client = newClient(t)
  const [a, b, w] = ["a", "b", "w"].map((name) => `${client.folder}/${name}`) as [string, string, string]
  const made = await client.json<Volume>([
    ...["volume", "create", "pair", "--coding", "1/1/2", "--backend", `dir:${a}`, `dir:${b}`, "--witness", `dir:${w}`],
  ])
  assert.deepEqual([made.version, made.registerMode, made.survives.lost, made.lacksWitness], [3, "crash", 1, false])
  const content = randomBytes(8_000_000)
  await client.run(["put", "-", "pair:/first"], { input: content })
  const contentOf = async (path: string) => {
    await client.run(["get", path, "back"])
    const back = fs.readFileSync(`${client.folder}/back`)
    fs.rmSync(`${client.folder}/back`)
    return back
  }
  const small = content.subarray(0, 2_000_000)
  for (const place of [a, b, w]) {
    await without(place, async () => {
      assert.ok((await contentOf("pair:/first")).equals(content))
      const name = `pair:/while-${place.at(-1)}-is-away`
      const put = await client.run(["put", "-", name], { input: small })
      assert.match(put.stderr, /warning: what was stored is safe, but not everywhere/)
    })
    if (place === a)
      await without(b, async () => {
        const lost = await client.run(["get", "pair:/while-a-is-away", "x"], { code: 4 })
        assert.match(
          lost.stderr,
          /a-\w+: has no share; b-\w+: .* is not there/,
          "it lies on b alone until a repair, and that is said",
        )
      })
    await client.run(["check", "--deep", "--repair", "pair:"])
  }
  for (const place of [a, b, w])
    await without(place, async () => {
      assert.ok((await contentOf("pair:/while-a-is-away")).equals(small))
    })
  await client.run(["rm", "pair:/first"])
  await client.run(["gc"])
  await client.run(["rebalance", "pair:"])
  const shown = await client.json<Volume>(["volume", "show", "pair"])
  const witness = shown.backends.find((place) => place.witness)!
  assert.equal(witness.shareCount, 0)
  assert.ok(shown.backends.every((place) => place.witness || place.shareCount! > 0))
  assert.ok(bytesIn(w) < 1_000_000, `it keeps some registers: ${bytesIn(w)} bytes`)
  assert.ok(bytesIn(a) > 6_000_000 && bytesIn(b) > 6_000_000)
  assert.match((await client.run(["volume", "show", "pair"])).stdout, /witness: directory .*\/w\n/)
  assert.match((await client.run(["status"])).stdout, /survives 1 lost, 0 lying; 3 of 3 places up/)
  assert.match((await client.run(["doctor"], { code: "any" })).stdout, /volume pair.*w-\w+ answers, and has room/)
  await client.run(["volume", "test", "pair"])

  fs.renameSync(a, `${a}.away`)
  fs.renameSync(b, `${b}.away`)
  for (const args of [
    ["get", "pair:/while-a-is-away", "x"],
    ["put", "back2", "pair:/x"],
  ]) {
    fs.writeFileSync(`${client.folder}/back2`, "x")
    const alone = await client.run([...args], { code: "any" })
    assert.notEqual(alone.code, 0)
    assert.match(alone.stderr, /1 of the 2 /, "the witness alone is no majority")
  }
})

test("a recovery kit of a volume with a witness has a part there too, and two of three places restore it", async (t) => {
  const [client, fresh] = [newClient(t), newClient(t)]
  const places = ["a", "b", "w"].map((name) => `dir:${client.folder}/${name}`)
  await client.run([
    "volume",
    "create",
    "pair",
    "--coding",
    "1/1/2",
    "--backend",
    places[0]!,
    places[1]!,
    "--witness",
    places[2]!,
  ])
  await client.run(["put", "-", "pair:/file"], { input: "what is kept" })
  fs.writeFileSync(`${client.folder}/words`, "correct horse battery staple of mine 4711\n", { mode: 0o600 })
  await client.run(["recovery", "kit", "--kit-passphrase-file", "words"])
  fs.renameSync(`${client.folder}/a`, `${client.folder}/a.away`)
  await fresh.run([
    "recovery",
    "restore",
    "--kit-passphrase-file",
    `${client.folder}/words`,
    "--backend",
    places[1]!,
    places[2]!,
  ])
  assert.equal((await fresh.run(["cat", "pair:/file"])).stdout, "what is kept")
  const { backends } = await fresh.json<Volume>(["volume", "show", "pair"])
  assert.deepEqual(
    backends.map(({ witness = false }) => witness),
    [false, false, true],
  )
})

test("a volume of before gets a witness, other profiles follow, and a later third place makes it useless", async (t) => {
  const [mover, reader] = [newClient(t), newClient(t)]
  const places = ["a", "b", "w", "c"].map((name) => `dir:${mover.folder}/${name}`)
  const lone = await mover.run(["volume", "create", "pair", "--coding", "1/1/2", "--backend", ...places.slice(0, 2)])
  assert.match(lone.stdout, /does NOT survive the loss of either place.*\n.*one of two is none/i)
  assert.match(lone.stdout, /holdfast volume add-backend pair --witness PLACE/)
  await mover.run(["put", "-", "pair:/file"], { input: "before" })
  await without(`${mover.folder}/b`, async () => {
    await mover.run(["cat", "pair:/file"], { code: 4 })
  })
  fs.writeFileSync(`${reader.folder}/pair.json`, (await mover.run(["volume", "export", "pair"])).stdout)
  fs.writeFileSync(`${reader.folder}/cap`, (await mover.run(["cap", "pair:"])).stdout, { mode: 0o600 })
  await reader.run(["volume", "import", "--file", "pair.json"])
  await reader.run(["alias", "add", "theirs", "--volume", "pair", "--cap-file", "cap", "--local"])

  await mover.run(["volume", "add-backend", "pair", "--witness", places[2]!])
  await without(`${mover.folder}/b`, async () => {
    assert.equal((await mover.run(["cat", "pair:/file"])).stdout, "before")
  })
  await reader.run(["put", "-", "theirs:/other"], { code: 6, input: "x" })
  await reader.run(["volume", "follow", "pair"])
  await without(`${mover.folder}/a`, async () => {
    assert.equal((await reader.run(["cat", "theirs:/file"])).stdout, "before")
    await reader.run(["put", "-", "theirs:/other"], { input: "after" })
  })
  assert.equal((await mover.run(["cat", "pair:/other"])).stdout, "after")

  const grown = await mover.run(["volume", "add-backend", "pair", places[3]!])
  assert.match(grown.stdout, /witness w-\w+ adds nothing to what it survives now/)
  const witness = (await mover.json<Volume>(["volume", "show", "pair"])).backends.find((place) => place.witness)!
  await mover.run(["volume", "remove-backend", "pair", witness.id])
  const now = await mover.json<Volume>(["volume", "show", "pair"])
  assert.deepEqual([now.version, now.survives.lost, now.backends.length], [2, 1, 3])
  assert.equal((await mover.run(["cat", "pair:/other"])).stdout, "after")
})

test("witnesses that would help nothing are refused with the reason, and so are codings that need their shares", async (t) => {
  const client = newClient(t)
  const create = (coding: string, count: number, more: readonly string[] = []) =>
    client.run(
      [
        ...["volume", "create", "v", "--coding", coding, ...more, "--witness", `dir:${client.folder}/w`],
        ...["--backend", ...Array.from({ length: count }, (_, i) => `dir:${client.folder}/p${i}`)],
      ],
      { code: 2 },
    )
  assert.match((await create("2/2/2", 2)).stderr, /with K = N = 2 each place with shares is needed/)
  assert.match(
    (await create("1/2/3", 3, ["--mode", "crash"])).stderr,
    /with it and without it 1 of the places may be lost/,
  )
  assert.match((await create("2/3/4", 4)).stderr, /would help nothing/)
  assert.match((await create("1/2/3", 2)).stderr, /3 shares need as many places that keep shares, but it has 2/)
  assert.equal(fs.existsSync(`${client.folder}/p0`), false, "nothing was made")
})

test("who names two places on a terminal is told what a witness is, and may name one", async (t) => {
  const client = newClient(t)
  const args = (name: string) => [
    "volume",
    "create",
    name,
    "--coding",
    "1/1/2",
    "--backend",
    ...["a", "b"].map((one) => `dir:${client.folder}/${name}-${one}`),
  ]
  const onTerminal = async (name: string, answer: string) => {
    const line = [process.execPath, command, ...args(name)]
    const quoted = line.map((word) => `'${word}'`).join(" ")
    const terminal = spawn("script", ["-qfec", quoted, "/dev/null"], { cwd: client.folder, env: client.env })
    let shown = ""
    let isAnswered = false
    terminal.stdout.on("data", (bytes: Buffer) => {
      shown += bytes.toString()
      if (isAnswered || !shown.includes("Place of the witness")) return
      isAnswered = true
      terminal.stdin.write(`${answer}\r`)
    })
    const [code] = await once(terminal, "close")
    assert.equal(code, 0, shown)
    return shown
  }
  assert.match(
    await onTerminal("named", `dir:${client.folder}/w`),
    /one of two is none[\s\S]*survives 1 lost[\s\S]*witness: directory/,
  )
  assert.match(await onTerminal("none", ""), /survives 0 lost[\s\S]*does NOT survive the loss of either place/)
})

test("a node of a grid is the witness of two directories, and holds no share of them", async (t) => {
  const members = await startMembers()
  t.after(() => members.close())
  const dirs = ["a", "b"].map((name) => join(members.folder, name)) as [string, string]
  const before = bytesIn(members.dataOf("n1"))
  await members.run([
    ...[
      "volume",
      "create",
      "pair",
      "--coding",
      "1/1/2",
      "--backend",
      ...dirs.map((dir) => `dir:${dir}`),
      "--witness",
      "node:n1",
    ],
  ])
  const content = randomBytes(5_000_000)
  await members.run(["put", "-", "pair:/file"], { input: content })
  for (const dir of dirs) {
    await without(dir, async () => {
      await members.run(["get", "pair:/file", join(members.folder, `back-${dir.at(-1)}`)])
      assert.ok(fs.readFileSync(join(members.folder, `back-${dir.at(-1)}`)).equals(content))
      await members.run(["put", "-", `pair:/without-${dir.at(-1)}`], { input: "x" })
    })
    await members.run(["check", "--deep", "--repair", "pair:"])
  }
  await members.kill("n1")
  await members.run(["get", "pair:/without-a", join(members.folder, "more")])
  await members.run(["put", "-", "pair:/without-the-witness"], { input: "x" })
  assert.ok(bytesIn(members.dataOf("n1")) - before < 1_000_000)
})
