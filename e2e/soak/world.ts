/** The servers of a run: a coordinator and five nodes, Ceph with four buckets, two machines that reach them, and all their clocks. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { credentialLines, type Keys, listBucket, makeBucket } from "../bucket.ts"
import { type Ceph, missingCephPrograms, startCeph } from "../ceph.ts"
import { type Members, startMembers } from "../members.ts"
import { type FakeClock, makeClock, missingForClocks } from "./clock.ts"
import { missingForNetwork, type Network, startNetwork } from "./network.ts"

const clouds = ["one", "two", "three", "four"]

/** All servers. */
export interface World {
  readonly folder: string
  readonly network: Network
  readonly members: Members
  /** The places of the volume. */
  readonly places: readonly string[]
  /** Keys of objects in the buckets, at most 1,000 of each, as another program lists them. */
  listObjects(): Promise<string[]>
  readonly nodeClocks: ReadonlyMap<string, FakeClock>
  readonly bucketClock: FakeClock
  /** Runs the coordinator's own commands, on its machine. */
  operate(args: readonly string[], input?: string): Promise<string>
  close(): Promise<void>
}

/** Why a run cannot be made here; undefined when it can. */
export async function whyNoWorld(): Promise<string | undefined> {
  const programs = missingCephPrograms()
  const missing = [
    ...(programs.length > 0 ? [`not installed: ${programs.join(", ")}`] : []),
    ...[missingForClocks, await missingForNetwork()].filter((one) => one !== undefined),
  ]
  return missing.length > 0 ? missing.join("; ") : undefined
}

/** Starts everything. Close it in the end. */
export async function startWorld(): Promise<World> {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-soak-"))
  const closers: (() => Promise<unknown> | unknown)[] = [() => fs.rmSync(folder, { recursive: true, force: true })]
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const network = await startNetwork(["a", "b"])
    closers.push(network.close)
    const nodeClocks = new Map(
      ["n1", "n2", "n3", "n4", "n5"].map((name) => [name, makeClock(`${folder}/${name}.clock`)]),
    )
    const bucketClock = makeClock(`${folder}/buckets.clock`)
    const nodeEnv = (name: string) => nodeClocks.get(name)!.env
    const { host } = network
    const starting = startCeph({ host, gatewayEnv: bucketClock.env })
    closers.push(() => starting.then((ceph) => ceph.stop()).catch(() => undefined))
    const members = await startMembers({ host, hasClient: false, nodeEnv })
    closers.push(() => members.close())
    const ceph = await starting
    const places = await Promise.all(clouds.map((cloud) => makePlace(ceph, folder, cloud)))
    const dir = `${members.folder}/coordinator`
    const operate = async (args: readonly string[], input = "") =>
      (await members.run([...args, "--dir", dir, "--json"], { input })).stdout
    const listObjects = async () =>
      (await Promise.all(clouds.map((cloud) => listBucket(ceph.endpoint, keysOf(cloud), `soak-${cloud}`)))).flat()
    return { folder, network, members, places, listObjects, nodeClocks, bucketClock, operate, close }
  } catch (error) {
    await close()
    throw error
  }
}

function keysOf(cloud: string): Keys {
  return { accessKey: `SOAK${cloud}`, secretKey: `secret-to-soak-${cloud}` }
}

async function makePlace(ceph: Ceph, folder: string, cloud: string): Promise<string> {
  const keys = keysOf(cloud)
  await ceph.addUser(`soak-${cloud}`, keys)
  await makeBucket(ceph.endpoint, keys, `soak-${cloud}`)
  fs.writeFileSync(`${folder}/${cloud}.keys`, credentialLines(keys), { mode: 0o600 })
  return `s3://soak-${cloud}?endpoint=${ceph.endpoint}&credentials=${folder}/${cloud}.keys`
}
