/**
 * Which servers hold a chunk: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer
 * and Schomaker 2005), over failure domains first. Every client computes the same ranking, and a server that comes or goes moves
 * only its own part. Specification: docs/formats/chunk.md.
 */
import { hashSmall, utf8 } from "@holdfast/core"
import type { Backend, ChunkId } from "@holdfast/protocol"
import { type Domains, overDomains } from "./domains.ts"

/** A server and its share of the load. */
export interface PlacedServer {
  readonly backend: Backend
  /** Relative capacity, above 0. */
  readonly weight: number
  /** What it keeps; by default both. */
  readonly keeps?: { readonly shares: boolean; readonly registers: boolean }
  /** What it would be lost with, the widest first; by default it is lost alone. */
  readonly domains?: Domains
}

const placementDomain = "holdfast/placement/1"

/** All servers, the best place for `id` first: the best of each domain, then the second of each, and so on. */
export function rankServers(servers: readonly PlacedServer[], id: ChunkId): Backend[] {
  const ranked = servers
    .map(({ domains = [], ...server }) => ({ backend: server.backend, domains, score: scoreOf(server, id) }))
    .sort((a, b) => b.score - a.score || (a.backend.id < b.backend.id ? -1 : 1))
  return overDomains(ranked, ({ domains }) => domains).map(({ backend }) => backend)
}

function scoreOf(server: PlacedServer, id: ChunkId): number {
  const hash = hashSmall(placementDomain, utf8(server.backend.id), id)
  const view = new DataView(hash.buffer, hash.byteOffset)
  const uniform = (view.getUint32(0) * 2 ** 21 + (view.getUint32(4) >>> 11) + 1) / (2 ** 53 + 1) // in (0, 1)
  return -server.weight / Math.log(uniform)
}
