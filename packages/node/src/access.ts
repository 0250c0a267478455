/**
 * Who calls, and what it may do: the roles of its certificate (the provider's word) and those of the grant it shows (its account's
 * word), of which only what both give holds. Specification: docs/protocols/marks.md (O1, O2).
 */
import type { Namespace } from "@holdfast/backends/directory"
import { HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { rolesOf, type Subject } from "@holdfast/network"
import {
  type AccountAccess,
  type AccountGrant,
  type AccountRole,
  accountOf,
  decodeGrant,
  grantBytes,
  grantHolds,
  readerAccess,
} from "@holdfast/protocol"

/** A member at the other end of a connection. */
export interface Peer extends Subject {
  /** SHA-256 of its certificate's SubjectPublicKeyInfo, in base64url. */
  readonly keyId: string
}

interface KnownGrant {
  readonly grant: AccountGrant
  readonly encoded: Uint8Array
}

/** Most grants whose signatures need no second check. */
const grantsKept = 4096

/** Reads grants that clients show; each signature is checked once. */
export class GrantReader {
  readonly #known = new Map<string, KnownGrant>()

  /** What `peer` may do, who shows `header`, if any. Throws ERR_REFUSED. */
  async accessOf(peer: Peer, header: string | undefined, namespace: Namespace): Promise<AccountAccess> {
    if (header === undefined) return { ...readerAccess, roles: both(readerAccess.roles, rolesOf(peer)) }
    const { grant, encoded } = await this.#read(header)
    if (Buffer.from(grant.deviceKey).toString("base64url") !== peer.keyId)
      throw refused("it is for another device's key: after a new key this device needs a new grant")
    const account = accountOf(grant)
    if (!grantHolds(grant, await namespace.recordOf(account), encoded))
      throw refused(
        `account ${toHex(account).slice(0, 16)} has taken it back. To let this device in again, on a full device of the account: holdfast account grant`,
      )
    return { account, roles: both(grant.roles, rolesOf(peer)) }
  }

  async #read(header: string): Promise<KnownGrant> {
    const known = this.#known.get(header)
    if (known) return known
    const encoded = Buffer.from(header.slice(0, 2 * grantBytes), "base64url")
    let grant: AccountGrant
    try {
      grant = await decodeGrant(nodeCrypto, encoded)
    } catch (error) {
      if (isHoldfastError(error)) throw refused(error.message)
      throw error
    }
    if (this.#known.size >= grantsKept) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(header, { grant, encoded })
    return { grant, encoded }
  }
}

function both(some: readonly AccountRole[], others: ReadonlySet<AccountRole>): AccountRole[] {
  return some.filter((role) => others.has(role))
}

function refused(why: string): HoldfastError {
  return new HoldfastError("ERR_REFUSED", `The grant of this device is refused: ${why}.`)
}
