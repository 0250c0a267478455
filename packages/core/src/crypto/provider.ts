/**
 * What Holdfast asks of the platform's cryptography. Two implementations: node:crypto and WebCrypto; both pass the same
 * vectors. Large data goes through here; small hashes are computed synchronously by ./small.ts.
 */

/** Which pieces of some bytes are hashed. */
export interface BlockOptions {
  /** Bytes of each piece but the last, which may be shorter. */
  readonly blockBytes: number
  /** The number of the first piece; the number of each is hashed before it, as u32. Without, none is. */
  readonly first?: number
}

/** Hashes, AEAD and signatures of the platform. */
export interface CryptoProvider {
  /** SHA-256 of the parts one after another: 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Promise<Uint8Array>
  /** SHA-256 of `prefix`, the number where there is one, and each piece of `bytes`: 32 bytes each, one after another. */
  sha256Blocks(prefix: Uint8Array, bytes: Uint8Array, options: BlockOptions): Promise<Uint8Array>
  /** AES-256-GCM: ciphertext followed by the 16-byte tag. `key` 32 bytes, `nonce` 12 bytes. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Promise<Uint8Array>
  /**
   * The same, at the start of `targets` as if these were one array: 16 bytes more than `plaintext` together, or more, and no part of it.
   */
  sealInto(
    targets: readonly Uint8Array[],
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array,
  ): Promise<void>
  /** Inverse of seal; undefined when the tag does not verify. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Promise<Uint8Array | undefined>
  /**
   * The same of what lies in several arrays one after another. The result is at the start of `target`, which may be the one array that
   * is opened, and has arbitrary content when the tag does not verify.
   */
  openInto(
    target: Uint8Array,
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: readonly Uint8Array[],
    associated: Uint8Array,
  ): Promise<Uint8Array | undefined>
  /**
   * The plaintext of some bytes from the middle of what `seal` made, the first of which is at `offset`: the keystream of AES-256-GCM
   * is that of counter mode. No tag is checked: whoever calls must know from elsewhere that the bytes are genuine.
   */
  openRange(key: Uint8Array, nonce: Uint8Array, offset: number, bytes: Uint8Array): Promise<Uint8Array>
  /** Ed25519 public key (32 bytes) of a 32-byte seed. */
  publicKeyOf(seed: Uint8Array): Promise<Uint8Array>
  /** Ed25519 signature (64 bytes) over `message`. */
  sign(seed: Uint8Array, message: Uint8Array): Promise<Uint8Array>
  /** True when `signature` over `message` verifies under `publicKey`. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
  /** `length` bytes from the system's secure generator. */
  random(length: number): Uint8Array
}
