/** The guide to a cloud of clouds, command by command as it stands there, over buckets of a real Ceph gateway. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { credentialLines, makeBucket } from "./bucket.ts"
import { missingCephPrograms, startCeph } from "./ceph.ts"
import { type Client, createClient } from "./client.ts"
import { blocksOf, runBlock } from "./guide-commands.ts"
import { missingPrograms } from "./processes.ts"

const root = paths.dirname(import.meta.dirname)
const missing = [...missingCephPrograms(), ...missingPrograms(["s3cmd"])]
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

const clouds = ["one", "two", "three", "four", "five"]

test("a person with four buckets and the guide can do all that it says", { skip: why }, async (t) => {
  const devices = new Map<string, Client>()
  const deviceOf = (name: string) => {
    const device = devices.get(name) ?? createClient()
    devices.set(name, device)
    return device
  }
  t.after(() => [...devices.values()].map((client) => client.close()))
  const laptop = deviceOf("laptop")
  const ceph = await startCeph()
  t.after(() => ceph.stop())
  const { host } = new URL(ceph.endpoint)
  fs.mkdirSync(`${laptop.folder}/keys`)
  for (const cloud of clouds) {
    const keys = { accessKey: `KEYOF${cloud}`, secretKey: `secret-of-${cloud}` }
    await ceph.addUser(cloud, keys)
    await makeBucket(ceph.endpoint, keys, `holdfast-${cloud}`)
    fs.writeFileSync(`${laptop.folder}/keys/${cloud}`, credentialLines(keys))
    const config = `access_key = ${keys.accessKey}\nsecret_key = ${keys.secretKey}\nhost_base = ${host}\nhost_bucket = ${host}\n`
    fs.writeFileSync(`${laptop.folder}/keys/${cloud}.s3cfg`, `[default]\n${config}use_https = False\n`)
  }
  fs.mkdirSync(`${laptop.folder}/Documents`)
  for (const name of ["a.txt", "b.txt"]) fs.writeFileSync(`${laptop.folder}/Documents/${name}`, `This is ${name}.\n`)
  fs.writeFileSync(`${laptop.folder}/Documents/photo.raw`, randomBytes(9_000_000))

  const page = fs.readFileSync(`${root}/docs/guides/four-clouds.md`, "utf8")
  const here = page.replace(/https:\/\/s3\.\w+\.example/g, ceph.endpoint).replace(/s3\.\w+\.example/g, host)
  const carried = ["keys", "words", "clouds.json", "clouds.cap", "seen.json"]
  const printed: string[] = []
  for (const block of blocksOf(here)) {
    const device = deviceOf(block.device ?? "laptop")
    const ready = carried.filter((name) => fs.existsSync(`${laptop.folder}/${name}`))
    for (const name of device === laptop ? [] : ready)
      fs.cpSync(`${laptop.folder}/${name}`, `${device.folder}/${name}`, { recursive: true })
    printed.push((await runBlock(device, block)).stdout)
  }
  const all = printed.join("\n")
  for (const expected of [
    /survives 1 lost, 1 lying; 4 of 4 places up/,
    /several writers at a time are safe/,
    /s3:\/\/holdfast-one\/shares\/[0-9a-f]{64}\.\d{3}/,
    /damaged: share holdfast-three@/,
    /no answer: Bucket holdfast-two@/,
    /bucket holdfast-five@/,
    /\na\.txt\nb\.txt\nphoto\.raw\n/,
  ])
    assert.match(all, expected)
  for (const name of ["a.txt", "photo.raw"]) {
    const [before, after] = [laptop, deviceOf("new-machine")].map(({ folder }, i) =>
      fs.readFileSync(`${folder}/${["Documents", "restored"][i]}/${name}`),
    )
    assert.ok(before!.equals(after!), name)
  }
})
