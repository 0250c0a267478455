/**
 * The storage daemon: an engine over a directory, the storage protocol over mutual TLS 1.3, monitoring, and a scrub in
 * the background. It holds ciphertext only and no key to it.
 */
import { statfs } from "node:fs/promises"
import { resolve } from "node:path"
import { type Engine, type NamespaceOptions, openEngine, type ScrubReport } from "@holdfast/backends/directory"
import { BufferPool, type Clock, isHoldfastError } from "@holdfast/core"
import { mappedMemory, nodeCrypto, systemClock } from "@holdfast/core/node"
import {
  closeServer,
  contextOf,
  createLogger,
  createTlsServer,
  formatAddress,
  keepMembership,
  type Logger,
  listen,
  loadIdentity,
  loadMemberRecord,
  loadPins,
  type MonitorPlace,
  RevokedKeys,
  sparingLogger,
  startMonitor,
  type TlsServerOptions,
} from "@holdfast/network"
import { createAdministration } from "./administration.ts"
import { createNodeMetrics } from "./node-metrics.ts"
import { refuseOlder, storageService } from "./service.ts"

/** How to run a storage node. */
export interface NodeOptions {
  /** Directory with key.pem, cert.pem and ca.pem. */
  readonly identityDir: string
  /** Where shares and registers are kept. */
  readonly dir: string
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly quotas?: NodeQuotas
  /** How old a mark must be before its account can take it away. Default 24 h, never under 1 h. */
  readonly graceMs?: number
  /** How long after it heard that an account is dropped the node acts on it. Default 30 days, never under 7. */
  readonly dropGraceMs?: number
  /** Public keys of the administrators of tenants, in hexadecimal, where they are others than the coordinator names. */
  readonly administrators?: Readonly<Record<string, string>>
  /** Disk space kept free; by default 1 GiB or 5 % of the disk, whichever is less. */
  readonly reservedBytes?: number
  /** Health and metrics; false for none. Default: a free port on 127.0.0.1. */
  readonly monitor?: MonitorPlace
  /**
   * Keeps in touch with the coordinator: announces the node, renews its certificate, refuses revoked members. Without it
   * the node does none of this. `advertise` is host:port for clients when that is not where it listens.
   */
  readonly membership?: { readonly advertise?: string; readonly everyMs?: number }
  /** Bounds that differ from the usual ones. */
  readonly limits?: NodeLimits
  /** The scrub in the background; false for none. Default: once a day at 16 MiB/s. */
  readonly scrub?: { readonly everyMs?: number; readonly bytesPerSecond?: number } | false
  /** Default: JSON lines on stderr. */
  readonly logger?: Logger
  readonly clock?: Clock
}

/** How much of the disk others may use. Infinity is no limit. */
export interface NodeQuotas {
  /** Most bytes of each tenant that is not named. Default: half of the disk, so that none alone fills it. */
  readonly defaultBytes?: number
  readonly tenants?: Readonly<Record<string, number>>
  /** Most bytes that each account of a tenant is charged. Default: no limit but the tenant's. */
  readonly accountBytes?: number
}

/** How much a node lets callers use: connections and time as a server does, and the memory of all requests. */
export interface NodeLimits
  extends Omit<TlsServerOptions, "requireClientCertificate" | "revoked" | "onRefused" | "onExchange"> {
  /** Memory for bodies and answers at once, shared fairly among tenants. Default 512 MiB, at least 64 MiB to be of use. */
  readonly memoryBytes?: number
  /** How long requests in work may take to finish when the node stops. Default 10 s. */
  readonly closeGraceMs?: number
}

/** A running node. */
export interface StorageNode {
  readonly memberId: string
  /** host:port of the storage protocol. */
  readonly address: string
  readonly port: number
  /** host:port of health and metrics; undefined without. */
  readonly monitorAddress: string | undefined
  /** Checks all that is stored, now and at full speed. */
  scrub(): Promise<ScrubReport>
  /** Takes no more requests, finishes those in work, closes the directory. */
  close(): Promise<void>
}

const closeGraceMs = 10_000
/** Memory of bodies and answers that is kept for the next ones. */
const idleBytes = 16 * 1024 * 1024
const dayMs = 86_400_000

