/**
 * Synchronous hashing and key derivation for small inputs (ids, checksums, keys).
 * Each use names a domain: a label with a version that no other use has.
 */
import { hkdfSha256, hmacSha256, sha256 } from "#sha256"
import { concat, utf8 } from "../bytes.ts"
import { assert } from "../errors.ts"

/** SHA-256 of `domain` (as UTF-8), a zero byte, and the parts: 32 bytes. For small inputs. */
export function hashSmall(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return sha256(concat(domainPrefix(domain), ...parts))
}

/** `hashSmall` of `domain`, `head` and a part that changes and has `lastBytes`: for very many hashes, of which all else is the same. */
export function hashesAfter(domain: string, head: Uint8Array, lastBytes: number): (last: Uint8Array) => Uint8Array {
  const input = concat(domainPrefix(domain), head, new Uint8Array(lastBytes))
  const at = input.length - lastBytes
  return (last) => {
    assert(last.length === lastBytes, `a last part of ${lastBytes} bytes`)
    input.set(last, at)
    return sha256(input)
  }
}

/** HMAC-SHA-256 under `key` of `domain`, a zero byte, and the parts: 32 bytes. */
export function macSmall(key: Uint8Array, domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmacSha256(key, concat(domainPrefix(domain), ...parts))
}

/** HKDF-SHA-256 (RFC 5869) of `secret`: `length` bytes for the one purpose that `label` names. */
export function deriveKey(
  secret: Uint8Array,
  label: string,
  salt: Uint8Array = new Uint8Array(),
  length = 32,
): Uint8Array {
  return hkdfSha256(secret, salt, utf8(label), length)
}

/** The bytes that begin every hashed or signed structure: the domain's label and a zero byte. */
export function domainPrefix(domain: string): Uint8Array {
  return utf8(`${domain}\0`)
}
