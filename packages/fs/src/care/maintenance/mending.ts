/**
 * Checks that mend what needs it, and leave alone what will likely be whole again by itself: a share that a server denies or gives damaged
 * is made anew at once; one on a server that does not answer is waited for, while `happy` servers hold the chunk.
 */
import type { ChunkHealth, Store } from "@holdfast/store"
import type { HealthStore } from "../health.ts"

/** Where chunks lie, and how long is waited. */
export interface MendingPlaces {
  /** How many servers there are. */
  readonly servers: number
  /** The least number of servers that a write needs. */
  readonly happy: number
  /** True for a server that does not answer and has been waited for long enough. */
  isGivenUp(server: string): boolean
}

/** True when a chunk's shares are to be put right now. What cannot be read, or contradicts itself, no repair mends. */
function needsMending(health: ChunkHealth, { servers, happy, isGivenUp }: MendingPlaces): boolean {
  const { k, n, goodShares, distinctServers, corrupt, inconsistent, silent } = health
  if (k === 0 || goodShares < k || inconsistent) return false
  if (corrupt.length > 0) return true
  const lacking = Math.max(Math.min(n, servers) - distinctServers, n - goodShares)
  const hasRoom = servers - silent.size > distinctServers
  if (lacking <= 0 || !hasRoom) return false
  const awaited = [...silent.keys()].filter((server) => !isGivenUp(server)).length
  return distinctServers < happy || lacking > awaited
}

/** The same store, whose repairs are done where they are needed alone; `onHealth` hears how each chunk was left. */
export function mendingStore(
  store: Pick<Store, "checkChunk" | "backends" | "voters" | "domains">,
  places: MendingPlaces,
  onHealth: (health: ChunkHealth) => void,
): HealthStore["store"] {
  return {
    backends: store.backends,
    voters: store.voters,
    domains: store.domains,
    async checkChunk(id, { repair = false, ...options } = {}) {
      const found = await store.checkChunk(id, options)
      const health = repair && needsMending(found, places) ? await store.checkChunk(id, { ...options, repair }) : found
      onHealth(health)
      return health
    },
  }
}
