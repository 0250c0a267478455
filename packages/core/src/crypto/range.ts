/** Where the keystream of AES-GCM for some byte of the ciphertext begins: NIST SP 800-38D, 7.1, whose first counter is 2. */

/** The counter block, for AES in counter mode, of the 16 bytes that hold byte `offset`; the counter is its last 32 bits. */
export function rangeCounter(nonce: Uint8Array, offset: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(16)
  block.set(nonce)
  new DataView(block.buffer).setUint32(12, 2 + Math.floor(offset / 16))
  return block
}
