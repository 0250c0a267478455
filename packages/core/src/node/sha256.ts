/**
 * The same as ../crypto/sha256.ts, from node:crypto. A command that ends after a few hundred small hashes would spend a twentieth of its
 * time on having JavaScript's compiled.
 */
import { createHmac, hash, hkdfSync } from "node:crypto"

/** SHA-256: 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", bytes, "buffer"))
}

/** HMAC-SHA-256 (RFC 2104): 32 bytes. */
export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(bytes).digest())
}

/** HKDF-SHA-256 (RFC 5869): `length` bytes. */
export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, salt, info, length))
}
