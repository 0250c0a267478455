/** SHA-256 and what is made of it, at once: from the audited noble library, where the platform only has it later. */
import { hkdf } from "@noble/hashes/hkdf.js"
import { hmac } from "@noble/hashes/hmac.js"
import { sha256 as noble } from "@noble/hashes/sha2.js"

/** SHA-256: 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return noble(bytes)
}

/** HMAC-SHA-256 (RFC 2104): 32 bytes. */
export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hmac(noble, key, bytes)
}

/** HKDF-SHA-256 (RFC 5869): `length` bytes. */
export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return hkdf(noble, secret, salt, info, length)
}
