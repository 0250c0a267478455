/**
 * Padmé padding (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019): a length L is rounded up so
 * that only its leading bits remain, at most 12 % more and about log log L bits of what it tells.
 */

/** The padded length for `length` bytes (at least 1). */
export function paddedLength(length: number): number {
  if (length < 2) return 1
  const exponent = 31 - Math.clz32(length)
  const kept = 32 - Math.clz32(exponent)
  const mask = 2 ** Math.max(0, exponent - kept) - 1
  return Math.floor((length + mask) / (mask + 1)) * (mask + 1)
}
