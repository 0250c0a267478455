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

/** The keys that a process has heard to be revoked. */
export class RevokedKeys {
  readonly #keys = new Set<string>()
  readonly #listeners = new Set<() => void>()

  /** True for a revoked key. */
  has(keyId: string): boolean {
    return this.#keys.has(keyId)
  }

  /** Adds keys; none ever goes. */
  add(keyIds: readonly string[] = []): void {
    const before = this.#keys.size
    for (const keyId of keyIds) this.#keys.add(keyId)
    if (this.#keys.size > before) for (const listener of this.#listeners) listener()
  }

  /** Calls `listener` whenever keys were added. */
  onAdded(listener: () => void): void {
    this.#listeners.add(listener)
  }
}
