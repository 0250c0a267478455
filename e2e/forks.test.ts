/** Places that all collude: two devices of one user are shown different histories, and one an older version. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { after, before, describe, test } from "node:test"
import { type Client, createClient } from "./client.ts"

interface Failure {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly details: { readonly evidence?: readonly { readonly sequence: number; readonly value: string }[] }
  }
}

describe("two devices over places that show each another history", () => {
  let laptop: Client
  let phone: Client
  let cloud: string
  const places = [1, 2, 3, 4]
  const put = (client: Client, name: string) => client.run(["put", "-", `home:${name}`], { input: `${name}\n` })
  const names = async (client: Client) => (await client.run(["ls", "home:"])).stdout.trim().split("\n")
  const keep = (history: string) => fs.cpSync(`${cloud}/now`, `${cloud}/${history}`, { recursive: true })
  const show = (history: string) => {
    fs.rmSync(`${cloud}/now`, { recursive: true })
    fs.cpSync(`${cloud}/${history}`, `${cloud}/now`, { recursive: true })
  }
  const refused = async (client: Client, args: readonly string[], code: string) => {
    const { stdout, stderr } = await client.run([...args, "--json"], { code: 5 })
    const { error } = JSON.parse(stdout || stderr) as Failure
    assert.equal(error.code, code)
    return error
  }

  before(async () => {
    laptop = createClient()
    phone = createClient()
    cloud = `${laptop.folder}/cloud`
    for (const place of places) fs.mkdirSync(`${cloud}/now/${place}`, { recursive: true })
    await laptop.run([
      ...["volume", "create", "four", "--coding", "2/3/4", "--backend"],
      ...places.map((place) => `dir:${cloud}/now/${place}`),
    ])
    await laptop.run(["alias", "create", "home", "--volume", "four"])
    await put(laptop, "base")
    const description = await laptop.run(["volume", "export", "four"])
    await phone.run(["volume", "import"], { input: description.stdout })
    const cap = await laptop.run(["cap", "home:"])
    await phone.run(["alias", "add", "home", "--volume", "four"], { input: cap.stdout })
    assert.deepEqual(await names(phone), ["base"])
  })
  after(() => {
    laptop?.close()
    phone?.close()
  })

  test("a device refuses the other's history, shows both signed values, and reads it when asked to", async () => {
    keep("before")
    await put(laptop, "of-laptop")
    keep("laptop")
    show("before")
    await put(phone, "of-phone")
    await put(phone, "of-phone-too")
    keep("phone")
    const { message, details } = await refused(laptop, ["ls", "home:"], "ERR_FORK")
    assert.match(message, /two histories/)
    assert.equal(details.evidence?.length, 2)
    for (const { value } of details.evidence ?? []) assert.match(value, /^8d04[0-9a-f]+$/)
    await refused(laptop, ["mkdir", "home:more"], "ERR_FORK")
    const read = await laptop.run(["ls", "home:", "--accept-rollback"])
    assert.deepEqual(read.stdout.trim().split("\n"), ["base", "of-phone", "of-phone-too"])
    assert.match(read.stderr, /another history/)
    show("laptop")
    assert.deepEqual(await names(laptop), ["base", "of-laptop"])
  })

  test("each is served what it knows: they find out when one takes over what the other has seen", async () => {
    const exported = await phone.run(["seen", "export"])
    fs.writeFileSync(`${laptop.folder}/phone.json`, exported.stdout)
    await refused(laptop, ["seen", "import", "--file", "phone.json"], "ERR_FORK")
  })

  test("a version older than the other device has seen is refused after taking that over", async () => {
    const fresh = createClient()
    try {
      const description = await laptop.run(["volume", "export", "four"])
      await fresh.run(["volume", "import"], { input: description.stdout })
      const cap = await laptop.run(["cap", "home:", "--read"])
      const exported = await laptop.run(["seen", "export"])
      show("before")
      await fresh.run(["alias", "add", "home", "--volume", "four"], { input: cap.stdout })
      assert.deepEqual(await names(fresh), ["base"])
      await fresh.run(["seen", "import"], { input: exported.stdout })
      await refused(fresh, ["ls", "home:"], "ERR_ROLLBACK")
    } finally {
      fresh.close()
    }
  })

  test("servers that were restored from an old copy are taken as they are once this is asked for", async () => {
    show("before")
    await refused(laptop, ["ls", "home:"], "ERR_ROLLBACK")
    await laptop.run(["seen", "forget", "home"])
    await put(laptop, "again")
    assert.deepEqual(await names(laptop), ["again", "base"])
  })
})
