/** Base32 of RFC 4648 section 6 in lower case without padding, decoded strictly: one spelling for each value. */

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

/** Base32 text of `bytes`. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = ""
  let buffer = 0
  let bits = 0
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(buffer >> bits) & 31]
    }
  }
  if (bits > 0) text += alphabet[(buffer << (5 - bits)) & 31]
  return text
}

/** Bytes of base32 `text`, or undefined when it is not the one encoding of any bytes. */
export function decodeBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  let buffer = 0
  let bits = 0
  let length = 0
  for (const letter of text) {
    const value = alphabet.indexOf(letter)
    if (value < 0) return undefined
    buffer = ((buffer << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[length++] = (buffer >> bits) & 255
    }
  }
  if (bits >= 5 || (buffer & ((1 << bits) - 1)) !== 0) return undefined
  return bytes
}
