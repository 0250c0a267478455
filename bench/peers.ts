/** Peers of Holdfast as keepers that benchmarks compare it with. Each is left out where it is not installed, and that is said. */
import { execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { isListening, until } from "../e2e/grid.ts"
import { isInstalled, measureProgram } from "./command.ts"
import type { Keeper } from "./keepers.ts"

const secret = () => randomBytes(16).toString("hex")

/** Processor time of a mounted file system and of a server counts with the command that waits for them. */
interface Server {
  readonly pid: number
  stop(): Promise<void>
}

function start(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Server {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "ignore" })
  const ended = new Promise((resolve) => child.once("close", resolve))
  return {
    pid: child.pid!,
    async stop() {
      child.kill()
      await ended
    },
  }
}

/** Where a keeper has one copy: a place for rclone that is configured in its environment as `NAME:`. */
interface Remote {
  readonly env: Readonly<Record<string, string>>
  readonly path: string
}

/** How each command of a keeper is run. */
interface KeeperOptions {
  readonly args?: readonly string[]
  /** Processes that work for it. */
  readonly servers?: readonly number[]
}

/** `rclone crypt` over a remote. */
export function rcloneKeeper(name: string, remote: Remote, { args = [], servers = [] }: KeeperOptions = {}): Keeper {
  const password = execFileSync("rclone", ["obscure", secret()]).toString().trim()
  const env = {
    RCLONE_CONFIG_SAFE_TYPE: "crypt",
    RCLONE_CONFIG_SAFE_REMOTE: remote.path,
    RCLONE_CONFIG_SAFE_PASSWORD: password,
    ...remote.env,
  }
  const copy = (from: string, to: string) =>
    measureProgram("rclone", ["--config=", "copyto", ...args, from, to], { env, servers })
  return {
    name,
    put: (source, as) => copy(source, `safe:${as}`),
    get: async (as, target) => ({ ...(await copy(`safe:${as}`, target)), at: target }),
  }
}

/** restic with a repository that is made here. */
export async function resticKeeper(
  name: string,
  env: Readonly<Record<string, string>>,
  { args = [], servers = [] }: KeeperOptions = {},
): Promise<Keeper> {
  const all = { RESTIC_PASSWORD: secret(), RESTIC_COMPRESSION: "off", ...env } // the data is random, and others do not try
  const run = (cwd: string | undefined, ...more: string[]) =>
    measureProgram("restic", ["-q", ...args, ...more], { env: all, servers, cwd })
  await run(undefined, "init")
  return {
    name,
    put: (source, as) => run(source.replace(/\/[^/]*$/, ""), "backup", "--tag", as, source.split("/").at(-1)!),
    get: async (as, target) => ({
      ...(await run(undefined, "restore", "latest", "--tag", as, "--target", target)),
      at: `${target}/source`,
    }),
  }
}

/** borg with a repository in a folder. */
async function borgKeeper(folder: string): Promise<Keeper> {
  const env = { BORG_PASSPHRASE: secret(), BORG_BASE_DIR: `${folder}/borg-base`, BORG_REPO: `${folder}/borg` }
  await measureProgram("borg", ["init", "-e", "repokey-blake2"], { env })
  let archives = 0
  const names = new Map<string, string>()
  return {
    name: "borg, a folder, one copy",
    put(source, as) {
      names.set(as, `a${archives++}`) // an archive for each put; the last one is got
      const args = ["create", "-C", "none", `::${names.get(as)}`, source.split("/").at(-1)!]
      return measureProgram("borg", args, { env, cwd: source.replace(/\/[^/]*$/, "") })
    },
    async get(as, target) {
      fs.mkdirSync(target)
      const got = await measureProgram("borg", ["extract", `::${names.get(as)}`], { env, cwd: target })
      return { ...got, at: `${target}/source` }
    },
  }
}

