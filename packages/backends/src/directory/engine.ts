/**
 * The storage engine of a node: shares and registers of many tenants in one directory, durable before they are
 * acknowledged. Small shares and registers are in an SQLite database, large shares in files. Several processes may have it open
 * where they ask for that: see docs/decisions/0017-shared-directories.md.
 */
import { join } from "node:path"
import { type BufferPool, type Clock, type CryptoProvider, fromHex, HoldfastError } from "@holdfast/core"
import { RegisterWaits } from "../register-waits.ts"
import { batchBytes, leastGraceMs, rowBytes, usualDropGraceMs, usualGraceMs } from "../rules.ts"
import { finishDrops, leastDropGraceMs } from "./administration.ts"
import { Committer } from "./committer.ts"
import { isBusy, isUnreadable, openIndex, type ShareIndex, unlessFull } from "./database.ts"
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
  /**
   * Other processes of this machine may have it open too. Where it is not sure that its file system is this machine's own, and without
   * this, one at a time has it.
   */
  readonly isShared?: boolean
  /** How long it waits for a process that leaves no room for this one; not at all by default. */
  readonly waitMs?: number
  /** This machine's when absent. */
  readonly disk?: Disk
  /** What it reads large shares into, for who gives back what it was given; memory of their own when absent. */
  readonly buffers?: BufferPool
}

/** Between two attempts to open what another process leaves no room for. */
const retryMs = 50
const mostUsers = 1_000_000

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

/** Hashes of registers that are remembered for who waits for them again: some hundred bytes for each. */
const rememberedHashes = 16_384

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
  const { dir, clock, waitMs = 0 } = options
  const disk = options.disk ?? createNodeDisk(dir, options.buffers)
  await makeDurableDirectory(disk, dir)
  const isShared = options.isShared === true && (await disk.isLocal(dir))
  const endMs = clock.nowMs() + waitMs
  for (;;)
    try {
      return await (isShared ? openShared(options, disk).catch(orAlone(options, disk)) : openAlone(options, disk))
    } catch (error) {
      if (!isBusy(error) || clock.nowMs() >= endMs) throw error
      await clock.sleep(retryMs)
    }
}

/** Who is alone needs no file of shared memory, for which a full disk has no room. */
function orAlone(options: EngineOptions, disk: Disk): (error: unknown) => Promise<Engine> {
  return (error) => {
    if (!isUnreadable(error)) throw error
    return openAlone(options, disk)
  }
}

async function openAlone(options: EngineOptions, disk: Disk): Promise<Engine> {
  const opened = openParts(options, disk, "alone")
  return orClose(opened.index, async () => {
    // A disk without a byte left still serves what it has; the next who opens it recovers the rest.
    const recovery = isClean(opened.index) ? undefined : await recover(opened).catch(unlessFull)
    return engineOver(opened, recovery)
  })
}

async function openShared(options: EngineOptions, disk: Disk): Promise<Engine> {
  let opened = openParts(options, disk, "shared")
  let recovery: RecoveryReport | undefined
  if (!isClean(opened.index)) {
    opened.index.close()
    recovery = await recoverAlone(options, disk)
    opened = openParts(options, disk, "shared")
  }
  return orClose(opened.index, () => engineOver(opened, recovery))
}

/**
 * Recovers what a process left that ended without closing the directory. Nobody else may have it open: files that no row names yet
 * are what others are about to store. Where others have, it is left to the next who is alone.
 */
async function recoverAlone(options: EngineOptions, disk: Disk): Promise<RecoveryReport | undefined> {
  let parts: EngineParts
  try {
    parts = openParts(options, disk, "alone")
  } catch (error) {
    if (isBusy(error)) return undefined
    throw error
  }
  const { index } = parts
  const report = await orClose(index, async () => {
    try {
      const recovery = isClean(index) ? undefined : await recover(parts)
      index.setMeta("clean", isWhole(recovery) ? 1 : Math.min(0, index.meta("clean") ?? 0))
      return recovery
    } catch (error) {
      return unlessFull(error)
    }
  })
  index.close()
  return report
}

/** Closes the index when `work` fails: its lock would keep the next from opening it. */
async function orClose<T>(index: ShareIndex, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    index.close()
    throw error
  }
}

/** The value of the register that a name (`registerName`) stands for. */
function registerNamed(index: ShareIndex, name: string): Uint8Array | undefined {
  const [tenant = "", id = ""] = name.split(" ")
  return index.registers.get(Number(tenant), fromHex(id))?.value
}

