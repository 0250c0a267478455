/** What comes out of the built command where outputs fail, and what is told of what was left out: real pipes, real disks. */
import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { type Client, createClient } from "./client.ts"
import { command } from "./command.ts"

let client: Client

before(async () => {
  client = createClient()
  const places = ["a", "b", "c"].map((name) => `dir:${client.folder}/disks/${name}`)
  await client.run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...places])
})
after(() => client.close())

/** Runs a line of shell in which `$HF` is the command; gives its standard error. */
function shell(line: string): Promise<string> {
  const env = { ...client.env, HF: `${process.execPath} ${command}` }
  return new Promise((resolve) => {
    const child = spawn("bash", ["-c", line], { cwd: client.folder, env, stdio: ["ignore", "ignore", "pipe"] })
    let said = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text
    })
    child.on("close", () => resolve(said))
  })
}

test("what cannot be written to standard output is told, and a reader that went away makes no failure a success", async () => {
  fs.writeFileSync(`${client.folder}/a.txt`, "a")
  await client.run(["put", "a.txt", "disks:"])
  assert.match(await shell("($HF ls disks: > /dev/full; echo code $? >&2)"), /could not be written: ENOSPC\.\ncode 1\n/)
  assert.equal(await shell("($HF --json put /nonexistent disks:; echo code $? >&2) | true"), "code 3\n")
  assert.equal(await shell("($HF ls disks:; echo code $? >&2) | true"), "code 0\n")
})

test("a home is stored without what Holdfast keeps there, and without sockets and pipes", async () => {
  execFileSync("mkfifo", [`${client.folder}/pipe`])
  const { stderr, code } = await client.run(["put", ".", "disks:/home"])
  assert.equal(code, 0)
  for (const name of ["config/holdfast", "state/holdfast", "disks/a", "disks/b", "disks/c", "pipe"])
    assert.match(stderr, new RegExp(`${name}" was left out`))
  const { stdout } = await client.run(["find", "disks:/home"])
  assert.match(stdout, /home\/a\.txt/)
  assert.doesNotMatch(stdout, /profiles|holdfast-volume|shares|pipe/)
  const again = await client.json<{ files: number; leftOut: string[] }>(["put", ".", "disks:/home"])
  assert.equal(again.files, 0)
  assert.equal(again.leftOut.length, 7) // what files were like has been noted in the cache since
  await client.run(["put", "pipe", "disks:"], { code: 2 })
  await client.run(["put", "config/holdfast", "disks:/keys"])
  assert.match((await client.run(["find", "disks:/keys"])).stdout, /profile/)
})

test("a place that another volume only marked says how it is freed, and a failed create marks none", async () => {
  const create = (name: string, third: string) => [
    "volume",
    "create",
    name,
    "--coding",
    "1/2/3",
    "--backend",
    "dir:n1",
    "dir:n2",
    `dir:${third}`,
  ]
  fs.writeFileSync(`${client.folder}/file`, "")
  await client.run(create("new", "file"), { code: "any" }).then(({ code }) => assert.notEqual(code, 0))
  await client.run(create("new", "n3"))
})

test("a secret on standard input is waited for, and taken from a pipe that a name stands for", async () => {
  await client.run(["cap", "disks:", "--out", "write.cap"])
  assert.equal(
    await shell("($HF ls cap: --volume disks --cap-file - < <(sleep 1.5; cat write.cap); echo code $? >&2)"),
    "code 0\n",
  )
  assert.equal(
    await shell("(sleep 1.5; cat write.cap) | ($HF ls @file:- --volume disks; echo code $? >&2)"),
    "code 0\n",
  )
  assert.equal(await shell("($HF ls cap: --volume disks --cap-file <(cat write.cap); echo code $? >&2)"), "code 0\n")
  assert.match(await shell("$HF ls cap: --cap-file - < /dev/zero"), /too large for a secret/)
})

test("a secret that goes into a file that others may read is told", async () => {
  assert.match(await shell("umask 022; $HF cap disks: > open.cap"), /others may read the file .* --out FILE/)
  assert.equal(await shell("umask 077; $HF cap disks: > closed.cap"), "")
  assert.match(await shell("$HF ls @file:open.cap --volume disks"), /chmod go= open\.cap/)
})
