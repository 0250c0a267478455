/**
 * A real Ceph cluster of one monitor and one object store in memory, with its S3 gateway, made by hand in a folder of
 * its own. Needs Debian's ceph-mon, ceph-osd, ceph-common and radosgw.
 */
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Keys } from "./bucket.ts"
import { Daemons, freePorts, missingPrograms, until } from "./processes.ts"

const run = promisify(execFile)
const programs = ["ceph-mon", "ceph-osd", "radosgw", "ceph", "ceph-authtool", "monmaptool", "radosgw-admin"]

/** A running cluster. */
export interface Ceph {
  /** URL of the S3 gateway. */
  readonly endpoint: string
  /** Makes an S3 user with these keys. */
  addUser(name: string, keys: Keys): Promise<void>
  stop(): Promise<void>
}

/** The programs that are missing here; empty when a cluster can be started. */
export function missingCephPrograms(): string[] {
  return missingPrograms(programs)
}

/** How a cluster is started. */
export interface CephOptions {
  /** It holds at most so much. */
  readonly sizeGib?: number
  /** Address at which the S3 gateway listens. */
  readonly host?: string
  /** Environment of the gateway alone, such as one with another time of day. */
  readonly gatewayEnv?: Readonly<Record<string, string>>
}

/** Starts a cluster. */
export async function startCeph({ sizeGib = 4, host = "127.0.0.1", gatewayEnv }: CephOptions = {}): Promise<Ceph> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-ceph-"))
  const [monitor2, monitor1, gateway] = (await freePorts(3)) as [number, number, number]
  const conf = join(dir, "ceph.conf")
  const env = { ...process.env, CEPH_CONF: conf, LC_ALL: "C.UTF-8" }
  const daemons = new Daemons(dir, env)
  const call = async (program: string, ...args: string[]) => (await run(program, args, { env })).stdout
  const start = (name: string, program: string, ...args: string[]) => daemons.start(name, program, ["-f", ...args])
  const stop = async () => {
    await daemons.stop()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    for (const folder of ["mon", "osd", "rgw", "run"]) await mkdir(join(dir, folder))
    const fsid = randomUUID()
    await writeFile(conf, configuration(dir, fsid, { monitor2, monitor1, gateway, sizeGib, host }))
    await makeMonitor(dir, fsid, { monitor2, monitor1 }, call)
    await start("mon", "ceph-mon", "-i", "a")
    await until("ceph-mon", () => call("ceph", "mon", "stat"))
    await makeStore(dir, call)
    await start("osd", "ceph-osd", "-i", "0")
    await until("ceph-osd", async () => {
      if (!(await call("ceph", "osd", "stat")).includes(" 1 up")) throw new Error("the object store is not up")
    })
    const keyring = await call("ceph", "auth", "get-or-create", "client.rgw", "mon", "allow rw", "osd", "allow rwx")
    await writeFile(join(dir, "rgw/keyring"), keyring)
    await daemons.start("rgw", "radosgw", ["-f", "-n", "client.rgw"], gatewayEnv)
    const endpoint = `http://${host}:${gateway}`
    await until("radosgw", () => fetch(endpoint))
    return {
      endpoint,
      stop,
      async addUser(name, { accessKey, secretKey }) {
        const names = ["--uid", name, "--display-name", name]
        await call("radosgw-admin", "user", "create", ...names, "--access-key", accessKey, "--secret-key", secretKey)
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

type Call = (program: string, ...args: string[]) => Promise<string>

async function makeMonitor(dir: string, fsid: string, ports: { monitor2: number; monitor1: number }, call: Call) {
  const everything = ["mon", "osd", "mds", "mgr"].flatMap((kind) => ["--cap", kind, "allow *"])
  await call(
    "ceph-authtool",
    "--create-keyring",
    join(dir, "keyring"),
    "--gen-key",
    "-n",
    "client.admin",
    ...everything,
  )
  const monKeyring = join(dir, "mon.keyring")
  await call("ceph-authtool", "--create-keyring", monKeyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
  await call("ceph-authtool", monKeyring, "--import-keyring", join(dir, "keyring"))
  const address = `[v2:127.0.0.1:${ports.monitor2},v1:127.0.0.1:${ports.monitor1}]`
  await call("monmaptool", "--create", "--clobber", "--addv", "a", address, "--fsid", fsid, join(dir, "monmap"))
  await call("ceph-mon", "--mkfs", "-i", "a", "--monmap", join(dir, "monmap"), "--keyring", monKeyring)
}

async function makeStore(dir: string, call: Call) {
  const uuid = randomUUID()
  const secret = (await call("ceph-authtool", "--gen-print-key")).trim()
  const secrets = join(dir, "osd-secrets.json")
  await writeFile(secrets, JSON.stringify({ cephx_secret: secret }))
  await call("ceph", "osd", "new", uuid, "-i", secrets)
  const keyring = join(dir, "osd/keyring")
  await call("ceph-authtool", "--create-keyring", keyring, "--name", "osd.0", "--add-key", secret)
  await call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
}

interface Settings {
  readonly monitor2: number
  readonly monitor1: number
  readonly gateway: number
  readonly sizeGib: number
  readonly host: string
}

function configuration(dir: string, fsid: string, { monitor2, monitor1, gateway, sizeGib, host }: Settings): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitor2},v1:127.0.0.1:${monitor1}]
public addr = 127.0.0.1
public network = 127.0.0.1/32
cluster addr = 127.0.0.1
cluster network = 127.0.0.1/32
ms bind ipv6 = false
keyring = ${dir}/keyring
run dir = ${dir}/run
crash dir = ${dir}/run
admin socket = ${dir}/run/$name.$pid.asok
log file =
log to stderr = true
err to stderr = true
mon cluster log file = ${dir}/cluster.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon warn on insecure global id reclaim allowed = false
auth allow insecure global id reclaim = false
paxos propose interval = 0.05
paxos min wait = 0.02
debug osd = 0/0
debug mon = 0/0
debug paxos = 0/0
debug rocksdb = 1/1
debug rgw = 0/0
mon data avail warn = 1
mon data avail crit = 1
[client]
log to stderr = false
admin socket =
[mon]
mon data = ${dir}/mon
[osd]
osd data = ${dir}/osd
keyring = ${dir}/osd/keyring
osd objectstore = memstore
memstore device bytes = ${sizeGib * 2 ** 30}
osd class update on start = true
osd max object name len = 460
osd max object namespace len = 64
[client.rgw]
rgw frontends = beast endpoint=${host}:${gateway} tcp_nodelay=1
rgw thread pool size = 64
keyring = ${dir}/rgw/keyring
rgw dns name = ${host}
rgw enable usage log = false
`
}
