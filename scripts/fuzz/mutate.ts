/** Changes of inputs that find new paths in decoders: bits, numbers at their limits, parts moved, doubled and taken from others. */

import { pick, type Random } from "../../e2e/random.ts"

/** Heads of CBOR items and big-endian numbers at limits. */
const telling = [
  [0x00],
  [0x17],
  [0x18, 0x18],
  [0x1b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x20],
  [0x40],
  [0x58, 0xff],
  [0x5a, 0xff, 0xff, 0xff, 0xff],
  [0x60],
  [0x80],
  [0x98, 0xff],
  [0x9a, 0, 1, 0, 0],
  [0xa0],
  [0xa1, 0xf6, 0xf6],
  [0xf4],
  [0xf5],
  [0xf6],
  [0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
  [0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0, 0, 0, 0],
  [0x7f, 0xff, 0xff, 0xff],
  [0, 0, 0, 1],
].map((bytes) => Uint8Array.from(bytes)) // prettier-ignore

/** `input` changed in 1 to 8 places, with parts of `other`; at most `maxBytes`. */
export function mutate(random: Random, input: Uint8Array, other: Uint8Array, maxBytes: number): Uint8Array {
  let bytes = Array.from(input)
  for (let changes = 1 << random(4); changes > 0; changes--) {
    const at = random(bytes.length + 1)
    const length = Math.min(bytes.length - at, 1 + random(1 << random(8)))
    switch (random(8)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << random(8)
        break
      case 1:
        if (at < bytes.length) bytes[at] = random(256)
        break
      case 2:
        bytes.splice(at, length)
        break
      case 3:
        bytes.splice(at, 0, ...bytes.slice(at, at + length))
        break
      case 4: {
        const from = random(other.length + 1)
        bytes.splice(at, random(2) * length, ...other.slice(from, from + length))
        break
      }
      case 5: {
        const what = pick(random, telling)
        bytes.splice(at, random(2) * what.length, ...what)
        break
      }
      case 6:
        if (at < bytes.length) bytes[at] = (bytes[at]! + 1 + random(35) - 17) & 255
        break
      default: {
        const to = random(bytes.length + 1)
        bytes.splice(to, 0, ...bytes.splice(at, length))
      }
    }
  }
  if (bytes.length > maxBytes) bytes = bytes.slice(0, maxBytes)
  return Uint8Array.from(bytes)
}