/** Starts a node. Throws ERR_NOT_FOUND, ERR_BAD_FORMAT, ERR_REFUSED for its identity, ERR_IO for directory or port. */
export async function startNode(given: NodeOptions): Promise<StorageNode> {
  const options = { ...given, dir: resolve(given.dir) } // as messages name it, wherever this runs
  const { clock = systemClock, quotas = {}, administrators = {} } = options
  const log = options.logger ?? createLogger({ stream: process.stderr })
  const identity = await loadIdentity(options.identityDir)
  const isWitness = await isWitnessOf(options.identityDir)
  const buffers = new BufferPool({ maxIdleBytes: idleBytes, allocate: mappedMemory })
  const engine = await engineOf(options, clock, buffers)
  const defaultBytes = quotas.defaultBytes ?? (await halfOfDisk(options.dir))
  const metrics = createNodeMetrics(engine, identity.notAfterMs)
  if (engine.recovery) log[engine.recovery.left > 0 ? "warn" : "info"]("recovered", { ...engine.recovery })
  const optionsOf = (tenant: string): NamespaceOptions => ({
    placeId: identity.memberId,
    administrator: () => administration.keyOf(tenant),
    quotaBytes: Object.hasOwn(quotas.tenants ?? {}, tenant) ? quotas.tenants![tenant]! : defaultBytes,
    ...(quotas.accountBytes !== undefined && { accountQuotaBytes: quotas.accountBytes }),
  })
  const ended = new AbortController()
  const administration = createAdministration(engine, { given: administrators, optionsOf, log })
  const outside = sparingLogger(log, { nowMs: () => clock.nowMs() })
  const service = storageService({
    ...{ engine, dir: options.dir, metrics, isWitness, buffers },
    log: outside,
    nowMs: () => clock.nowMs(),
    memoryBytes: options.limits?.memoryBytes,
    stopped: ended.signal,
    namespaceOptions: optionsOf,
  })
  const revoked = new RevokedKeys()
  const server = createTlsServer(identity, refuseOlder, {
    ...options.limits,
    onExchange: service,
    revoked,
    onRefused: (code) => {
      metrics.refused()
      outside[code === "too-many-unproven" ? "debug" : "warn"]("connection-refused", { code })
    },
  })
  const scrubNow = async (bytesPerSecond?: number) => {
    const report = await engine.scrub({
      signal: ended.signal,
      onProgress: metrics.scrubbing,
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
    })
    metrics.scrubbed(report.rot.length)
    tellScrub(report, log)
    return report
  }
  const dropping = dropForever(engine, clock, ended.signal, log)
  let scrubbing = Promise.resolve()
  let membership = Promise.resolve()
  let monitor: Awaited<ReturnType<typeof startMonitor>> | undefined
  const close = async () => {
    if (ended.signal.aborted) return
    ended.abort()
    await Promise.all([
      closeServer(server, options.limits?.closeGraceMs ?? closeGraceMs),
      monitor?.close(),
      scrubbing,
      dropping,
      membership,
    ])
    await engine.close()
    log.info("stopped", { memberId: identity.memberId })
  }
  try {
    // Before anybody can connect, and whether or not the coordinator is there.
    if (options.membership) revoked.add((await loadPins(options.identityDir)).revoked)
    const port = await listen(server, options)
    monitor = await startMonitor(options.monitor, {
      metrics: () => metrics.render(),
      health: () => ({ ok: server.listening && !ended.signal.aborted }),
    })
    if (options.scrub !== false) scrubbing = scrubForever(scrubNow, options.scrub ?? {}, clock, ended.signal, log)
    const address = formatAddress(options.host, port)
    const how = { quotaBytes: defaultBytes, ...(isWitness && { witness: true }) }
    log.info("started", { memberId: identity.memberId, address, monitor: monitor?.address, ...how })
    const monitorAddress = monitor?.address
    const announcement = async () => {
      const disk = await statfs(options.dir)
      return { address: options.membership?.advertise ?? address, capacityBytes: disk.blocks * disk.bsize }
    }
    if (options.membership)
      membership = keepMembership(options.identityDir, {
        announcement,
        onRevoked: (keys) => revoked.add(keys),
        onAdministrators: (tenants) => administration.take(tenants),
        onIdentity(next) {
          server.setSecureContext(contextOf(next))
          metrics.certificateEndsMs = next.notAfterMs
        },
        log,
        clock,
        signal: ended.signal,
        everyMs: options.membership.everyMs,
      })
    return { memberId: identity.memberId, address, port, monitorAddress, scrub: () => scrubNow(), close }
  } catch (error) {
    await close()
    throw error
  }
}

function engineOf(
  { dir, reservedBytes, graceMs, dropGraceMs }: NodeOptions,
  clock: Clock,
  buffers: BufferPool,
): Promise<Engine> {
  return openEngine({
    ...{ dir, crypto: nodeCrypto, clock, buffers },
    ...(reservedBytes !== undefined && { reservedBytes }),
    ...(graceMs !== undefined && { graceMs }),
    ...(dropGraceMs !== undefined && { dropGraceMs }),
  })
}

/** Logs what a scrub found. */
function tellScrub({ shares, bytes, rot, newer, inconsistent }: ScrubReport, log: Logger): void {
  for (const { tenant, share, why } of rot) log.error("rot", { tenant, share, why })
  for (const found of newer) log.warn("newer-version", found)
  for (const chunk of inconsistent) log.error("inconsistent", chunk)
  log.info("scrubbed", { shares, bytes, rot: rot.length, newer: newer.length })
}

/** Looks every hour for dropped accounts whose grace is over. */
async function dropForever(engine: Engine, clock: Clock, signal: AbortSignal, log: Logger): Promise<void> {
  while (!signal.aborted) {
    try {
      const marks = await engine.finishDrops(signal)
      if (marks > 0) log.info("dropped", { marks })
      await clock.sleep(3_600_000, signal)
    } catch (error) {
      if (signal.aborted) return
      log.error("drop-failed", { code: isHoldfastError(error) ? error.code : "ERR_IO", cause: String(error) })
      await clock.sleep(3_600_000, signal).catch(() => undefined)
    }
  }
}

/** Whether the node was invited as a witness; an identity without a record, which joined no grid, is none. */
async function isWitnessOf(identityDir: string): Promise<boolean> {
  const record = await loadMemberRecord(identityDir).catch((error: unknown) => {
    if (isHoldfastError(error, "ERR_NOT_FOUND")) return undefined
    throw error
  })
  return record?.witness === true
}

async function halfOfDisk(dir: string): Promise<number> {
  const { blocks, bsize } = await statfs(dir)
  return Math.floor((blocks * bsize) / 2)
}

async function scrubForever(
  scrub: (bytesPerSecond: number) => Promise<unknown>,
  { everyMs = dayMs, bytesPerSecond = 16 * 1024 * 1024 }: { everyMs?: number; bytesPerSecond?: number },
  clock: Clock,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await clock.sleep(everyMs, signal)
      await scrub(bytesPerSecond)
    } catch (error) {
      if (signal.aborted) return
      log.error("scrub-failed", { code: isHoldfastError(error) ? error.code : "ERR_IO", cause: String(error) })
    }
  }
}
