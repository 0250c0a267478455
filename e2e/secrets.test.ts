/** Secrets on the command line and in files, names that are hostile, descriptions that lead elsewhere: the built command, real disks. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { after, before, test } from "node:test"
import { type Client, createClient } from "./client.ts"

const control = /[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]/u
const hostile = "x\u001b]0;P\u0007\u009b2J\u007f\u202e\u2066\u2028z"
const allow = { HOLDFAST_ALLOW_SECRETS_IN_ARGV: "1" }
let client: Client
let cap: string

before(async () => {
  client = createClient()
  const places = ["a", "b", "c"].map((name) => `dir:${client.folder}/${name}`)
  await client.run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...places])
  await client.run(["cap", "disks:", "--out", "write.cap"])
  cap = fs.readFileSync(`${client.folder}/write.cap`, "utf8").trim()
})
after(() => client.close())

/** The ways in which people write a secret where it does not belong. */
const misplaced = (secret: string) => [
  ["alias", "add", "x", secret],
  [secret],
  ["alias", "create", secret],
  ["alias", "remove", secret, "--yes"],
  ["ls", "--profile", secret],
  ["ls", `@file:${secret}`],
  ["seen", "forget", secret],
  ["gc", "--grace", secret],
  ["join", "--invite-file", secret],
  ["volume", "import", "--file", secret],
  ["completion", secret],
  ["ls", `--volume=${secret}`],
  ["put", secret, "disks:"],
  ["volume", "create", "v", "--coding", secret, "--backend", "dir:x"],
  ["ls", `${secret.slice(0, -1)}0/${secret}`],
  ["ls", "--passphrase-file", secret],
]

test("no error shows a capability or an invitation that was typed, in any spelling, with --json or without", async () => {
  const invite = `hf-invite:${cap.slice(6)}`
  const spellings = [cap, cap.toUpperCase(), encodeURIComponent(cap), invite]
  for (const [i, args] of misplaced(cap).entries()) {
    const secret = spellings[i % spellings.length]!
    const words = args.map((word) => word.replaceAll(cap, secret))
    for (const more of [{}, allow])
      for (const json of i % 2 === 0 ? [[]] : [["--json"]]) {
        const { stdout, stderr, code } = await client.run([...words, ...json], { code: "any", env: more })
        const said = (stdout + stderr).toLowerCase()
        const shown = words.map((word) => word.replaceAll(secret, "SECRET")).join(" ")
        assert.ok(!said.includes(cap.slice(6, 20)), `${shown}: ${said}`)
        if (more !== allow) {
          assert.equal(code, 6, shown)
          assert.match(said, /looks like a secret/)
        } else assert.doesNotMatch(said, /looks like a secret/)
      }
  }
})

test("a file with a secret that others may read is refused, by each command that takes one", async () => {
  const copy = `${client.folder}/open.cap`
  fs.writeFileSync(copy, `${cap}\n`, { mode: 0o644 })
  const taking = [
    ["ls", "@file:open.cap"],
    ["ls", "cap:", "--cap-file", "open.cap"],
    ["alias", "add", "x", "--cap-file", "open.cap"],
    ["join", "--invite-file", "open.cap"],
    ["lock", "--passphrase-file", "open.cap"],
    ["account", "use", "open.cap"],
    ["recovery", "restore", "--kit-passphrase-file", "open.cap"],
    ["coordinator", "root", "sign", "--dir", "none", "--root-file", "open.cap"],
  ]
  for (const args of taking) {
    const { stdout } = await client.run([...args, "--json"], { code: 6 })
    assert.equal(JSON.parse(stdout).error.code, "ERR_EXPOSED", args.join(" "))
  }
  fs.symlinkSync("open.cap", `${client.folder}/link.cap`)
  await client.run(["ls", "@file:link.cap"], { code: 6 })
  fs.chmodSync(copy, 0o600)
  await client.run(["ls", "@file:link.cap", "--volume", "disks"])
})

test("--out makes a file that its owner alone may read, and never replaces one", async () => {
  const made = [
    ["cap", "disks:", "--read", "--out", "read.cap"],
    ["account", "export", "--out", "own.account"],
    ["recovery", "kit", "--volume", "disks", "--out", "words"],
  ]
  for (const args of made) {
    const file = `${client.folder}/${args.at(-1)}`
    const { stdout } = await client.run(args)
    assert.doesNotMatch(stdout, /hf:d/)
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    const before = fs.readFileSync(file, "utf8")
    assert.match((await client.run(args, { code: 1 })).stderr, /already/)
    assert.equal(fs.readFileSync(file, "utf8"), before)
  }
})