/** What is in work in an open directory. */
interface OpenParts extends EngineParts {
  readonly disk: Disk
  /** Takes no more; waits for what is in work. */
  finish(): Promise<void>
  readErrors(): number
}

function openParts(options: EngineOptions, disk: Disk, access: "alone" | "shared"): OpenParts {
  const { dir, crypto, clock, reservedBytes } = options
  const turn = () => new Promise<void>((resolve) => disk.schedule(resolve))
  // What other processes change is not told here.
  const mostIdle = access === "alone" ? rememberedHashes : 0
  const waits = new RegisterWaits({ crypto, read: (name) => registerNamed(index, name), turn, mostIdle })
  const onRegister = (tenant: number, id: Uint8Array) => {
    if (waits.size === 0) return
    const name = registerName(tenant, id)
    queueMicrotask(() => waits.changed(name)) // a transaction runs through without a break: it is over then
  }
  const index = openIndex(disk, join(dir, "index.sqlite"), { access, onRegister })
  const running = new Set<Promise<unknown>>()
  let failures = 0
  let closed = false
  const { exec, begin } = index
  const sometime = (mostMs: number, work: () => void) => {
    const [by = 0] = crypto.random(1)
    void clock.sleep(1 + (by / 256) * mostMs).then(work)
  }
  return {
    disk,
    crypto,
    clock,
    index,
    committer: new Committer({ exec, begin, later: disk.schedule, sometime, nowMs: () => clock.nowMs() }),
    files: new ShareFiles(disk, dir),
    space: new FreeSpace(disk, dir, reservedBytes, clock),
    stamps: new Stamps({
      clock,
      instance: crypto.random(16),
      saved: () => index.meta("stamp") ?? 0,
      save: (stamp) => void index.setMeta("stamp", stamp),
    }),
    dropGraceMs: Math.max(leastDropGraceMs, options.dropGraceMs ?? usualDropGraceMs),
    graceMs: Math.max(leastGraceMs, options.graceMs ?? usualGraceMs),
    waits,
    isShared: access === "shared",
    turn,
    async track(operation) {
      if (closed) throw closedError()
      const work = operation()
      running.add(work)
      try {
        return await work
      } finally {
        running.delete(work)
      }
    },
    readFailed: () => void failures++,
    readErrors: () => failures,
    async finish() {
      if (closed) return
      closed = true
      waits.close(closedError())
      await Promise.allSettled(running)
    },
  }
}

async function engineOver(parts: OpenParts, recovery: RecoveryReport | undefined): Promise<Engine> {
  const { index, disk, track } = parts
  const wasClean = isClean(index) || (recovery !== undefined && isWhole(recovery)) || parts.isShared
  parts.committer.before(() => {
    comeIn(parts)
    countRows(index)
    index.marks.forgetBatches(parts.stamps.next())
  })
  await parts.committer.run(() => undefined).catch(unlessFull)
  const tenants = new Map<string, Promise<Namespace>>()
  let isClosed = false
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
    readErrors: () => parts.readErrors(),
    finishDrops: (signal) => track(() => finishDrops(parts, signal)),
    scrub: (scrubOptions = {}) => scrub(parts, scrubOptions),
    async close() {
      if (isClosed) return
      isClosed = true
      await parts.finish()
      // All that was acknowledged is there. Where this cannot be written down (the disk is full), the next who is alone looks through it.
      const left = parts.isShared ? parts.committer.run(() => goOut(index)).catch(() => undefined) : undefined
      try {
        await Promise.all([left, parts.committer.close()])
        if (!left && wasClean) goOut(index)
      } catch {
        // As above.
      } finally {
        index.close()
        disk.close()
      }
    },
  }
}

/** Whether all who had the directory open have closed it: `clean` is 1 then, and less by one for each who has not. */
function isClean(index: ShareIndex): boolean {
  return index.meta("clean") === 1
}

/** Whether nothing is left for the next start to look at. */
function isWhole(recovery: RecoveryReport | undefined): boolean {
  return (recovery?.left ?? 0) === 0
}

/** Inside a transaction. */
function comeIn({ index, isShared }: EngineParts): void {
  const others = isShared ? usersOf(index) : 0 // whoever is alone has recovered what others left
  index.setMeta("clean", 0 - others)
}

function goOut(index: ShareIndex): void {
  index.setMeta("clean", Math.min(1, 2 - usersOf(index)))
}

/** How many have it open or ended without closing it. Somebody else may have written the index: never more than can be counted. */
function usersOf(index: ShareIndex): number {
  return Math.min(mostUsers, Math.max(0, 1 - (index.meta("clean") ?? 1)))
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
