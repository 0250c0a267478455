/** What the health of many chunks and of a register comes to. */
import { type CryptoProvider, mapPool, toHex } from "@holdfast/core"
import {
  type Backend,
  type ChunkId,
  compareOrder,
  decodeRegisterValue,
  type RegisterId,
  type RegisterOrder,
  registerIdOf,
} from "@holdfast/protocol"
import type { ChunkHealth } from "@holdfast/store"
import type { LostPlace, StoredChunk } from "./volume.ts"

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
  }
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
  const isSpread = health.distinctServers >= Math.min(health.n, servers)
  const name = (list: string[]) => {
    if (list.length >= most) return
    list.push(toHex(health.id))
    if (place) report.places[toHex(health.id)] = place()
  }
  if (health.k === 0 || health.goodShares < health.k) {
    report.lost++
    name(report.lostChunks)
  } else if (health.inconsistent) {
    report.inconsistent++
    name(report.inconsistentChunks)
  } else if (health.goodShares < health.n || !isSpread || (health.corrupt.length > 0 && !repaired)) report.damaged++
  else report.healthy++
}

/** Checks chunks as they come, each once, several at a time. */
export async function checkChunks(
  chunks: AsyncIterable<StoredChunk>,
  check: (id: ChunkId) => Promise<ChunkHealth>,
  onHealth: (health: ChunkHealth, chunk: StoredChunk) => void,
): Promise<void> {
  const batchSize = 256
  const atOnce = 16
  const maxSeen = 1_000_000 // beyond, some are checked twice
  const seen = new Set<string>()
  let batch: StoredChunk[] = []
  const drain = async () => {
    await mapPool(batch, atOnce, async (chunk) => onHealth(await check(chunk.id), chunk))
    batch = []
  }
  for await (const chunk of chunks) {
    const key = toHex(chunk.id)
    if (seen.has(key)) continue
    if (seen.size >= maxSeen) seen.clear()
    seen.add(key)
    batch.push(chunk)
    if (batch.length >= batchSize) await drain()
  }
  await drain()
}

/** What one server has of a register. */
export interface RegisterCopy {
  /** First digits of the register's id. */
  readonly register: string
  readonly server: string
  /** What it is, where it is no tree's root. */
  readonly what?: string
  /** Absent when the server has none or an invalid one, or gave no answer. */
  readonly sequence?: number
  readonly problem?: string
}

interface HeldCopy {
  readonly bytes: Uint8Array
  readonly value: RegisterOrder
}

/** How a register is checked. */
export interface RegisterCheck {
  readonly repair?: boolean
  readonly what?: string
}

/**
 * Asks each server for its value of the register `id`, and verifies it; `repair` gives the newest to those without it. Needs no
 * secret.
 */
export async function checkRegister(
  backends: readonly Backend[],
  crypto: CryptoProvider,
  id: RegisterId,
  { repair = false, what }: RegisterCheck = {},
): Promise<RegisterCopy[]> {
  const register = toHex(id).slice(0, 16)
  const found = await Promise.all(
    backends.map(async (backend): Promise<RegisterCopy & { held?: HeldCopy }> => {
      const where = { register, server: backend.id, ...(what !== undefined && { what }) }
      try {
        const [bytes] = await backend.readRegisters([id])
        if (!bytes) return { ...where, problem: "has no value" }
        const value = await decodeRegisterValue(crypto, bytes)
        if (toHex(registerIdOf(value.publicKey)) !== toHex(id))
          return { ...where, problem: "gave another register's value" }
        return { ...where, sequence: value.sequence, held: { bytes, value } }
      } catch (error) {
        return { ...where, problem: error instanceof Error ? error.message : "gave no answer" }
      }
    }),
  )
  const newest = found.reduce<HeldCopy | undefined>(
    (high, { held }) => (held && (!high || compareOrder(held.value, high.value) > 0) ? held : high),
    undefined,
  )
  return Promise.all(
    found.map(async ({ held: own, ...copy }, position): Promise<RegisterCopy> => {
      if (!newest || (own && compareOrder(own.value, newest.value) === 0)) return copy
      const { epoch, sequence } = newest.value
      if (repair && (await isTaken(backends[position]!, newest.bytes)))
        return { register, server: copy.server, sequence, ...(what !== undefined && { what }) }
      const where = own && own.value.epoch !== epoch ? ` of epoch ${epoch}, which its owner began` : ""
      return own ? { ...copy, problem: `is behind: newest is ${sequence}${where}` } : copy
    }),
  )
}

async function isTaken(backend: Backend, value: Uint8Array): Promise<boolean> {
  const [outcome] = await backend.proposeRegisters([value]).catch(() => [])
  return outcome?.accepted === true
}
