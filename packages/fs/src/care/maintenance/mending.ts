/**
 * Checks that mend what needs it, and leave alone what will likely be whole again by itself: a share that a server denies or gives damaged
 * is made anew at once; one on a server that does not answer is waited for, while `happy` servers hold the chunk. A server that has no room
 * says so once in a round, and is offered nothing more in it.
 */
import type { Answer, ChunkHealth, Store } from "@holdfast/store"
import type { HealthStore } from "../health.ts"

/** Where chunks lie, and how long is waited. */
export interface MendingPlaces {
  /** How many servers there are. */
  readonly servers: number
  /** Why servers take nothing more in this round, by their ids; what is learned is added. */
  readonly refusing: Map<string, Answer>
  /** The least number of servers that a write needs. */
  readonly happy: number
  /** False for a server that takes nothing for now. */
  isTaking(server: string): boolean
  /** True for a server that does not answer and has been waited for long enough. */
  isGivenUp(server: string): boolean
}

/** True when a chunk's shares are to be put right now. What cannot be read, or contradicts itself, no repair mends. */
function needsMending(health: ChunkHealth, { servers, happy, refusing, isTaking, isGivenUp }: MendingPlaces): boolean {
  const { k, n, goodShares, distinctServers, corrupt, inconsistent, silent, vacant } = health
  if (k === 0 || goodShares < k || inconsistent) return false
  const hasRoom = vacant.some((server) => isTaking(server) && !refusing.has(server))
  if (corrupt.length > 0) return hasRoom
  const lacking = Math.max(Math.min(n, servers) - distinctServers, n - goodShares)
  if (lacking <= 0 || !hasRoom) return false
  const awaited = [...silent.keys()].filter((server) => !isGivenUp(server)).length
  return distinctServers < happy || lacking > awaited
}

/** Codes of servers that have no room, for this account or at all. */
const withoutRoom: readonly unknown[] = ["ERR_QUOTA_EXCEEDED", "ERR_SERVER_FULL"]

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
      const { refusing, isTaking } = places
      const avoid = () => {
        const closed = store.backends.filter((backend) => !isTaking(backend.id))
        return new Set([...refusing.keys(), ...closed.map((backend) => backend.id)])
      }
      const isMended = repair && needsMending(found, places)
      const health = isMended ? await store.checkChunk(id, { ...options, repair, avoid: avoid() }) : found
      for (const answer of health.refused) if (withoutRoom.includes(answer.code)) refusing.set(answer.server, answer)
      onHealth(health)
      return health
    },
  }
}
