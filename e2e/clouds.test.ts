/** A volume over four buckets with four owners at a real Ceph gateway: the cloud of clouds of the guide. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { after, before, describe, test } from "node:test"
import { credentialLines, destroyBucket, listBucket, makeBucket, readObject } from "./bucket.ts"
import { type Ceph, missingCephPrograms, startCeph } from "./ceph.ts"
import { type Client, createClient } from "./client.ts"
import { missingPrograms } from "./processes.ts"
import { missingSwiftPrograms, type Swift, startSwift } from "./swift.ts"

const missing = [...missingCephPrograms(), ...missingSwiftPrograms(), ...missingPrograms(["s3cmd"])]
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

const clouds = ["cloud1", "cloud2", "cloud3", "cloud4"] as const
type Cloud = (typeof clouds)[number] | "cloud5"
const keysOf = (cloud: Cloud) => ({ accessKey: `KEYOF${cloud.toUpperCase()}`, secretKey: `secret-of-${cloud}` })
const content = {
  "big.bin": randomBytes(9_000_000),
  "letter.txt": Buffer.from("Dear clouds,\n"),
  empty: Buffer.alloc(0),
}

describe("a volume over four buckets", { skip: why }, () => {
  let ceph: Ceph
  let client: Client
  const place = (cloud: Cloud) => `s3://${cloud}?endpoint=${ceph.endpoint}&credentials=${client.folder}/${cloud}.keys`
  /** s3cmd with the keys of a cloud. */
  const s3cmd = (cloud: Cloud, ...words: string[]) => {
    const host = new URL(ceph.endpoint).host
    const config = `${client.folder}/${cloud}.s3cfg`
    const { accessKey, secretKey } = keysOf(cloud)
    const lines = {
      access_key: accessKey,
      secret_key: secretKey,
      host_base: host,
      host_bucket: host,
      use_https: "False",
    }
    const text = Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`)
    fs.writeFileSync(config, `[default]\n${text.join("")}`, { mode: 0o600 })
    return execFileSync("s3cmd", ["-c", config, "-q", ...words], { encoding: "utf8" })
  }
  const assertAllReads = async () => {
    fs.rmSync(`${client.folder}/back`, { recursive: true, force: true })
    await client.run(["get", "clouds:docs", "back"])
    for (const [name, bytes] of Object.entries(content))
      assert.ok(fs.readFileSync(`${client.folder}/back/${name}`).equals(bytes), name)
  }

  before(async () => {
    client = createClient()
    ceph = await startCeph()
    for (const cloud of [...clouds, "cloud5"] as const) {
      await ceph.addUser(cloud, keysOf(cloud))
      await makeBucket(ceph.endpoint, keysOf(cloud), cloud)
      fs.writeFileSync(`${client.folder}/${cloud}.keys`, credentialLines(keysOf(cloud)), { mode: 0o600 })
    }
    fs.mkdirSync(`${client.folder}/docs`)
    for (const [name, bytes] of Object.entries(content)) fs.writeFileSync(`${client.folder}/docs/${name}`, bytes)
  })
  after(async () => {
    await ceph?.stop()
    client?.close()
  })

  test("is made with one command, takes a folder and gives it back", async () => {
    const made = await client.json<{ registerMode: string; survives: object }>([
      ...["volume", "create", "clouds", "--coding", "2/3/4", "--backend"],
      ...clouds.map(place),
    ])
    assert.deepEqual([made.registerMode, made.survives], ["byzantine", { lost: 1, lying: 1 }])
    await client.run(["put", "docs", "clouds:"])
    await assertAllReads()
    const { stdout } = await client.run(["status"])
    assert.match(stdout, /Volume clouds: coding 2\/3\/4, byzantine, survives 1 lost, 1 lying; 4 of 4 places up/)
  })

  test("gives everything to a new machine that has keys for two of the four and a passphrase", async (t) => {
    const pass = `${client.folder}/kit.pass`
    fs.writeFileSync(pass, "correct horse battery\n", { mode: 0o600 })
    await client.run(["recovery", "kit", "--kit-passphrase-file", pass])
    const fresh = createClient()
    t.after(() => fresh.close())
    const kept = (["cloud2", "cloud4"] as const).map((cloud) => {
      fs.renameSync(`${client.folder}/${cloud}.keys`, `${fresh.folder}/${cloud}.keys`)
      return place(cloud).replace(client.folder, fresh.folder)
    })
    fs.renameSync(`${client.folder}/config`, `${client.folder}/lost`)
    await fresh.run(["recovery", "restore", "--only-named", "--kit-passphrase-file", pass, "--backend", ...kept])
    await fresh.run(["get", "clouds:docs", "back"])
    for (const [name, bytes] of Object.entries(content))
      assert.ok(fs.readFileSync(`${fresh.folder}/back/${name}`).equals(bytes), name)
    fs.renameSync(`${client.folder}/lost`, `${client.folder}/config`)
    for (const cloud of ["cloud2", "cloud4"])
      fs.renameSync(`${fresh.folder}/${cloud}.keys`, `${client.folder}/${cloud}.keys`)
  })

  test("says what each bucket can do, and what that means", async () => {
    const { stdout } = await client.run(["volume", "test", "clouds"])
    assert.equal(stdout.match(/^ok {3}bucket cloud\d@\S+, at \S+: [\d.]+ ms a request$/gm)?.length, 4)
    assert.equal(stdout.match(/several writers at a time are safe/g)?.length, 4)
  })

  test("leaves in a bucket nothing but a marker, shares, marks and register values, none of which shows the content", async () => {
    for (const cloud of clouds) {
      const keys = await listBucket(ceph.endpoint, keysOf(cloud), cloud)
      assert.ok(keys.length > 4)
      for (const key of keys) {
        assert.match(
          key,
          /^(?:holdfast-volume|shares\/[0-9a-f]{64}\.\d{3}|marks\/[0-9a-f]{64}\/\d{14}-[0-9a-f]{16}|registers\/[0-9a-f]{64}\/[0-9a-f]{14})$/,
        )
        const bytes = Buffer.from(await readObject(ceph.endpoint, keysOf(cloud), cloud, key))
        for (const plain of ["Dear clouds", "letter.txt", content["big.bin"].subarray(1_000_000, 1_000_016)])
          assert.ok(!bytes.includes(plain), `${cloud}/${key}`)
      }
    }
  })

  test("keeps keys out of its own files, its messages and the arguments of processes", async () => {
    const kept = fs.readdirSync(client.folder, { recursive: true, withFileTypes: true })
    for (const file of kept.filter((entry) => entry.isFile() && !/\.(?:keys|s3cfg)$/.test(entry.name)))
      assert.ok(!fs.readFileSync(`${file.parentPath}/${file.name}`).includes("secret-of-cloud"), file.name)
    fs.writeFileSync(
      `${client.folder}/wrong.keys`,
      credentialLines({ accessKey: "KEYOFCLOUD1", secretKey: "s3cr3t-wrong" }),
      {
        mode: 0o600,
      },
    )
    const wrong = `s3://cloud1/x?endpoint=${ceph.endpoint}&credentials=wrong.keys`
    const { stderr } = await client.run(["volume", "create", "other", "--coding", "1/1/1", "--backend", wrong], {
      code: 6,
    })
    assert.match(stderr, /refused our keys/)
    assert.doesNotMatch(stderr, /s3cr3t/)
  })

  test("reads everything with one bucket destroyed and another altered by hand, names it, and mends it", async () => {
    await destroyBucket(ceph.endpoint, keysOf("cloud2"), "cloud2")
    const junk = `${client.folder}/junk`
    fs.writeFileSync(junk, randomBytes(500))
    for (const key of await listBucket(ceph.endpoint, keysOf("cloud3"), "cloud3"))
      if (key !== "holdfast-volume") s3cmd("cloud3", "put", junk, `s3://cloud3/${key}`)
    await assertAllReads()

    const found = await client.run(["check", "--deep", "--verify", "clouds:"], { code: 5 })
    assert.match(found.stdout, /0 lost/)
    assert.match(found.stdout, /damaged: share cloud3@/)
    assert.match(found.stdout, /no answer: Bucket cloud2@\S+: there is no such bucket/)
    assert.match(found.stdout, /3 of 4 copies of the root are good/) // reading has mended that of cloud3

    await makeBucket(ceph.endpoint, keysOf("cloud2"), "cloud2")
    await client.run(["check", "--deep", "--repair", "clouds:"])
    const mended = await client.json<{ healthy: number; chunks: number; corrupt: string[]; ok: boolean }>([
      ...["check", "--deep", "--verify", "clouds:"],
    ])
    assert.deepEqual([mended.ok, mended.corrupt, mended.healthy], [true, [], mended.chunks])
    // The two that were mended are now as good as the two that never failed.
    await destroyBucket(ceph.endpoint, keysOf("cloud1"), "cloud1")
    await assertAllReads()
    await client.run(["put", "-", "clouds:written-without-cloud1"], { input: "three are enough\n" })
  })

  test("goes on with another place instead of a lost one", async () => {
    await client.run(["volume", "add-backend", "clouds", place("cloud5")])
    const { stdout } = await client.run(["volume", "remove-backend", "clouds", nameOf("cloud1", ceph)])
    assert.match(stdout, /survives 1 lost, 1 lying/)
    await client.run(["check", "--deep", "--repair", "clouds:"])
    await destroyBucket(ceph.endpoint, keysOf("cloud4"), "cloud4")
    await assertAllReads()
    assert.equal((await client.run(["cat", "clouds:written-without-cloud1"])).stdout, "three are enough\n")
  })

  test("is opened by another person with its description and a capability, with that person's own keys", async (t) => {
    const friend = createClient()
    t.after(() => friend.close())
    const description = (await client.run(["volume", "export", "clouds"])).stdout
    assert.doesNotMatch(description, /secret-of/)
    await friend.run(["volume", "import", "--yes"], { input: description })
    const cap = (await client.run(["cap", "clouds:docs/letter.txt", "--read"])).stdout
    await friend.run(["alias", "add", "letter"], { input: cap })
    assert.equal((await friend.run(["cat", "letter:"])).stdout, "Dear clouds,\n")
  })

  test("refuses a place that another volume has", async () => {
    const other = ["volume", "create", "other", "--coding", "1/1/1", "--backend"]
    const { stderr } = await client.run([...other, place("cloud3")], { code: 1 })
    assert.match(stderr, /part of the volume clouds already/)
    const stranger = createClient()
    try {
      const refused = await stranger.run([...other, place("cloud3")], { code: 1 })
      assert.match(refused.stderr, /belongs to another volume/)
    } finally {
      stranger.close()
    }
  })
})

