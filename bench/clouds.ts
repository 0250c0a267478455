/**
 * A volume over four buckets at 2-of-4 beside rclone crypt and restic, each writing one copy to one bucket, all at one
 * local Ceph gateway that keeps objects in memory: 1 GiB, and 1,000 small files. The others run with as many requests at
 * a time as a bucket of ours has. The gateway shares the processor with them all.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { openBucket } from "@holdfast/backends/s3"
import { credentialLines, makeBucket } from "../e2e/bucket.ts"
import { missingCephPrograms, startCeph } from "../e2e/ceph.ts"
import { createClient } from "../e2e/client.ts"
import { isInstalled, type Measured, measure, measureProgram, report } from "./command.ts"

const mib = 1024 * 1024
const bigBytes = 1024 * mib
const smallFiles = 1000
const clouds = ["cloud1", "cloud2", "cloud3", "cloud4"]
const keys = { accessKey: "KEYOFBENCH", secretKey: "secret-of-bench" }

const missing = missingCephPrograms()
if (missing.length > 0) {
  process.stdout.write(`Left out: ${missing.join(", ")} are not installed.\n`)
  process.exit(0)
}

/** A program that keeps things in buckets. Names are those of files and folders in the client's folder. */
interface Keeper {
  readonly name: string
  readonly buckets: readonly string[]
  put(name: string): Promise<Measured>
  /** Brings what was put to the folder or file `target`. */
  get(name: string, target: string): Promise<Measured>
  /** Where `get` puts it. */
  found(name: string, target: string): string
}

const client = createClient()
const ceph = await startCeph({ sizeGib: 10 })
const at = (name: string) => `${client.folder}/${name}`

async function holdfast(): Promise<Keeper> {
  for (const cloud of clouds) await makeBucket(ceph.endpoint, keys, cloud)
  fs.writeFileSync(at("keys"), credentialLines(keys), { mode: 0o600 })
  const places = clouds.map((cloud) => `s3://${cloud}?endpoint=${ceph.endpoint}&credentials=${at("keys")}`)
  await client.run(["volume", "create", "clouds", "--coding", "2/3/4", "--backend", ...places])
  return {
    name: "holdfast",
    buckets: clouds,
    put: (name) => measure(client.start(["put", at(name), `clouds:${name}`])),
    get: (name, target) => measure(client.start(["get", `clouds:${name}`, at(target)])),
    found: (_, target) => at(target),
  }
}

async function rclone(): Promise<Keeper> {
  await makeBucket(ceph.endpoint, keys, "rclone")
  const password = execFileSync("rclone", ["obscure", randomBytes(16).toString("hex")])
    .toString()
    .trim()
  const env = {
    AWS_CA_BUNDLE: "", // which rclone cannot use
    RCLONE_CONFIG: at("rclone.conf"),
    RCLONE_CONFIG_RGW_TYPE: "s3",
    RCLONE_CONFIG_RGW_PROVIDER: "Ceph",
    RCLONE_CONFIG_RGW_ENDPOINT: ceph.endpoint,
    RCLONE_CONFIG_RGW_ACCESS_KEY_ID: keys.accessKey,
    RCLONE_CONFIG_RGW_SECRET_ACCESS_KEY: keys.secretKey,
    RCLONE_CONFIG_SAFE_TYPE: "crypt",
    RCLONE_CONFIG_SAFE_REMOTE: "rgw:rclone",
    RCLONE_CONFIG_SAFE_PASSWORD: password,
  }
  const atOnce = ["--transfers=16", "--checkers=16", "--s3-upload-concurrency=16", "--s3-chunk-size=16M"]
  const copy = (from: string, to: string) => measureProgram("rclone", ["copyto", ...atOnce, from, to], env)
  return {
    name: "rclone crypt",
    buckets: ["rclone"],
    put: (name) => copy(at(name), `safe:${name}`),
    get: (name, target) => copy(`safe:${name}`, at(target)),
    found: (_, target) => at(target),
  }
}

