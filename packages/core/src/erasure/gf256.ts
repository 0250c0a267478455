/** The field GF(2^8) with polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and generator 2. */

const exponentials = new Uint8Array(510)
const logarithms = new Uint8Array(256)
for (let power = 0, x = 1; power < 255; power++) {
  exponentials[power] = x
  exponentials[power + 255] = x
  logarithms[x] = power
  x = x & 0x80 ? (x << 1) ^ 0x11d : x << 1
}

/** Product of two field elements. */
export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : exponentials[logarithms[a]! + logarithms[b]!]!
}

/** Multiplicative inverse of `a`, which is not 0. */
export function inverse(a: number): number {
  return exponentials[255 - logarithms[a]!]!
}
