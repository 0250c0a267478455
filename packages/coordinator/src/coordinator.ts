/**
 * The coordinator: the grid's authority, its list of members and its signed description, behind TLS 1.3. Needed to join
 * and to administer, not to read or write. It holds no key to anybody's data.
 */
import { randomBytes, X509Certificate } from "node:crypto"
import { chmodSync, existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import { encodeBase32, HoldfastError } from "@holdfast/core"
import { makePrivateFolder } from "@holdfast/core/node"
import {
  type Authority,
  checkIdentity,
  closeServer,
  contextOf,
  createAuthority,
  createKeyAndRequest,
  createTlsServer,
  expiresSoon,
  formatAddress,
  type Identity,
  type Logger,
  listen,
  loadIdentity,
  Metrics,
  type MonitorPlace,
  maxSerialStep,
  openAuthority,
  parseAddress,
  RevokedKeys,
  saveIdentity,
  sparingLogger,
  startMonitor,
} from "@holdfast/network"
import { Database } from "./database.ts"
import { currentGrid } from "./grid.ts"
import { ensureGridKey, gridKeyReader } from "./grid-key.ts"
import { createService } from "./service.ts"

const gridNamePattern = /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]{1,64}$/u

/** How to run a coordinator. */
export interface CoordinatorOptions {
  /** Its state directory, made 0700 at first start. */
  readonly dir: string
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** host or host:port by which members reach it. Default: where it listens. */
  readonly advertise?: string
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  /** Default crash. */
  readonly registerMode?: "crash" | "byzantine"
  /** Its directory is an older copy: the description's serial jumps ahead of all that members may have seen. */
  readonly restored?: boolean
  /** The grid's name, for people. */
  readonly name: string
  readonly logger: Logger
  /** Health and metrics; false for none. Default: a free port on 127.0.0.1. */
  readonly monitor?: MonitorPlace
  /** Default: the system's clock. */
  readonly nowMs?: () => number
}

/** A running coordinator. */
export interface Coordinator {
  /** host:port that invitations name. */
  readonly address: string
  readonly port: number
  /** host:port of health and metrics; undefined without. */
  readonly monitorAddress: string | undefined
  close(): Promise<void>
}

const dayMs = 86_400_000
/** More changes than a grid sees between two backups, and within the step that members take. */
const restoredSkip = maxSerialStep / 2
const revokedEveryMs = 1_000

