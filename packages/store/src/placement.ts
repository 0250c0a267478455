/**
 * Which servers hold a chunk: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer
 * and Schomaker 2005), over failure domains first, and of many servers over the candidates of the chunk's group alone. Every client
 * computes the same ranking, and a server that comes or goes moves only its own part. Specification: docs/formats/chunk.md.
 */
import { hashesAfter, hashSmall, utf8 } from "@holdfast/core"
import type { Backend, ChunkId } from "@holdfast/protocol"
import { type Domains, overDomains } from "./domains.ts"
import { Ranking } from "./ranking.ts"

/** A server and its share of the load. */
export interface PlacedServer {
  readonly backend: Backend
  /** Relative capacity, above 0. */
  readonly weight: number
  /** What it keeps; by default both. */
  readonly keeps?: { readonly shares: boolean; readonly registers: boolean }
  /** What it would be lost with, the widest first; by default it is lost alone. */
  readonly domains?: Domains
  /** It takes nothing for now, and is no place of any chunk: it is looked at behind all others, as others may have stored there. */
  readonly isWaiting?: boolean
}

const placementDomain = "holdfast/placement/1"
const candidatesDomain = "holdfast/candidates/1"
/** So many servers are ranked by a chunk's own id: why so many, in docs/decisions/0031-candidates.md. */
const mostCandidates = 64
const groupBits = 12
const idBytes = 32

/** All servers, the best place for `id` first: the best of each domain, then the second of each, and so on; those that wait at the end. */
export function rankServers(servers: readonly PlacedServer[], id: ChunkId): Backend[] {
  const ranking = new Placement(servers).ranking(id)
  return ranking.first(ranking.length).map(({ backend }) => backend)
}

/** A server with what its ranks are computed from. */
interface Known<S extends PlacedServer> {
  readonly server: S
  readonly name: Uint8Array
  /** What decides how well a chunk lies there. */
  readonly hash: (id: ChunkId) => Uint8Array
  readonly domains: Domains
}

/** The ranks of the same servers for many chunks: past the first use of a group, their number costs nothing. */
export class Placement<S extends PlacedServer> {
  readonly #known: readonly Known<S>[]
  /** Those that wait, behind all of `#known`. */
  readonly #waiting: readonly Known<S>[]
  /** Two words of 32 bits a server. */
  readonly #seeds: Uint32Array
  /** The candidates of each group that was met, as indices of servers: 128 bytes each. */
  readonly #candidates = new Map<number, Uint16Array | Uint32Array>()

  constructor(servers: readonly S[]) {
    const known = servers.map((server) => {
      const name = utf8(server.backend.id)
      return { server, name, hash: hashesAfter(placementDomain, name, idBytes), domains: server.domains ?? [] }
    })
    this.#known = known.filter(({ server }) => !server.isWaiting)
    this.#waiting = known.filter(({ server }) => server.isWaiting)
    this.#seeds = this.#known.length > mostCandidates ? seedsOf(this.#known) : new Uint32Array()
  }

  /** The servers of a chunk. */
  ranking(id: ChunkId): Ranking<S> {
    const length = this.#known.length + this.#waiting.length
    const waiting = () => this.#rank(this.#waiting, id)
    if (length <= mostCandidates) return new Ranking([...this.#rank(this.#known, id), ...waiting()], length, () => [])
    if (this.#known.length <= mostCandidates) return new Ranking(this.#rank(this.#known, id), length, waiting)
    const group = (id[0]! << (groupBits - 8)) | (id[1]! >> (16 - groupBits))
    const candidates = [...this.#candidatesOf(group)].map((index) => this.#known[index]!)
    const rest = () => {
      const others = new Set(this.#known)
      for (const candidate of candidates) others.delete(candidate)
      return [...this.#rank([...others], id, candidates), ...waiting()]
    }
    return new Ranking(this.#rank(candidates, id), length, rest)
  }

  /** Some servers in the order for a chunk, behind those in `holding`. */
  #rank(servers: readonly Known<S>[], id: ChunkId, holding: readonly Known<S>[] = []): S[] {
    const ranked = servers
      .map((known) => ({ known, score: scoreOf(known, id) }))
      .sort((a, b) => b.score - a.score || compareNames(a.known, b.known))
      .map(({ known }) => known)
    return overDomains(ranked, ({ domains }) => domains, holding).map(({ server }) => server)
  }

  #candidatesOf(group: number): Uint16Array | Uint32Array {
    const found = this.#candidates.get(group)
    if (found) return found
    const keys = keysIn(group, this.#seeds)
    const isBetter = (a: number, b: number) => keys[b]! - keys[a]! || compareNames(this.#known[a]!, this.#known[b]!)
    const inOrder = (indices: number[]) => indices.sort(isBetter)
    const isFlat = this.#known.every(({ domains }) => domains.length === 0)
    const order = isFlat
      ? inOrder(highest(keys, mostCandidates))
      : overDomains(inOrder([...keys.keys()]), (index) => this.#known[index]!.domains)
    const Indices = keys.length < 2 ** 16 ? Uint16Array : Uint32Array
    const candidates = Indices.from(order.slice(0, mostCandidates))
    this.#candidates.set(group, candidates)
    return candidates
  }
}

function compareNames({ server: a }: Known<PlacedServer>, { server: b }: Known<PlacedServer>): number {
  return a.backend.id < b.backend.id ? -1 : 1
}

function scoreOf({ server, hash }: Known<PlacedServer>, id: ChunkId): number {
  const bytes = hash(id)
  const uniform = (wordsAsOne(wordAt(bytes, 0), wordAt(bytes, 4)) + 1) / (2 ** 53 + 1) // in (0, 1)
  return -server.weight / Math.log(uniform)
}

/** The number of 32 bits at `at`, its highest byte first. */
function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

/** The first 53 of 64 bits. */
function wordsAsOne(high: number, low: number): number {
  return high * 2 ** 21 + (low >>> 11)
}

function seedsOf(known: readonly Known<PlacedServer>[]): Uint32Array {
  const seeds = new Uint32Array(2 * known.length)
  for (const [i, { name }] of known.entries()) {
    const hash = hashSmall(candidatesDomain, name)
    seeds.set([wordAt(hash, 0), wordAt(hash, 4)], 2 * i)
  }
  return seeds
}

/** What decides which servers are candidates in a group, by their index: the highest are. Weights have no say here. */
function keysIn(group: number, seeds: Uint32Array): Float64Array {
  const groupKey = mix(group + 1)
  const keys = new Float64Array(seeds.length / 2)
  for (let i = 0; i < keys.length; i++) {
    const high = mix(seeds[2 * i]! ^ groupKey)
    keys[i] = wordsAsOne(high, mix(seeds[2 * i + 1]! ^ high))
  }
  return keys
}

/** The last step of MurmurHash3 (Appleby 2011): every bit of the input changes each bit of the result in half of all cases. */
function mix(word: number): number {
  let bits = word ^ (word >>> 16)
  bits = Math.imul(bits, 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** Indices of the `count` highest keys, and of those equal to the last of them. */
function highest(keys: Float64Array, count: number): number[] {
  const least = keys.toSorted()[keys.length - count]!
  return [...keys.keys()].filter((index) => keys[index]! >= least)
}
