/**
 * A real OpenStack Swift with its S3 interface, one process of each server, in a folder of its own: an S3 service that
 * refuses conditional writes. Needs Debian's swift-proxy, swift-account, swift-container and swift-object.
 */
import { execFile, spawnSync } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Keys } from "./bucket.ts"
import { Daemons, freePorts, until } from "./processes.ts"

const run = promisify(execFile)
const python = "/usr/bin/python3" // Debian's own, which has Debian's packages
const parts = ["account", "container", "object"] as const

/** Swift reads this file from one fixed place; here it is told another before anything else starts. */
const launcher = `
import sys
import swift.common.utils
swift.common.utils.SWIFT_CONF_FILE = sys.argv[1]
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[3], sys.argv[2]))
`

/** A running Swift. */
export interface Swift {
  /** URL of the S3 interface. */
  readonly endpoint: string
  readonly keys: Keys
  stop(): Promise<void>
}

/** What is missing here to start Swift; empty when nothing is. */
export function missingSwiftPrograms(): string[] {
  if (spawnSync("which", ["swift-ring-builder"]).status !== 0) return ["swift-proxy"]
  const servers = spawnSync(python, ["-c", "import swift.proxy.server, swift.obj.server"])
  return servers.status === 0 ? [] : ["python3-swift"]
}

/** Starts Swift with one user. */
export async function startSwift(): Promise<Swift> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-swift-"))
  const daemons = new Daemons(dir, { ...process.env, LC_ALL: "C.UTF-8" })
  const stop = async () => {
    await daemons.stop()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await mkdir(join(dir, "dev/d1"), { recursive: true })
    const conf = join(dir, "swift.conf")
    await writeFile(
      conf,
      "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n[storage-policy:0]\nname = default\ndefault = yes\n",
    )
    const start = (name: string, app: string) =>
      daemons.start(name, python, ["-c", launcher, conf, `${app}-server`, join(dir, `${name}.conf`)])
    const [proxyPort, ...partPorts] = (await freePorts(4)) as [number, ...number[]]
    const prepare = async (part: string, port: number) => {
      const ring = join(dir, `${part}.builder`)
      for (const words of [["create", "4", "1", "0"], ["add", `r1z1-127.0.0.1:${port}/d1`, "1"], ["rebalance"]])
        await run("swift-ring-builder", [ring, ...words])
      await writeFile(join(dir, `${part}.conf`), partConfiguration(dir, part, port))
      await start(part, part)
    }
    await Promise.all(parts.map((part, i) => prepare(part, partPorts[i]!)))
    await writeFile(join(dir, "proxy.conf"), proxyConfiguration(dir, proxyPort))
    await start("proxy", "proxy")
    const endpoint = `http://127.0.0.1:${proxyPort}`
    await until("Swift", () => fetch(endpoint))
    for (const port of partPorts) await until("Swift", () => fetch(`http://127.0.0.1:${port}/healthcheck`))
    return { endpoint, keys: { accessKey: "test:tester", secretKey: "testing" }, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function partConfiguration(dir: string, part: string, port: number): string {
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${process.env["USER"] ?? "root"}
swift_dir = ${dir}
devices = ${dir}/dev
mount_check = false
[pipeline:main]
pipeline = ${part}-server
[app:${part}-server]
use = egg:swift#${part}
`
}

function proxyConfiguration(dir: string, port: number): string {
  const filters = ["catch_errors", "listing_formats", "s3api", "tempauth", "copy", "dlo", "slo"]
  const options: Record<string, string> = {
    s3api: "s3_acl = no\nlocation = us-east-1\n",
    tempauth: "user_test_tester = testing .admin\n",
  }
  return `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${process.env["USER"] ?? "root"}
swift_dir = ${dir}
[pipeline:main]
pipeline = catch_errors cache ${filters.slice(1).join(" ")} proxy-server
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
${filters.map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n${options[name] ?? ""}`).join("")}[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
`
}