async function restic(): Promise<Keeper> {
  await makeBucket(ceph.endpoint, keys, "restic")
  const env = {
    AWS_ACCESS_KEY_ID: keys.accessKey,
    AWS_SECRET_ACCESS_KEY: keys.secretKey,
    RESTIC_REPOSITORY: `s3:${ceph.endpoint}/restic`,
    RESTIC_PASSWORD: randomBytes(16).toString("hex"),
    RESTIC_CACHE_DIR: at("restic-cache"),
    RESTIC_COMPRESSION: "off", // the data is random, and the others do not try
  }
  const run = (...args: string[]) => measureProgram("restic", ["-q", "-o", "s3.connections=16", ...args], env)
  await run("init")
  return {
    name: "restic",
    buckets: ["restic"],
    put: (name) => run("backup", at(name)),
    get: (_, target) => run("restore", "latest", "--target", at(target)),
    found: (name, target) => `${at(target)}${at(name)}`,
  }
}

/** Bytes of all objects in the buckets. */
async function storedBytes(buckets: readonly string[]): Promise<number> {
  let sum = 0
  for (const name of buckets) {
    const location = { bucket: name, prefix: "", endpoint: ceph.endpoint, region: "us-east-1", pathStyle: true }
    const bucket = openBucket({ ...location, credentials: at("keys") })
    const { infos } = await bucket.list("", { limit: 1_000_000 })
    bucket.close()
    sum += infos.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  }
  return sum
}

/** Fresh random bytes, so that nobody has them already. Gives how many. */
function makeBig(name: string): number {
  const file = fs.openSync(at(name), "w")
  for (let written = 0; written < bigBytes; written += 16 * mib) fs.writeSync(file, randomBytes(16 * mib))
  fs.closeSync(file)
  return bigBytes
}

/** Files of 1 to 64 KiB. */
function makeSmall(name: string): number {
  let bytes = 0
  for (let i = 0; i < smallFiles; i++) {
    const folder = at(`${name}/${Math.floor(i / 100)}`)
    const sizeBytes = 1024 * (1 + ((i * 37) % 64))
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(`${folder}/${i}`, randomBytes(sizeBytes))
    bytes += sizeBytes
  }
  return bytes
}

const median = (all: readonly Measured[]) => [...all].sort((a, b) => a.seconds - b.seconds)[all.length >> 1] as Measured

/** Every keeper puts and gets fresh data in turn, `rounds` times; prints medians and how many times as long ours takes. */
async function compare(
  keepers: readonly Keeper[],
  what: string,
  rounds: number,
  make: (name: string) => number,
): Promise<void> {
  const puts = new Map<Keeper, Measured[]>(keepers.map((keeper) => [keeper, []]))
  const gets = new Map<Keeper, Measured[]>(keepers.map((keeper) => [keeper, []]))
  let bytes = 0
  for (let round = 0; round < rounds; round++) {
    const name = `${what.replaceAll(/[ ,]/g, "")}-${round}`
    bytes = make(name)
    execFileSync("sync")
    for (const keeper of keepers) puts.get(keeper)!.push(await keeper.put(name))
    for (const keeper of keepers) {
      gets.get(keeper)!.push(await keeper.get(name, "back"))
      execFileSync("diff", ["-r", at(name), keeper.found(name, "back")])
      fs.rmSync(at("back"), { recursive: true })
    }
    fs.rmSync(at(name), { recursive: true })
  }
  for (const [verb, times] of [
    ["put", puts],
    ["get", gets],
  ] as const) {
    const ours = median(times.get(keepers[0]!)!)
    for (const keeper of keepers) {
      const measured = median(times.get(keeper)!)
      const files = what === "1 GiB" ? "" : `${(smallFiles / measured.seconds).toFixed(0)} files/s`
      const ratio =
        keeper === keepers[0] ? "" : `holdfast takes ${(ours.seconds / measured.seconds).toFixed(2)} times as long`
      report(`${keeper.name}: ${verb} ${what}`, measured, bytes, [files, ratio].filter(Boolean).join("  "))
    }
  }
}

try {
  await ceph.addUser("bench", keys)
  const keepers = [await holdfast()]
  if (isInstalled("rclone")) keepers.push(await rclone())
  else process.stdout.write("rclone is not installed: left out.\n")
  if (isInstalled("restic")) keepers.push(await restic())
  else process.stdout.write("restic is not installed: left out.\n")
  await compare(keepers, "1,000 small files", 3, makeSmall)
  await compare(keepers, "1 GiB", 1, makeBig)
  for (const { name, buckets } of keepers)
    process.stdout.write(`${name}: ${((await storedBytes(buckets)) / 1e6).toFixed(0)} MB stored\n`)
} finally {
  await ceph.stop()
  client.close()
}
