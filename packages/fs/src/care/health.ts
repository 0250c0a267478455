/** What the health of all that something stands on comes to: its chunks, its registers, what cannot be read. */
import { type CryptoProvider, mapPool, toHex } from "@holdfast/core"
import { type ChunkId, type RegisterId, registerIdOf } from "@holdfast/protocol"
import { type ChunkHealth, checkRegister, RecentIds, type RegisterCopy, type Store } from "@holdfast/store"
import type { LostPlace } from "../damage.ts"
import type { Footing, StoredChunk } from "./footing.ts"

/** Sums over the chunks checked. */
export interface HealthReport {
  chunks: number
  /** All n shares are good, each on a server of its own as far as there are servers. */
  healthy: number
  /** Readable, but shares are missing, damaged or share a server. */
  damaged: number
  /** Fewer than k good shares are left. */
  lost: number
  /** Their parity does not follow from their data. */
  inconsistent: number
  /** Shares that a repair wrote. */
  placed: number
  /** Least distinct servers and least spare shares (good ones beyond k) of any chunk. */
  leastServers: number
  leastSpare: number
  /** Shares that do not verify, as "server/index" of a chunk. */
  corrupt: string[]
  /** Ids of lost chunks; the first 1000. */
  lostChunks: string[]
  /** Ids of inconsistent chunks; the first 1000. */
  inconsistentChunks: string[]
  /** Where lost and inconsistent chunks were met first, by their ids. */
  places: Record<string, string>
  /** Directories and lists of files' pieces that cannot be read; the first 1000. */
  unreadable: { readonly place: string; readonly what: "directory" | "file"; readonly message: string }[]
  /** Why servers gave no answer, by their ids. */
  silent: Record<string, string>
  /** What would be left without a failure domain, such as a site, by its name; none where servers have no labels. */
  domains: Record<string, DomainReport>
}

/** What would be left when all servers of a domain were lost. */
export interface DomainReport {
  /** Chunks that could not be read. */
  lost: number
  /** Least spare shares (good ones beyond k) of any chunk; null before the first. */
  leastSpare: number | null
  /** Whether enough of the servers that keep registers would be left to read and write them. */
  readonly keepsQuorum: boolean
}

/** A report on nothing yet. */
export function emptyReport(): HealthReport {
  return {
    chunks: 0,
    healthy: 0,
    damaged: 0,
    lost: 0,
    inconsistent: 0,
    placed: 0,
    leastServers: Number.POSITIVE_INFINITY,
    leastSpare: Number.POSITIVE_INFINITY,
    corrupt: [],
    lostChunks: [],
    inconsistentChunks: [],
    places: {},
    unreadable: [],
    silent: {},
    domains: {},
  }
}

/** Where health is checked. */
export interface HealthStore {
  readonly crypto: CryptoProvider
  readonly store: Pick<Store, "checkChunk" | "backends" | "voters" | "domains">
}

/** How health is checked. */
export interface CheckHealthOptions {
  /** Reads and verifies every share instead of believing the servers. */
  readonly verify?: boolean
  /** Puts missing and damaged shares right, and values of registers; implies `verify`. */
  readonly repair?: boolean
  /** A repair changes nothing, and counts as placed what it would place; registers are told as they are. */
  readonly dryRun?: boolean
  /** What is looked after besides: registers that are no roots of trees, with what they are, and chunks. */
  readonly more?: {
    readonly registers: readonly { readonly register: RegisterId; readonly what: string }[]
    readonly chunks: readonly ChunkId[]
  }
  /** Hears of each chunk as it is checked. */
  readonly onChunk?: () => void
}

/** What a check found. */
export interface Health {
  readonly report: HealthReport
  /** What each server has of each register. */
  readonly copies: readonly RegisterCopy[]
}

/**
 * Checks all of a footing, and mends it when asked to; what it tells as lost goes to the report with `addUnreadable`, which its
 * caller passes. Needs no keys.
 */
export async function checkHealth(
  { crypto, store }: HealthStore,
  footing: Footing,
  options: CheckHealthOptions & { readonly report?: HealthReport } = {},
): Promise<Health> {
  const { verify = false, repair: isRepair = false, dryRun = false, report = emptyReport() } = options
  const more = options.more ?? { registers: [], chunks: [] }
  const repair = isRepair && !dryRun
  for (const { name, keepsQuorum } of store.domains) report.domains[name] = { lost: 0, leastSpare: null, keepsQuorum }
  await checkChunks(joined(footing.chunks, more.chunks), {
    crypto,
    ...((verify || isRepair) && { atOnce: readAtOnce }),
    check: async ({ id, holders }) =>
      store.checkChunk(id, {
        ...{ verify, repair: isRepair, dryRun },
        accounts: repair && holders ? await holders() : [],
      }),
    onHealth: (health, { place }) => {
      addHealth(report, health, { servers: store.backends.length, repaired: repair, place })
      options.onChunk?.()
    },
  })
  const copies: RegisterCopy[] = []
  for (const publicKey of footing.registers)
    copies.push(...(await checkRegister(store.voters, crypto, registerIdOf(publicKey), { repair })))
  for (const { register, what } of more.registers)
    copies.push(...(await checkRegister(store.voters, crypto, register, { repair, what })))
  return { report, copies }
}

