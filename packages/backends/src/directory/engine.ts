/**
 * The storage engine of a node: shares and registers of many tenants in one directory, durable before they are
 * acknowledged. Small shares and registers are in an SQLite database, large shares in files. One process at a time.
 */
import { join } from "node:path"
import { type Clock, type CryptoProvider, fromHex, HoldfastError } from "@holdfast/core"
import { RegisterWaits } from "../register-waits.ts"
import { batchBytes, leastGraceMs, rowBytes, usualDropGraceMs, usualGraceMs } from "../rules.ts"
import { finishDrops, leastDropGraceMs } from "./administration.ts"
import { Committer } from "./committer.ts"
import { openIndex, type ShareIndex } from "./database.ts"
import type { Disk } from "./disk.ts"
import { isTenantName, makeDurableDirectory, ShareFiles } from "./files.ts"
import { createNodeDisk } from "./node-disk.ts"
import { type EngineParts, registerName } from "./parts.ts"
import { type RecoveryReport, recover } from "./recover.ts"
import { type ScrubOptions, type ScrubReport, scrub } from "./scrub.ts"
import { FreeSpace } from "./space.ts"
import { Stamps } from "./stamps.ts"
import { type Namespace, openNamespace } from "./tenant.ts"

/** How to open a storage directory. */
export interface EngineOptions {
  /** Made when it does not exist. */
  readonly dir: string
  readonly crypto: CryptoProvider
  readonly clock: Clock
  /** Disk space kept free; by default 1 GiB or 5 % of the disk, whichever is less. */
  readonly reservedBytes?: number
  /** How old a mark must be before its account can take it away. Default 24 h, never under 1 h. */
  readonly graceMs?: number
  /** How long after it heard that an account is dropped it acts on it. Default 30 days, never under 7. */
  readonly dropGraceMs?: number
  /** This machine's when absent. */
  readonly disk?: Disk
}

/** What differs between tenants. */
export interface NamespaceOptions {
  /** `Backend.id` of the place, to which orders to unmark are bound. Default: the tenant's name. */
  readonly placeId?: string
  /** Most that all of the tenant may take; unlimited by default. */
  readonly quotaBytes?: number
  /** Most that each account may be charged; unlimited by default. */
  readonly accountQuotaBytes?: number
  /** Gives the public key of the tenant's administrator, as far as it is known now; by default nobody is. */
  readonly administrator?: () => Uint8Array | undefined
}

/** A tenant's use of the directory. */
export interface TenantUsage {
  readonly name: string
  readonly usedBytes: number
  readonly shareCount: number
}

/** An open storage directory. */
export interface Engine {
  /** What was found when it was opened; undefined after an orderly close. */
  readonly recovery: RecoveryReport | undefined
  /** The namespace of a tenant, made at its first use. Options are those given at that use. */
  tenant(name: string, options?: NamespaceOptions): Promise<Namespace>
  tenants(): TenantUsage[]
  availableBytes(): Promise<number>
  /** Shares that the disk failed to read since the start. */
  readErrors(): number
  /** Checks all that is stored. */
  scrub(options?: ScrubOptions): Promise<ScrubReport>
  /** Takes away what dropped accounts hold whose grace is over; gives how many marks went. To be called now and then. */
  finishDrops(signal?: AbortSignal): Promise<number>
  /** Waits for what is in work. */
  close(): Promise<void>
}

/** Opens a storage directory. Throws ERR_IO when it is in use or broken. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const disk = options.disk ?? createNodeDisk(options.dir)
  await makeDurableDirectory(disk, options.dir)
  const turn = () => new Promise<void>((resolve) => disk.schedule(resolve))
  const waits = new RegisterWaits({ crypto: options.crypto, read: (name) => registerNamed(index, name), turn })
  const index = openIndex(disk, join(options.dir, "index.sqlite"), (tenant, id) => {
    if (waits.size === 0) return
    const name = registerName(tenant, id)
    queueMicrotask(() => waits.changed(name)) // a transaction runs through without a break: it is over then
  })
  try {
    return await engineOver(options, { disk, index, waits, turn })
  } catch (error) {
    index.close() // its lock would keep the next from opening it
    throw error
  }
}

/** The value of the register that a name (`registerName`) stands for. */
function registerNamed(index: ShareIndex, name: string): Uint8Array | undefined {
  const [tenant = "", id = ""] = name.split(" ")
  return index.registers.get(Number(tenant), fromHex(id))?.value
}