/** gocryptfs mounted on a folder; what is copied into it is synced, as its users do who want it kept. */
async function gocryptfsKeeper(folder: string): Promise<Keeper | undefined> {
  const [cipher, plain, pass] = [`${folder}/gocryptfs`, `${folder}/gocryptfs-plain`, `${folder}/gocryptfs-pass`]
  fs.mkdirSync(cipher)
  fs.mkdirSync(plain)
  fs.writeFileSync(pass, secret(), { mode: 0o600 })
  execFileSync("gocryptfs", ["-q", "-init", "-passfile", pass, cipher])
  const isMounted = async () => fs.readFileSync("/proc/mounts", "utf8").includes(plain)
  const server = start("gocryptfs", ["-fg", "-q", "-passfile", pass, cipher, plain])
  try {
    await until("gocryptfs to mount", isMounted)
  } catch {
    await server.stop()
    process.stdout.write("gocryptfs cannot mount here: left out.\n")
    return undefined
  }
  const shell = (text: string, ...args: string[]) =>
    measureProgram("sh", ["-c", text, "sh", ...args], { servers: [server.pid] })
  return {
    name: "gocryptfs, a folder, one copy (cp, sync)",
    put: (source, as) => shell('cp -auT "$1" "$2" && sync -f "$2"', source, `${plain}/${as}`),
    get: async (as, target) => ({ ...(await shell('cp -a "$1" "$2"', `${plain}/${as}`, target)), at: target }),
    forget: (as) => fs.rmSync(`${plain}/${as}`, { recursive: true }),
    async close() {
      execFileSync("fusermount", ["-u", plain])
      await server.stop()
    },
  }
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Serves a folder over TLS by `rclone serve KIND`, with a certificate that is made here. */
async function serve(kind: string, folder: string, certificate: { cert: string; key: string }) {
  fs.mkdirSync(folder)
  const port = await freePort()
  const { cert, key } = certificate
  const args = ["--config=", "serve", kind, "--addr", `127.0.0.1:${port}`, "--cert", cert, "--key", key, folder]
  const server = start("rclone", args)
  await until(`rclone serve ${kind} to listen`, () => isListening(port))
  return { ...server, url: `https://127.0.0.1:${port}/` }
}

function makeCertificate(folder: string) {
  const [cert, key] = [`${folder}/cert.pem`, `${folder}/key.pem`]
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
  const made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
  execFileSync("openssl", ["req", ...made, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" })
  return { cert, key }
}

/** Those that have their one copy at the other end of a TLS connection, as we have ours. */
async function overTls(folder: string, hasRestic: boolean): Promise<Keeper[]> {
  const certificate = makeCertificate(folder)
  const dav = await serve("webdav", `${folder}/rclone-dav`, certificate)
  const env = { RCLONE_CONFIG_DAV_TYPE: "webdav", RCLONE_CONFIG_DAV_URL: dav.url, RCLONE_CONFIG_DAV_VENDOR: "other" }
  const options = { args: ["--ca-cert", certificate.cert, "--transfers=16"], servers: [dav.pid] }
  const rclone = rcloneKeeper("rclone crypt, WebDAV over TLS, one copy", { env, path: "dav:" }, options)
  const noManyFiles = "rclone waits 10 ms between two requests to WebDAV"
  const keepers: Keeper[] = [{ ...rclone, noManyFiles, close: dav.stop }]
  if (!hasRestic) return keepers
  const rest = await serve("restic", `${folder}/restic-rest`, certificate)
  const restEnv = { RESTIC_REPOSITORY: `rest:${rest.url}`, RESTIC_CACHE_DIR: `${folder}/restic-rest-cache` }
  const restic = await resticKeeper("restic, REST over TLS, one copy", restEnv, {
    args: ["--cacert", certificate.cert],
    servers: [rest.pid],
  })
  return [...keepers, { ...restic, close: rest.stop }]
}

/** The peers that are installed, each with its store in `folder`. */
export async function peersIn(folder: string): Promise<Keeper[]> {
  const missing = ["rclone", "openssl", "restic", "borg", "gocryptfs"].filter((program) => !isInstalled(program))
  for (const program of missing) process.stdout.write(`${program} is not installed: left out.\n`)
  const has = (program: string) => !missing.includes(program)
  const keepers: (Keeper | undefined)[] = []
  if (has("rclone") && has("openssl")) keepers.push(...(await overTls(folder, has("restic"))))
  if (has("rclone"))
    keepers.push(rcloneKeeper("rclone crypt, a folder, one copy", { env: {}, path: `${folder}/rclone` }))
  if (has("restic")) {
    const env = { RESTIC_REPOSITORY: `${folder}/restic`, RESTIC_CACHE_DIR: `${folder}/restic-cache` }
    keepers.push(await resticKeeper("restic, a folder, one copy", env))
  }
  if (has("borg")) keepers.push(await borgKeeper(folder))
  if (has("gocryptfs")) keepers.push(await gocryptfsKeeper(folder))
  return keepers.filter((keeper) => keeper !== undefined)
}
