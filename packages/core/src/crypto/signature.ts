/**
 * Which Ed25519 signatures are looked at at all. Libraries differ in what RFC 8032 leaves open or they leave out, so that what one
 * reader takes another could refuse; this is the part of our rule that needs no arithmetic on the curve, and the equation without
 * the cofactor is the rest. Specification: docs/formats/README.md, section Signatures.
 */
import { equal, fromHex } from "../bytes.ts"

/** Order of the base point, little endian. */
const order = fromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
/** The prime of the field, little endian. */
const prime = fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
/** The y of the eight points of small order, little endian. */
const smallOrders = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(fromHex)

/** False for a key or signature that is refused whatever was signed. */
export function isStrictSignature(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  return isStrictPoint(publicKey) && isStrictPoint(signature.subarray(0, 32)) && isBelow(signature.subarray(32), order)
}

/** True for the one encoding of a y of a point of large order, be there one or not. */
function isStrictPoint(encoded: Uint8Array): boolean {
  const y = Uint8Array.from(encoded) // not slice, which of a Buffer is no copy
  y[31]! &= 0x7f // the sign of x; where x is 0 the order is small
  return isBelow(y, prime) && !smallOrders.some((small) => equal(y, small))
}

function isBelow(number: Uint8Array, limit: Uint8Array): boolean {
  for (let i = limit.length - 1; i >= 0; i--) if (number[i] !== limit[i]) return number[i]! < limit[i]!
  return false
}