interface Opened extends Pick<EngineParts, "index" | "waits" | "turn"> {
  readonly disk: Disk
}

async function engineOver(options: EngineOptions, { disk, index, waits, turn }: Opened): Promise<Engine> {
  const { dir, crypto, clock, reservedBytes } = options
  const running = new Set<Promise<unknown>>()
  let failures = 0
  let closed = false
  const track = async <T>(operation: () => Promise<T>): Promise<T> => {
    if (closed) throw closedError()
    const work = operation()
    running.add(work)
    try {
      return await work
    } finally {
      running.delete(work)
    }
  }
  const parts: EngineParts = {
    crypto,
    clock,
    index,
    committer: new Committer({ exec: index.exec, later: disk.schedule, nowMs: () => clock.nowMs() }),
    files: new ShareFiles(disk, dir),
    space: new FreeSpace(disk, dir, reservedBytes, clock),
    stamps: new Stamps(clock, {
      instance: crypto.random(16),
      last: index.meta("stamp") ?? 0,
      save: (stamp) => void index.setMeta("stamp", stamp),
    }),
    dropGraceMs: Math.max(leastDropGraceMs, options.dropGraceMs ?? usualDropGraceMs),
    graceMs: Math.max(leastGraceMs, options.graceMs ?? usualGraceMs),
    waits,
    turn,
    track,
    readFailed: () => void failures++,
  }
  const recovery = index.meta("clean") === 1 ? undefined : await recover(parts)
  await parts.committer.run(() => {
    index.setMeta("clean", 0)
    countRows(index)
    index.marks.forgetBatches(parts.stamps.next())
  })
  const tenants = new Map<string, Promise<Namespace>>()
  const openTenant = async (name: string, given: NamespaceOptions) => {
    checkTenantName(name)
    if (!index.tenantNamed(name)) await parts.committer.run(() => index.addTenant(name))
    const unlimited = { quotaBytes: Number.POSITIVE_INFINITY, accountQuotaBytes: Number.POSITIVE_INFINITY }
    const { tenant } = index.tenantNamed(name)!
    return openNamespace(parts, { placeId: name, administrator: () => undefined, ...unlimited, ...given, tenant, name })
  }
  return {
    recovery,
    tenant(name, given = {}) {
      const known = tenants.get(name)
      if (known) return known
      const opened = openTenant(name, given)
      tenants.set(name, opened)
      opened.catch(() => tenants.delete(name))
      return opened
    },
    tenants: () => index.tenants().map(({ name, bytes, shares }) => ({ name, usedBytes: bytes, shareCount: shares })),
    availableBytes: () => parts.space.measure(),
    readErrors: () => failures,
    finishDrops: (signal) => track(() => finishDrops(parts, signal)),
    scrub: (scrubOptions = {}) => scrub(parts, scrubOptions),
    async close() {
      if (closed) return
      closed = true
      waits.close(closedError())
      await Promise.allSettled(running)
      parts.committer.close()
      index.setMeta("clean", 1)
      index.close()
      disk.close()
    },
  }
}

function closedError(): HoldfastError {
  return new HoldfastError("ERR_IO", "The storage directory is closed.")
}

/** Once: directories from before rows of accounts and commands were counted. */
function countRows(index: ShareIndex): void {
  if (index.meta("rows-counted") === 1) return
  for (const { tenant } of index.tenants()) {
    const { accounts, batches } = index.marks.countOf(tenant)
    index.chargeTenant(accounts * rowBytes + batches * batchBytes, tenant)
  }
  index.setMeta("rows-counted", 1)
}

function checkTenantName(name: string): void {
  if (!isTenantName(name)) throw new HoldfastError("ERR_INVALID_ARGUMENT", "A tenant's name has 1 to 64 bytes.")
}
