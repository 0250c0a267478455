/** What the health of many chunks and of a register comes to. */
import { type CryptoProvider, mapPool, toHex } from "@holdfast/core"
import { type Backend, type ChunkId, decodeRegisterValue, registerIdOf } from "@holdfast/protocol"
import type { ChunkHealth } from "@holdfast/store"

/** Sums over the chunks checked. */
export interface HealthReport {
  chunks: number
  /** All n shares are good, each on a server of its own as far as there are servers. */
  healthy: number
  /** Readable, but shares are missing, damaged or share a server. */
  damaged: number
  /** Fewer than k good shares are left. */
  lost: number
  /** Shares that a repair wrote. */
  placed: number
  /** Least distinct servers and least spare shares (good ones beyond k) of any chunk. */
  leastServers: number
  leastSpare: number
  /** Shares that do not verify, as "server/index" of a chunk. */
  corrupt: string[]
  /** Ids of lost chunks; the first 1000. */
  lostChunks: string[]
}

/** A report on nothing yet. */
export function emptyReport(): HealthReport {
  return {
    chunks: 0,
    healthy: 0,
    damaged: 0,
    lost: 0,
    placed: 0,
    leastServers: Number.POSITIVE_INFINITY,
    leastSpare: Number.POSITIVE_INFINITY,
    corrupt: [],
    lostChunks: [],
  }
}

const most = 1000

/** Adds one chunk. `repaired` says that damaged shares were replaced where that was possible. */
export function addHealth(report: HealthReport, health: ChunkHealth, servers: number, repaired: boolean): void {
  report.chunks++
  report.placed += health.placed
  report.leastServers = Math.min(report.leastServers, health.distinctServers)
  report.leastSpare = Math.min(report.leastSpare, Math.max(0, health.goodShares - health.k))
  for (const where of health.corrupt)
    if (report.corrupt.length < most) report.corrupt.push(`${where} of ${toHex(health.id).slice(0, 16)}`)
  const isSpread = health.distinctServers >= Math.min(health.n, servers)
  if (health.k === 0 || health.goodShares < health.k) {
    report.lost++
    if (report.lostChunks.length < most) report.lostChunks.push(toHex(health.id))
  } else if (health.goodShares < health.n || !isSpread || (health.corrupt.length > 0 && !repaired)) report.damaged++
  else report.healthy++
}

/** Checks chunks as their ids come, each id once, several at a time. */
export async function checkChunks(
  ids: AsyncIterable<ChunkId>,
  check: (id: ChunkId) => Promise<ChunkHealth>,
  onHealth: (health: ChunkHealth) => void,
): Promise<void> {
  const batchSize = 256
  const atOnce = 16
  const seen = new Set<string>()
  let batch: ChunkId[] = []
  const drain = async () => {
    await mapPool(batch, atOnce, async (id) => onHealth(await check(id)))
    batch = []
  }
  for await (const id of ids) {
    const key = toHex(id)
    if (seen.has(key)) continue
    seen.add(key)
    batch.push(id)
    if (batch.length >= batchSize) await drain()
  }
  await drain()
}

/** What one server has of a register. */
export interface RegisterCopy {
  readonly server: string
  /** Absent when the server has none or an invalid one, or gave no answer. */
  readonly sequence?: number
  readonly problem?: string
}

/** Asks each server for its value of the register that `publicKey` signs, and verifies it. Needs no secret. */
export async function checkRegister(
  backends: readonly Backend[],
  crypto: CryptoProvider,
  publicKey: Uint8Array,
): Promise<RegisterCopy[]> {
  const id = registerIdOf(publicKey)
  const copies = await Promise.all(
    backends.map(async (backend): Promise<RegisterCopy> => {
      const server = backend.id
      try {
        const [bytes] = await backend.readRegisters([id])
        if (!bytes) return { server, problem: "has no value" }
        const value = await decodeRegisterValue(crypto, bytes)
        if (toHex(value.publicKey) !== toHex(publicKey)) return { server, problem: "gave another register's value" }
        return { server, sequence: value.sequence }
      } catch (error) {
        return { server, problem: error instanceof Error ? error.message : "gave no answer" }
      }
    }),
  )
  const newest = Math.max(0, ...copies.map(({ sequence = 0 }) => sequence))
  return copies.map((copy) =>
    copy.sequence !== undefined && copy.sequence < newest
      ? { ...copy, problem: `is behind: newest is ${newest}` }
      : copy,
  )
}
