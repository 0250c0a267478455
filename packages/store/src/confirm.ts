/**
 * Confirming chunks: what a commit refers to without having stored it just now must still be there, and garbage collections
 * that are under way must spare it. Servers mark what they are asked about as in use.
 */
import { type Clock, HoldfastError, mapPool, toHex } from "@holdfast/core"
import { type ChunkId, inconsistentError } from "@holdfast/protocol"
import { shortId } from "./chunk-health.ts"
import type { Server } from "./server.ts"
import { spreadOf } from "./spread.ts"
import type { ChunkHealth } from "./types.ts"

/** How to confirm. */
export interface ConfirmDeps {
  readonly clock: Clock
  /** Servers that must hold a share of their own, as after a put. */
  readonly happy: number
  rankedServers(id: ChunkId): readonly Server[]
  /** Reads and verifies every share, and places those that are missing. */
  repair(id: ChunkId): Promise<ChunkHealth>
}

/** What was stored or confirmed within so long is not asked for again. Garbage must be kept for longer. */
const freshMs = 600_000
const maxRemembered = 100_000
const parallel = 64

/** What one store has stored and confirmed lately. */
export class Confirmations {
  readonly #deps: ConfirmDeps
  /** When, by chunk. */
  readonly #seen = new Map<string, number>()

  constructor(deps: ConfirmDeps) {
    this.#deps = deps
  }

  /** A chunk was stored just now. */
  note(id: ChunkId): void {
    if (this.#seen.size >= maxRemembered) this.#seen.clear()
    this.#seen.set(toHex(id), this.#deps.clock.nowMs())
  }

  /** Resolves once all of `ids` are known to be there. Throws ERR_NOT_ENOUGH_SHARES, ERR_INCONSISTENT. */
  async confirm(ids: readonly ChunkId[]): Promise<void> {
    const oldMs = this.#deps.clock.nowMs() - freshMs
    const open = ids.filter((id) => (this.#seen.get(toHex(id)) ?? Number.NEGATIVE_INFINITY) < oldMs)
    await mapPool(open, parallel, async (id) => {
      if (!(await this.#isHeld(id))) throw gone(id)
      this.note(id)
    })
  }

  async #isHeld(id: ChunkId): Promise<boolean> {
    const held: number[][] = []
    const { promise: enough, resolve } = Promise.withResolvers<void>()
    const asked = this.#deps.rankedServers(id).map(async (server) => {
      held.push(await server.has(id).catch(() => []))
      if (spreadOf(held).filter((index) => index !== undefined).length >= this.#deps.happy) resolve()
    })
    const isEnough = await Promise.race([enough.then(() => true), Promise.all(asked).then(() => false)])
    if (isEnough) return true
    // What fewer hold may be gone with one of them: it was collected as garbage where servers could be reached.
    const { k, goodShares, distinctServers, inconsistent } = await this.#deps.repair(id)
    if (inconsistent) throw inconsistentError(id)
    return k > 0 && goodShares >= k && distinctServers >= this.#deps.happy
  }
}

function gone(id: ChunkId): HoldfastError {
  return new HoldfastError(
    "ERR_NOT_ENOUGH_SHARES",
    `Chunk ${shortId(id)}, which this change refers to, is not there any more: it was removed since you read of it, or too many ` +
      "servers are away. Nothing was changed; read again, then repeat.",
    { chunk: toHex(id) },
  )
}
