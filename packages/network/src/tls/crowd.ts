/**
 * Connections of strangers, whose number is bounded. Who comes when all places are taken gets that of the oldest in the most
 * crowded network: strangers push out each other and, as long as one network holds more than another, only their own.
 */
import type { Socket } from "node:net"
import { prefixesOf } from "./prefix.ts"

interface Stranger {
  readonly socket: Socket
  readonly narrow: string
  readonly wide: string
  readonly order: number
}
/** Oldest first. */
type Strangers = Map<Socket, Stranger>

/** Sockets that nobody vouches for. */
export class Crowd {
  readonly #most: number
  readonly #networks = new Map<string, Map<string, Strangers>>()
  readonly #all: Strangers = new Map()
  #order = 0

  constructor(most: number) {
    this.#most = most
  }

  sockets(): Socket[] {
    return [...this.#all.keys()]
  }

  /** Takes `socket` in; gives the one that must end for it, if any. It leaves when it closes, or by `delete`. */
  add(socket: Socket): Socket | undefined {
    const { narrow, wide } = prefixesOf(socket.remoteAddress)
    const stranger = { socket, narrow, wide, order: this.#order++ }
    const inWide = getOr(this.#networks, wide, () => new Map<string, Strangers>())
    const inNarrow = getOr(inWide, narrow, () => new Map())
    inNarrow.set(socket, stranger)
    this.#all.set(socket, stranger)
    socket.once("close", () => this.delete(socket))
    if (this.#all.size <= this.#most) return undefined
    const leaves = this.#oldestInCrowded()
    this.delete(leaves.socket)
    return leaves.socket
  }

  delete(socket: Socket): void {
    const stranger = this.#all.get(socket)
    if (!stranger) return
    this.#all.delete(socket)
    const inWide = this.#networks.get(stranger.wide)!
    const inNarrow = inWide.get(stranger.narrow)!
    inNarrow.delete(socket)
    if (inNarrow.size === 0) inWide.delete(stranger.narrow)
    if (inWide.size === 0) this.#networks.delete(stranger.wide)
  }

  /** In the wide networks that have most, the oldest of the narrow ones that have most. */
  #oldestInCrowded(): Stranger {
    const narrow = crowdedOf([...this.#networks.values()], countOf).flatMap((inWide) => [...inWide.values()])
    return oldestOf(crowdedOf(narrow, ({ size }) => size))
  }
}

function countOf(networks: ReadonlyMap<string, Strangers>): number {
  let count = 0
  for (const { size } of networks.values()) count += size
  return count
}

/** Those of the largest size. */
function crowdedOf<Group>(groups: readonly Group[], size: (group: Group) => number): Group[] {
  const most = Math.max(...groups.map(size))
  return groups.filter((group) => size(group) === most)
}

function oldestOf(groups: Iterable<Strangers>): Stranger {
  let oldest: Stranger | undefined
  for (const group of groups) {
    const first: Stranger = group.values().next().value!
    if (oldest === undefined || first.order < oldest.order) oldest = first
  }
  return oldest!
}

function getOr<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
