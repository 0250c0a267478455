/**
 * A volume over four buckets at 2-of-4 beside rclone crypt and restic, each writing one copy to one bucket, all at one
 * local Ceph gateway that keeps objects in memory: 512 MiB, and 1,000 small files. The others run with as many requests at
 * a time as a bucket of ours has. The gateway shares the processor with them all.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import { openBucket } from "@holdfast/backends/s3"
import { credentialLines, makeBucket } from "../e2e/bucket.ts"
import { missingCephPrograms, startCeph } from "../e2e/ceph.ts"
import { createClient } from "../e2e/client.ts"
import { isInstalled } from "./command.ts"
import { gib, makeFile, makeFiles } from "./data.ts"
import { compareKeepers, holdfastKeeper, type Keeper } from "./keepers.ts"
import { rcloneKeeper, resticKeeper } from "./peers.ts"

const smallFiles = 1000
const largeBytes = gib / 2
/** The gateway keeps 2 GiB for each round in memory, and takes twice as much for it. */
const largeRounds = os.totalmem() > 20 * gib ? 3 : 1
const clouds = ["cloud1", "cloud2", "cloud3", "cloud4"]
const keys = { accessKey: "KEYOFBENCH", secretKey: "secret-of-bench" }

const missing = missingCephPrograms()
if (missing.length > 0) {
  process.stdout.write(`Left out: ${missing.join(", ")} are not installed.\n`)
  process.exit(0)
}

const client = createClient()
const ceph = await startCeph({ sizeGib: 3 * largeRounds + 1 })
const at = (name: string) => `${client.folder}/${name}`

async function holdfast(): Promise<Keeper> {
  for (const cloud of clouds) await makeBucket(ceph.endpoint, keys, cloud)
  fs.writeFileSync(at("keys"), credentialLines(keys), { mode: 0o600 })
  const places = clouds.map((cloud) => `s3://${cloud}?endpoint=${ceph.endpoint}&credentials=${at("keys")}`)
  await client.run(["volume", "create", "clouds", "--coding", "2/3/4", "--backend", ...places])
  return holdfastKeeper("holdfast, 2 of 4 buckets", "clouds:", (args) => ({ child: client.start(args) }))
}

async function rclone(): Promise<Keeper> {
  await makeBucket(ceph.endpoint, keys, "rclone")
  const env = {
    AWS_CA_BUNDLE: "", // which rclone cannot use
    RCLONE_CONFIG_RGW_TYPE: "s3",
    RCLONE_CONFIG_RGW_PROVIDER: "Ceph",
    RCLONE_CONFIG_RGW_ENDPOINT: ceph.endpoint,
    RCLONE_CONFIG_RGW_ACCESS_KEY_ID: keys.accessKey,
    RCLONE_CONFIG_RGW_SECRET_ACCESS_KEY: keys.secretKey,
  }
  const atOnce = ["--transfers=16", "--checkers=16", "--s3-upload-concurrency=16", "--s3-chunk-size=16M"]
  return rcloneKeeper("rclone crypt, one bucket", { env, path: "rgw:rclone" }, { args: atOnce })
}

async function restic(): Promise<Keeper> {
  await makeBucket(ceph.endpoint, keys, "restic")
  const env = {
    AWS_ACCESS_KEY_ID: keys.accessKey,
    AWS_SECRET_ACCESS_KEY: keys.secretKey,
    RESTIC_REPOSITORY: `s3:${ceph.endpoint}/restic`,
    RESTIC_CACHE_DIR: at("restic-cache"),
  }
  return resticKeeper("restic, one bucket", env, { args: ["-o", "s3.connections=16"] })
}

/** Bytes of all objects in a bucket. */
async function storedBytes(name: string): Promise<number> {
  const location = { bucket: name, prefix: "", endpoint: ceph.endpoint, region: "us-east-1", pathStyle: true }
  const bucket = openBucket({ ...location, credentials: at("keys") })
  const { infos } = await bucket.list("", { limit: 1_000_000 })
  bucket.close()
  return infos.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
}

const sizeOf = (i: number) => 1024 * (1 + ((i * 37) % 64))

try {
  await ceph.addUser("bench", keys)
  const keepers = [await holdfast()]
  if (isInstalled("rclone")) keepers.push(await rclone())
  else process.stdout.write("rclone is not installed: left out.\n")
  if (isInstalled("restic")) keepers.push(await restic())
  else process.stdout.write("restic is not installed: left out.\n")
  const smallBytes = Array.from({ length: smallFiles }, (_, i) => sizeOf(i)).reduce((sum, bytes) => sum + bytes, 0)
  const small = {
    name: "1,000 files of 1 to 64 KiB",
    bytes: smallBytes,
    rounds: 3,
    make: (path: string) => makeFiles(path, smallFiles, sizeOf),
  }
  await compareKeepers(keepers, small, client.folder)
  await compareKeepers(
    keepers,
    { name: "512 MiB", bytes: largeBytes, rounds: largeRounds, make: (path) => makeFile(path, largeBytes) },
    client.folder,
  )
  for (const bucket of [...clouds, "rclone", "restic"])
    process.stdout.write(`${bucket}: ${((await storedBytes(bucket)) / 1e6).toFixed(0)} MB stored\n`)
} finally {
  await ceph.stop()
  client.close()
}