describe("a volume of mixed places", { skip: why }, () => {
  let [ceph, swift, client]: [Ceph?, Swift?, Client?] = []
  before(async () => {
    client = createClient()
    ceph = await startCeph()
    swift = await startSwift()
    await ceph.addUser("cloud1", keysOf("cloud1"))
    await makeBucket(ceph.endpoint, keysOf("cloud1"), "cloud1")
    await makeBucket(swift.endpoint, swift.keys, "swift")
    fs.writeFileSync(`${client.folder}/ceph.keys`, credentialLines(keysOf("cloud1")), { mode: 0o600 })
    fs.writeFileSync(`${client.folder}/swift.keys`, credentialLines(swift.keys), { mode: 0o600 })
  })
  after(async () => {
    await ceph?.stop()
    await swift?.stop()
    client?.close()
  })

  test("lies in a directory, a bucket of Ceph and one of Swift, whose lack of conditional writes is said", async () => {
    const { folder, run } = client!
    await run([
      ...["volume", "create", "mixed", "--coding", "2/2/3", "--backend", "dir:disk"],
      `s3://cloud1/mixed?endpoint=${ceph!.endpoint}&credentials=ceph.keys`,
      `s3://swift?endpoint=${swift!.endpoint}&credentials=swift.keys`,
    ])
    const { stdout } = await run(["volume", "test", "mixed"])
    assert.match(stdout, /swift@\S+, without conditional writes/)
    assert.match(stdout, /let only one machine write at a time/)
    for (let i = 0; i < 5; i++) await run(["put", "-", `mixed:note${i}`], { input: `note ${i}\n` })
    fs.renameSync(`${folder}/disk`, `${folder}/unplugged`)
    assert.equal((await run(["cat", "mixed:note4"])).stdout, "note 4\n")
    await run(["put", "-", "mixed:note5"], { input: "without the disk\n" })
    const status = await run(["status"])
    assert.match(status.stdout, /DOWN disk-[0-9a-f]{8} \(.*Is its disk mounted\?\)/)
    fs.renameSync(`${folder}/unplugged`, `${folder}/disk`)
    await run(["check", "--deep", "--repair", "mixed:"])
    await swift!.stop()
    assert.equal((await run(["cat", "mixed:note5"])).stdout, "without the disk\n")
  })
})

function nameOf(cloud: Cloud, ceph: Ceph): string {
  return `${cloud}@${new URL(ceph.endpoint).host}`
}