test("names of files, snapshots and devices drive no terminal, in no command", async () => {
  fs.mkdirSync(`${client.folder}/in/${hostile}`, { recursive: true })
  fs.writeFileSync(`${client.folder}/in/${hostile}/${hostile}`, "text")
  fs.symlinkSync(hostile, `${client.folder}/in/link-${hostile}`)
  const commands = [
    ["put", "in", "disks:"],
    ["ls", "-l", "disks:in"],
    ["tree", "disks:"],
    ["find", "disks:"],
    ["du", `disks:in/${hostile}`],
    ["stat", `disks:in/${hostile}/${hostile}`],
    ["snapshot", "create", "disks:", hostile],
    ["snapshot", "list", "disks:"],
    ["ls", `disks:@${hostile}`],
    ["ls", `disks:@no-${hostile}`],
    ["diff", `disks:@${hostile}`, "disks:"],
    ["history", "disks:"],
    ["check", "--deep", "disks:"],
    ["get", "disks:in", "out"],
    ["get", "disks:in", "out"],
    ["mv", `disks:in/${hostile}`, `disks:in/no/${hostile}`],
    ["rm", `disks:in/${hostile}`],
    ["ls", `disks:in/${hostile}/no`],
    ["ls", hostile],
    ["put", hostile, "disks:"],
    ["alias", "create", hostile],
    ["volume", "show", hostile],
    ["--profile", hostile, "ls"],
    [hostile],
    ["ls", `--${hostile}`],
    ["completion", hostile],
    ["volume", "import", "--file", hostile],
    ["account", "show"],
    ["volume", "show", "disks"],
    ["gc"],
  ]
  for (const args of commands) {
    const { stdout, stderr } = await client.run(args, { code: "any" })
    assert.doesNotMatch(stdout.replaceAll("\t", "") + stderr, control, JSON.stringify(args))
  }
  const listed = await client.run(["ls", "disks:in", "--json"])
  assert.doesNotMatch(listed.stdout, control)
  assert.equal((await client.run(["cat", `disks:in/${hostile}/${hostile}`])).stdout, "text")
  const [entry] = await client.json<{ name: string }[]>(["ls", `disks:in/${hostile}`])
  assert.equal(entry!.name, hostile)
})

test("names that every object has are names as others are", async () => {
  for (const name of ["constructor", "toString"]) {
    assert.match((await client.run(["ls", `${name}:`], { code: 3 })).stderr, /There is no alias/)
    assert.match((await client.run(["volume", "show", name], { code: 3 })).stderr, /There is no volume/)
    await client.run(["volume", "create", name, "--coding", "1/1/1", "--backend", `dir:${client.folder}/${name}`])
    await client.run(["put", "in", `${name}:`])
    assert.match((await client.run(["ls", `${name}:`])).stdout, /^in\/$/m)
    await client.run(["alias", "remove", name, "--yes"])
    await client.run(["volume", "remove", name])
    await client.run(["alias", "add", name, "--cap-file", "write.cap", "--volume", "disks", "--local"])
    assert.match((await client.run(["ls", `${name}:`])).stdout, /^in\/$/m)
    await client.run(["alias", "remove", name])
  }
  for (const name of ["__proto__", "__defineGetter__"]) {
    await client.run(["alias", "create", name, "--volume", "disks"], { code: 2 })
    await client.run(["ls", `${name}:`], { code: 2 })
  }
})

test("an imported description says where it leads, and keys go to no new host unasked", async () => {
  const bucket = { kind: "s3", id: "a@s3.good.example", bucket: "a", prefix: "", endpoint: "https://evil.example:9000" }
  const place = { ...bucket, region: "us-east-1", pathStyle: true, conditionalWrites: true, profile: "main" }
  const description = {
    ...{ version: 1, id: "ab".repeat(16), name: "given", coding: { k: 1, happy: 1, n: 1 }, registerMode: "crash" },
    backends: [place],
  }
  const input = JSON.stringify(description)
  for (const json of [[], ["--json"]]) {
    const { stdout, stderr } = await client.run(["volume", "import", ...json], { input, code: 2 })
    assert.match(stdout + stderr, /bucket a at https:\/\/evil\.example:9000, with the keys of the AWS profile main/)
  }
  assert.doesNotMatch((await client.run(["volume", "list"])).stdout, /given/)
  assert.match((await client.run(["volume", "import", "--yes"], { input })).stdout, /at https:\/\/evil\.example:9000/)
  await client.run(["volume", "import"], { input }) // known by now
  for (const other of [{ profile: "work" }, { credentials: `${client.folder}/other.keys` }]) {
    const led = { ...description, id: "ef".repeat(16), name: "led", backends: [{ ...place, ...other, id: "b" }] }
    const { stderr } = await client.run(["volume", "import"], { input: JSON.stringify(led), code: 2 })
    assert.match(stderr, /evil\.example:9000, with the keys (of the AWS profile work|in .*other\.keys under \[main\])/)
  }
  const local = { ...description, id: "cd".repeat(16), name: "local" }
  const directory = { kind: "directory", id: "harmless", path: "/somewhere/else" }
  const shown = await client.run(["volume", "import"], { input: JSON.stringify({ ...local, backends: [directory] }) })
  assert.match(shown.stdout, /directory \/somewhere\/else/)
})
