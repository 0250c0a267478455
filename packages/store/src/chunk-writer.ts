/** Putting a chunk: ask who has what, send only what is missing, count distinct servers. */
import { type Clock, HoldfastError, toHex } from "@holdfast/core"
import type { SealedChunk } from "./seal.ts"
import type { Server } from "./server.ts"

/** A server that did not take a share, and why. */
export interface Refusal {
  readonly server: string
  readonly why: string
  /** True when the tenant's quota is the reason. */
  readonly isQuota: boolean
}

/** What a put did. */
export interface WriteResult {
  readonly sentBytes: number
}

/** When `happy` servers have answered what they hold, the others have so long to answer too. */
const graceMs = 2000

/**
 * Stores the shares on the first of `ranked` that accept them, at most one share on each. Resolves when every share has
 * its place or no server is left, if at least `happy` distinct servers hold one. Throws ERR_NOT_ENOUGH_SERVERS.
 */
export async function writeChunk(
  chunk: SealedChunk,
  ranked: readonly Server[],
  happy: number,
  clock: Clock,
): Promise<WriteResult> {
  const refusals: Refusal[] = []
  const held = new Map<number, string>() // share index to the server that holds it
  const free: Server[] = []
  const answers = await allHoldings(chunk, ranked, happy, clock, refusals)
  answers.forEach((indices, rank) => {
    const useful = indices?.find((index) => !held.has(index))
    if (useful !== undefined) held.set(useful, ranked[rank]!.backend.id)
    else if (indices) free.push(ranked[rank]!)
  })
  const missing = chunk.shares.flatMap((_, index) => (held.has(index) ? [] : [index]))
  let sentBytes = 0
  const place = async (index: number): Promise<void> => {
    const share = chunk.shares[index]!
    for (let server = free.shift(); server; server = free.shift()) {
      const outcome = await server.put(share).catch(asRefusal)
      if (outcome.ok) {
        if (!outcome.existed) sentBytes += share.length
        held.set(index, server.backend.id)
        return
      }
      refusals.push({ server: server.backend.id, why: outcome.message, isQuota: outcome.code === "quota" })
    }
  }
  await Promise.all(missing.map(place))
  const distinct = new Set(held.values()).size
  if (distinct < happy) throw notEnoughServers(chunk, distinct, happy, held, refusals)
  return { sentBytes }
}

/** What each server holds of the chunk; undefined of those that fail, or let wait when enough others have answered. */
async function allHoldings(
  chunk: SealedChunk,
  ranked: readonly Server[],
  enough: number,
  clock: Clock,
  refusals: Refusal[],
): Promise<readonly (number[] | undefined)[]> {
  const answers = ranked.map((): number[] | undefined => undefined)
  const silent = new Set(ranked)
  let answered = 0
  const { promise: enoughAnswered, resolve } = Promise.withResolvers<void>()
  const asked = ranked.map(async (server, rank) => {
    try {
      const indices = await server.has(chunk.id)
      answers[rank] = indices.filter((index) => index < chunk.shares.length)
      if (++answered === enough) resolve()
    } catch (error) {
      if (silent.has(server)) refusals.push({ server: server.backend.id, why: messageOf(error), isQuota: false })
    }
    silent.delete(server)
  })
  const stop = new AbortController()
  const late = enoughAnswered.then(() => clock.sleep(graceMs, stop.signal)).catch(() => undefined)
  await Promise.race([Promise.all(asked), late])
  stop.abort()
  for (const { backend } of silent)
    refusals.push({ server: backend.id, why: `it did not answer within ${graceMs} ms`, isQuota: false })
  silent.clear()
  return [...answers]
}

function asRefusal(error: unknown): { ok: false; code: "io"; message: string } {
  return { ok: false, code: "io", message: messageOf(error) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function notEnoughServers(
  chunk: SealedChunk,
  reached: number,
  happy: number,
  held: ReadonlyMap<number, string>,
  refused: readonly Refusal[],
): HoldfastError {
  const reasons = refused.map(({ server, why }) => `${server}: ${why}`).join("; ")
  const isQuota = reached + refused.filter((refusal) => refusal.isQuota).length >= happy
  const advice = isQuota
    ? "Remove what you do not need and run `holdfast gc`, or ask the provider for more"
    : "Bring servers back, free space, or add servers"
  return new HoldfastError(
    isQuota ? "ERR_QUOTA_EXCEEDED" : "ERR_NOT_ENOUGH_SERVERS",
    `Only ${reached} of the ${happy} servers needed took the data${reasons ? ` (${reasons})` : ""}. ` +
      `What was stored before stays readable. ${advice}, then repeat: what was sent is not sent again.`,
    { chunk: toHex(chunk.id), happy, reached, accepted: [...held.values()], refused },
  )
}