/** True when anything is damaged, lost or cannot be read, and was not mended. */
export function isBad({ report, copies }: Health): boolean {
  const { damaged, lost, inconsistent, unreadable } = report
  return damaged + lost + inconsistent + unreadable.length > 0 || copies.some(({ problem }) => problem !== undefined)
}

async function* joined(
  chunks: AsyncIterable<StoredChunk>,
  more: readonly ChunkId[],
): AsyncGenerator<StoredChunk, void, void> {
  yield* chunks
  for (const id of more) yield { id }
}

const most = 1000

/** What is known of a chunk beside its health. */
export interface HealthOptions {
  /** How many servers there are. */
  readonly servers: number
  readonly repaired: boolean
  /** Where the chunk was met, for messages. */
  readonly place?: (() => string) | undefined
}

/** Notes what cannot be read. */
export function addUnreadable(report: HealthReport, { place, what, message }: LostPlace): void {
  if (report.unreadable.length < most) report.unreadable.push({ place, what, message })
}

/** Adds one chunk. `repaired` says that damaged shares were replaced where that was possible. */
export function addHealth(
  report: HealthReport,
  health: ChunkHealth,
  { servers, repaired, place }: HealthOptions,
): void {
  report.chunks++
  report.placed += health.placed
  report.leastServers = Math.min(report.leastServers, health.distinctServers)
  report.leastSpare = Math.min(report.leastSpare, Math.max(0, health.goodShares - health.k))
  for (const where of health.corrupt)
    if (report.corrupt.length < most) report.corrupt.push(`${where} of ${toHex(health.id).slice(0, 16)}`)
  for (const [server, why] of health.silent) if (!Object.hasOwn(report.silent, server)) report.silent[server] = why
  if (health.k > 0)
    for (const [name, domain] of Object.entries(report.domains))
      addDomain(domain, (health.leftWithout.get(name) ?? health.goodShares) - health.k)
  const name = (list: string[]) => {
    if (list.length >= most) return
    list.push(toHex(health.id))
    if (place) report.places[toHex(health.id)] = place()
  }
  const condition = conditionOf(health, { servers, repaired })
  report[condition]++
  if (condition === "lost") name(report.lostChunks)
  if (condition === "inconsistent") name(report.inconsistentChunks)
}

/** How a chunk is. */
export type Condition = "healthy" | "damaged" | "lost" | "inconsistent"

/** How a chunk is that is to lie on `n` servers of its own, or on all `servers` where there are fewer. */
export function conditionOf(
  { k, n, goodShares, distinctServers, corrupt, inconsistent }: ChunkHealth,
  { servers, repaired }: Pick<HealthOptions, "servers" | "repaired">,
): Condition {
  if (k === 0 || goodShares < k) return "lost"
  if (inconsistent) return "inconsistent"
  const isSpread = distinctServers >= Math.min(n, servers)
  return goodShares < n || !isSpread || (corrupt.length > 0 && !repaired) ? "damaged" : "healthy"
}

function addDomain(domain: DomainReport, spare: number): void {
  if (spare < 0) domain.lost++
  domain.leastSpare = Math.min(domain.leastSpare ?? spare, Math.max(0, spare))
}

/** How chunks are checked. */
export interface CheckChunksOptions {
  readonly crypto: Pick<CryptoProvider, "random">
  readonly check: (chunk: StoredChunk) => Promise<ChunkHealth>
  readonly onHealth: (health: ChunkHealth, chunk: StoredChunk) => void
  /** So many are checked once for sure; of more, some are checked twice. */
  readonly mostRemembered?: number
  /** Chunks that are checked at the same time; 16 unless told. */
  readonly atOnce?: number
}

/** Of chunks whose shares are read, fewer: each takes up to 8 MB. */
const readAtOnce = 6

/** In some 70 MB: 6 TB of data. */
const mostRemembered = 1_500_000

/** Checks chunks as they come, each once, several at a time. */
export async function checkChunks(
  chunks: AsyncIterable<StoredChunk>,
  { crypto, check, onHealth, mostRemembered: most = mostRemembered, atOnce = 16 }: CheckChunksOptions,
): Promise<void> {
  const batchSize = 256
  const seen = new RecentIds(crypto, most)
  let batch: StoredChunk[] = []
  const drain = async () => {
    await mapPool(batch, atOnce, async (chunk) => onHealth(await check(chunk), chunk))
    batch = []
  }
  for await (const chunk of chunks) {
    if (!seen.add(chunk.id)) continue
    batch.push(chunk)
    if (batch.length >= batchSize) await drain()
  }
  await drain()
}
