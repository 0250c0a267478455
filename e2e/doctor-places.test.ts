/** What `doctor` says of volumes over two places, and that the command which it names mends it. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { type TestContext, test } from "node:test"
import { createClient } from "./client.ts"

/** A volume over two directories, which of these is taken away by `without`. */
async function pairOf(t: TestContext, coding: string) {
  const client = createClient()
  t.after(() => client.close())
  const places = ["a", "b"].map((name) => `${client.folder}/${name}`)
  await client.run(["volume", "create", "pair", "--coding", coding, "--backend", ...places.map((dir) => `dir:${dir}`)])
  const without = async (place: string, work: () => Promise<unknown>) => {
    fs.renameSync(place, `${place}.away`)
    await work().finally(() => fs.renameSync(`${place}.away`, place))
  }
  /** Runs the command that doctor names, its PLACE replaced. */
  const heed = async () => {
    const { stdout } = await client.run(["doctor"], { code: "any" })
    const named =
      /^ok {3}volume pair: one place lost stops reading and writing.*\n {7}A witness mends that.*: holdfast (.*)$/m
    const [, words] = named.exec(stdout) ?? []
    assert.ok(words, stdout)
    await client.run(words.replace("PLACE", `dir:${client.folder}/w`).split(" "))
  }
  return { client, places, without, heed }
}

for (const coding of ["1/1/2", "2/2/2"])
  test(`doctor names what two places with the coding ${coding} lack, and its command makes either one spare`, async (t) => {
    const { client, places, without, heed } = await pairOf(t, coding)
    await without(places[1]!, () => client.run(["ls", "pair:"], { code: 4 }))
    await heed()
    await client.run(["put", "-", "pair:/file"], { input: "stored with a witness" })
    for (const place of places)
      await without(place, async () => {
        assert.equal((await client.run(["cat", "pair:/file"])).stdout, "stored with a witness")
      })
    await without(places[1]!, () => client.run(["put", "-", "pair:/more"], { input: "x" }))
    const { findings } = await client.json<{ findings: { check: string; ok: boolean; mend?: string }[] }>(["doctor"], {
      code: "any",
    })
    assert.deepEqual(
      findings.filter(({ ok, mend }) => ok && mend !== undefined),
      [],
    )
  })

test("doctor leaves a volume over three places, or over one, alone", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const create = (name: string, coding: string, count: number) =>
    client.run([
      ...["volume", "create", name, "--coding", coding, "--backend"],
      ...Array.from({ length: count }, (_, i) => `dir:${client.folder}/${name}${i}`),
    ])
  await create("one", "1/1/1", 1)
  await create("three", "1/2/3", 3)
  assert.doesNotMatch((await client.run(["doctor"], { code: "any" })).stdout, /one place lost/)
})
