/** A volume over directories, used by several commands at once: none of them waits for the end of another. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import { type TestContext, test } from "node:test"
import { type Client, createClient } from "./client.ts"
import { finish } from "./grid.ts"

async function disks(t: TestContext): Promise<Client> {
  const client = createClient()
  t.after(() => client.close())
  const places = [1, 2, 3, 4].map((i) => `dir:${client.folder}/disk${i}`)
  await client.run(["volume", "create", "disks", "--coding", "2/3/4", "--backend", ...places])
  return client
}

test("while a long put runs, other commands list, read, store, check and collect", async (t) => {
  const client = await disks(t)
  await client.run(["put", "-", "disks:/before"], { input: "before" })
  const long = client.start(["put", "-", "disks:/long"])
  t.after(() => long.kill("SIGKILL"))
  const ended = once(long, "close")
  const content = randomBytes(9_000_000)
  long.stdin!.write(content)
  for (;;) {
    const { stdout } = await client.run(["ls", "disks:"])
    assert.match(stdout, /before/)
    if (fs.existsSync(`${client.folder}/disk1/shares/local`)) break // what is being put has come to the places
  }
  await client.run(["put", "-", "disks:/meanwhile"], { input: "meanwhile" })
  assert.equal((await client.run(["cat", "disks:/meanwhile"])).stdout, "meanwhile")
  await client.run(["check", "--deep", "disks:"])
  await client.run(["gc", "--volume", "disks"])
  assert.equal(long.exitCode, null, "it runs all that time")
  long.stdin!.end()
  assert.deepEqual(await ended, [0, null])
  await client.run(["get", "disks:/long", "back"])
  assert.ok(fs.readFileSync(`${client.folder}/back`).equals(content))
})

test("four puts at once, one of them killed, and each other has stored all of its own", async (t) => {
  const client = await disks(t)
  const names = ["a", "b", "c", "d"]
  for (const name of names) {
    fs.mkdirSync(`${client.folder}/${name}`)
    for (let i = 0; i < 12; i++) fs.writeFileSync(`${client.folder}/${name}/${i}`, randomBytes(i % 2 ? 300_000 : 3000))
  }
  const running = names.map((name) => client.start(["put", name, `disks:/${name}`]))
  const ends = Promise.all(running.map((child) => finish(child)))
  const victim = running.at(-1)!
  while (!fs.existsSync(`${client.folder}/disk1/shares/local`)) await new Promise((resolve) => setTimeout(resolve, 10))
  victim.kill("SIGKILL")
  const ended = await ends
  assert.deepEqual(
    ended.slice(0, 3).map(({ code, stderr }) => [code, stderr]),
    [0, 1, 2].map(() => [0, ""]),
  )
  for (const name of names.slice(0, 3)) {
    await client.run(["get", `disks:/${name}`, `back-${name}`])
    for (const file of fs.readdirSync(`${client.folder}/${name}`)) {
      const [was, is] = [name, `back-${name}`].map((folder) => fs.readFileSync(`${client.folder}/${folder}/${file}`))
      assert.ok(was!.equals(is!), `${name}/${file}`)
    }
  }
  await client.run(["check", "--deep", "disks:"])
})
