/**
 * What Holdfast asks of the platform's cryptography. Two implementations: node:crypto and WebCrypto; both pass the same
 * vectors. Large data goes through here; small hashes are computed synchronously by ./small.ts.
 */

/** Hashes, AEAD and signatures of the platform. */
export interface CryptoProvider {
  /** SHA-256 of the parts one after another: 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Promise<Uint8Array>
  /**
   * AES-256-GCM: ciphertext followed by the 16-byte tag. `key` 32 bytes, `nonce` 12 bytes. The result is in `target`
   * when that is given: 16 bytes more than `plaintext`, and no part of it.
   */
  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array,
    target?: Uint8Array,
  ): Promise<Uint8Array>
  /** Inverse of seal; undefined when the tag does not verify. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Promise<Uint8Array | undefined>
  /** Ed25519 public key (32 bytes) of a 32-byte seed. */
  publicKeyOf(seed: Uint8Array): Promise<Uint8Array>
  /** Ed25519 signature (64 bytes) over `message`. */
  sign(seed: Uint8Array, message: Uint8Array): Promise<Uint8Array>
  /** True when `signature` over `message` verifies under `publicKey`. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
  /** `length` bytes from the system's secure generator. */
  random(length: number): Uint8Array
}
