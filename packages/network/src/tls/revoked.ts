/** Public keys that are revoked: a set that only grows, as the signed grid description tells it. */
import { createHash, type KeyObject, X509Certificate } from "node:crypto"

/** Names a public key: base64url of the SHA-256 of its SubjectPublicKeyInfo in DER. */
export function keyIdOf(certificate: X509Certificate | string | Uint8Array): string {
  const parsed = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate)
  return keyIdOfKey(parsed.publicKey)
}

/** The same of a key itself, or of its DER. */
export function keyIdOfKey(key: KeyObject | Uint8Array): string {
  const der = key instanceof Uint8Array ? key : key.export({ type: "spki", format: "der" })
  return createHash("sha256").update(der).digest("base64url")
}

/** A connection, as far as it can be ended. */
interface Connection {
  destroy(): unknown
  once(event: "close", listener: () => void): unknown
}

/** The keys that a process has heard to be revoked, and the open connections to whoever holds another. */
export class RevokedKeys {
  readonly #keys = new Set<string>()
  readonly #open = new Map<string, Set<Connection>>()

  constructor(keyIds: readonly string[] = []) {
    this.add(keyIds)
  }

  /** How many there are. */
  get size(): number {
    return this.#keys.size
  }

  /** True for a revoked key. */
  has(keyId: string): boolean {
    return this.#keys.has(keyId)
  }

  /** Adds keys, and ends the connections to their holders; none ever goes. */
  add(keyIds: readonly string[] = []): void {
    for (const keyId of keyIds) {
      if (this.#keys.has(keyId)) continue
      this.#keys.add(keyId)
      for (const connection of this.#open.get(keyId) ?? []) connection.destroy()
    }
  }

  /** Ends a connection as soon as the key of its peer is revoked. */
  watch(keyId: string, connection: Connection): void {
    const connections = this.#open.get(keyId) ?? new Set()
    this.#open.set(keyId, connections.add(connection))
    connection.once("close", () => {
      connections.delete(connection)
      if (connections.size === 0 && this.#open.get(keyId) === connections) this.#open.delete(keyId)
    })
  }
}