/** Throws ERR_INVALID_ARGUMENT for a coding or a name that no grid may have. */
function checkShape({ coding: { k, happy, n }, name }: CoordinatorOptions): void {
  if (![k, happy, n].every(Number.isInteger) || k < 1 || happy < k || n < happy || n > 255)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The coding ${k}/${happy}/${n} must obey 1 <= k <= happy <= n <= 255.`,
    )
  if (!gridNamePattern.test(name))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "A grid's name has 1 to 64 characters, and none that controls a terminal or the direction of text.",
    )
}

/** Starts a coordinator; the first start makes its authority, signing key and certificate. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { dir, host, logger, name, registerMode = "crash", nowMs = Date.now } = options
  const metrics = new Metrics()
  checkShape(options)
  makePrivateFolder(dir)
  chmodSync(dir, 0o700)
  const database = new Database(dir)
  try {
    const authorityDir = join(dir, "authority")
    const authority = existsSync(authorityDir)
      ? await openAuthority(authorityDir)
      : await createAuthority(authorityDir, name)
    await ensureGridKey(dir, database)
    const gridKey = gridKeyReader(dir, database)
    const hosts = [host, advertisedHost(options)]
    let identity = await ownIdentity(dir, authority, database, hosts)
    let address = ""
    const settings = () => ({
      name,
      coordinator: address,
      caPem: authority.caPem,
      coding: options.coding,
      registerMode,
    })
    const grid = (skip = 0) => currentGrid(database, gridKey(), settings(), nowMs(), skip)
    const coordinatorId = identity.memberId
    const revoked = new RevokedKeys(database.revokedKeys())
    const server = createTlsServer(
      identity,
      createService({
        ...{ database, authority, coordinatorId, gridKey, grid: () => grid(), nowMs, metrics },
        logger: sparingLogger(logger, { nowMs }),
      }),
      {
        revoked,
        requireClientCertificate: false, // a stranger may join; every other path asks who it is
        maxConnections: 512,
        requestTimeoutMs: 15_000,
        onRefused: (reason) => logger.debug("handshake refused", { reason }),
      },
    )
    const renew = async () => {
      const next = await ownIdentity(dir, authority, database, hosts)
      if (next.certPem === identity.certPem) return
      identity = next
      server.setSecureContext(contextOf(next))
      logger.info("certificate renewed", { memberId: next.memberId, endsMs: next.notAfterMs })
    }
    const port = await listen(server, { host, port: options.port })
    address = addressOf(options, port)
    database.set("advertise", address)
    grid(options.restored ? restoredSkip : 0)
    measure(metrics, { database, authority, identity: () => identity })
    const daily = setInterval(() => {
      renew().catch((error: unknown) => logger.error("certificate not renewed", { error }))
    }, dayMs)
    daily.unref()
    // Whoever is revoked by a command on this machine loses its open connections.
    const watching = setInterval(() => {
      if (database.revokedCount() > revoked.size) revoked.add(database.revokedKeys())
    }, revokedEveryMs)
    watching.unref()
    const monitor = await startMonitor(options.monitor, {
      metrics: () => metrics.render(),
      health: () => ({ ok: server.listening }),
    })
    logger.info("coordinator started", { address, gridId: gridKey().gridId, monitor: monitor?.address })
    return {
      address,
      port,
      monitorAddress: monitor?.address,
      close: async () => {
        clearInterval(daily)
        clearInterval(watching)
        await Promise.all([closeServer(server), monitor?.close()])
        database.close()
      },
    }
  } catch (error) {
    database.close()
    throw error
  }
}

/** The coordinator's own certificate, made at first start and again with a new key when it soon ends. */
async function ownIdentity(
  dir: string,
  authority: Authority,
  database: Database,
  hosts: readonly string[],
): Promise<Identity> {
  const identityDir = join(dir, "identity")
  const coordinatorId = database.get("coordinatorId") ?? encodeBase32(randomBytes(10))
  database.set("coordinatorId", coordinatorId)
  const known = await loadIdentity(identityDir).catch(() => undefined) // missing or ended: made again
  if (known && known.memberId === coordinatorId && !expiresSoon(known)) return known
  const { keyPem, csrPem } = await createKeyAndRequest()
  const serverNames = [...new Set(hosts)].filter((host) => isIP(host) || /^[A-Za-z0-9.-]+$/.test(host))
  const subject = { memberId: coordinatorId, role: "coordinator", tenant: "grid" } as const
  const certPem = await authority.sign(csrPem, { ...subject, serverNames })
  const files = { keyPem, certPem, caPem: authority.caPem }
  await rm(identityDir, { recursive: true, force: true })
  await saveIdentity(identityDir, files)
  return checkIdentity(files)
}

/** What the metrics tell beside requests. */
function measure(
  metrics: Metrics,
  parts: { readonly database: Database; readonly authority: Authority; readonly identity: () => Identity },
): void {
  const { database, authority, identity } = parts
  metrics.gauges("holdfast_coordinator_members", "Members that are not revoked.", "role", () => {
    const members = database.members()
    return ["client", "node"].map((role) => [role, members.filter((member) => member.role === role).length] as const)
  })
  metrics.gauge("holdfast_coordinator_revoked_keys", "Keys that are revoked.", () => database.revokedKeys().length)
  const endHelp = "When the certificate ends, seconds since the epoch."
  metrics.gauge("holdfast_certificate_end_seconds", endHelp, () => identity().notAfterMs / 1000)
  const authorityEnd = new X509Certificate(authority.caPem).validToDate.getTime() / 1000
  const authorityHelp = "When the grid's authority ends, seconds since the epoch."
  metrics.gauge("holdfast_authority_end_seconds", authorityHelp, () => authorityEnd)
}

function addressOf({ advertise, host }: CoordinatorOptions, port: number): string {
  if (advertise === undefined && (host === "0.0.0.0" || host === "::"))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `A coordinator that listens on ${host} must be told the address by which members reach it: give one to advertise.`,
    )
  if (advertise === undefined) return formatAddress(host, port)
  return /:\d+$/.test(advertise) && !isIP(advertise) ? advertise : formatAddress(advertise, port)
}

function advertisedHost(options: CoordinatorOptions): string {
  return parseAddress(addressOf(options, options.port || 1)).host
}
