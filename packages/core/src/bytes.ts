/** Small operations on byte arrays that the platform lacks. */

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Text of UTF-8 `bytes`; throws TypeError when they are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes)
}

/** One new array holding all `parts`, one after another. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let total = 0
  for (const part of parts) total += part.length
  const whole = new Uint8Array(total)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** Writes `bytes` at `offset` of `targets`, as if these were one array with room for it. */
export function scatter(targets: readonly Uint8Array[], bytes: Uint8Array, offset: number): void {
  let start = offset // in the array at hand
  let rest = bytes
  for (const target of targets) {
    if (rest.length === 0) return
    if (start < target.length) {
      const piece = rest.subarray(0, target.length - start)
      target.set(piece, start)
      rest = rest.subarray(piece.length)
      start = 0
    } else start -= target.length
  }
}

/** True when both arrays hold the same bytes. Not constant time: never use it on secrets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of two arrays as unsigned bytes: negative, 0 or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

const hexDigits: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
/** No digit's value has a bit of this. */
const notHex = 0xf0
/** What character codes stand for. */
const hexValues = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase())
  return value < 0 ? notHex : value
})

/** Lower-case hexadecimal of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += hexDigits[byte]
  return text
}

/** Bytes of lower- or upper-case hexadecimal; throws RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1)
  let wrong = text.length % 2
  for (let i = 0; i < bytes.length; i++) {
    const a = hexValues[text.charCodeAt(2 * i)] ?? notHex
    const b = hexValues[text.charCodeAt(2 * i + 1)] ?? notHex
    wrong |= (a | b) & notHex
    bytes[i] = (a << 4) | b
  }
  if (wrong) throw new RangeError("not hexadecimal")
  return bytes
}
