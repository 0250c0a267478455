/**
 * Places for connections whose certificate was verified. They are apart from those of strangers; each key and each tenant has a
 * bound, and when all are taken a tenant that has fewer gets one of the tenant that has most, and a member one of the busiest of
 * its own tenant.
 */
import type { Socket } from "node:net"

/** Bounds of members' connections. */
export interface MemberBounds {
  readonly most: number
  readonly mostPerPeer: number
  readonly mostPerTenant: number
}

/** Open connections of members. */
export class MemberPlaces {
  readonly #bounds: MemberBounds
  /** By tenant, then by key; in the order in which they came. */
  readonly #tenants = new Map<string, Map<string, Set<Socket>>>()
  #size = 0

  constructor(bounds: MemberBounds) {
    this.#bounds = bounds
  }

  /** True when `socket` of the member has a place until it closes; another member's may have been ended for it. */
  take(socket: Socket, { tenant, keyId }: { readonly tenant: string; readonly keyId: string }): boolean {
    const peers = this.#tenants.get(tenant) ?? new Map<string, Set<Socket>>()
    const own = peers.get(keyId) ?? new Set<Socket>()
    if (own.size >= this.#bounds.mostPerPeer) return false
    const isFull = this.#size >= this.#bounds.most || countOf(peers) >= this.#bounds.mostPerTenant
    if (isFull && !this.#endOneFor(tenant, keyId)) return false
    this.#tenants.set(tenant, peers.set(keyId, own.add(socket)))
    this.#size++
    socket.once("close", () => this.#leave(socket, tenant, keyId))
    return true
  }

  /** Ends a connection of who has more and stays ahead even so: of the largest tenant, else of the member's own. */
  #endOneFor(tenant: string, keyId: string): boolean {
    const own = this.#tenants.get(tenant) ?? new Map<string, Set<Socket>>()
    const held = countOf(own)
    const [name, largestTenant] = largest(this.#tenants, countOf)
    if (held < this.#bounds.mostPerTenant && countOf(largestTenant) > held + 1)
      return this.#endNewest(name, largest(largestTenant, sizeOf))
    if (own.size === 0) return false
    const busiest = largest(own, sizeOf)
    return busiest[1].size > (own.get(keyId)?.size ?? 0) + 1 && this.#endNewest(tenant, busiest)
  }

  /** Those that are older are more likely to be in use. */
  #endNewest(tenant: string, [keyId, sockets]: readonly [string, ReadonlySet<Socket>]): true {
    const newest = [...sockets].at(-1)!
    this.#leave(newest, tenant, keyId)
    newest.destroy()
    return true
  }

  #leave(socket: Socket, tenant: string, keyId: string): void {
    const peers = this.#tenants.get(tenant)
    const own = peers?.get(keyId)
    if (!peers || !own?.delete(socket)) return
    this.#size--
    if (own.size === 0) peers.delete(keyId)
    if (peers.size === 0) this.#tenants.delete(tenant)
  }
}

function sizeOf({ size }: ReadonlySet<Socket>): number {
  return size
}

function countOf(peers: ReadonlyMap<string, ReadonlySet<Socket>>): number {
  let count = 0
  for (const { size } of peers.values()) count += size
  return count
}

function largest<Value>(map: ReadonlyMap<string, Value>, size: (value: Value) => number): readonly [string, Value] {
  return [...map].reduce((most, entry) => (size(entry[1]) > size(most[1]) ? entry : most))
}
