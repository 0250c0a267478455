/** The browser side of core: WebCrypto for hashes and AES, noble for Ed25519 (not in every browser yet). */
import { ed25519 } from "@noble/curves/ed25519.js"
import { sha256, sha512 } from "@noble/hashes/sha2.js"
import { concat, equal, scatter } from "../bytes.ts"
import type { CryptoProvider } from "../crypto/provider.ts"
import { rangeCounter } from "../crypto/range.ts"
import { isStrictSignature } from "../crypto/signature.ts"
import type { Clock, Env } from "../env.ts"

const subtle = () => globalThis.crypto.subtle
type Owned = Uint8Array<ArrayBuffer>

/** Of smaller blocks a call into the platform costs more than it saves. */
const smallBlockBytes = 1024

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

async function aesKey(key: Uint8Array, use: "encrypt" | "decrypt") {
  return subtle().importKey("raw", key as Owned, "AES-GCM", false, [use])
}

/**
 * True when R = [S]B - [k]A, as RFC 8032 has it without the cofactor: the library's own check has the cofactor, and takes more than
 * other readers do.
 */
function satisfiesEquation(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = ed25519
  const first = signature.subarray(0, 32)
  let key: InstanceType<typeof Point>
  try {
    key = Point.fromBytes(publicKey)
  } catch {
    return false // no point has this y
  }
  const k = Point.Fn.create(littleEndian(sha512(concat(first, publicKey, message))))
  const s = littleEndian(signature.subarray(32))
  return equal(Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k)).toBytes(), first)
}

function littleEndian(bytes: Uint8Array): bigint {
  let number = 0n
  for (let i = bytes.length - 1; i >= 0; i--) number = (number << 8n) | BigInt(bytes[i]!)
  return number
}

/** WebCrypto behind Holdfast's interface. */
export const webCrypto: CryptoProvider = {
  async sha256(...parts) {
    const whole = parts.length === 1 ? parts[0]! : concat(...parts)
    return new Uint8Array(await subtle().digest("SHA-256", whole as Owned))
  },
  async sha256Blocks(prefix, bytes, { blockBytes, first }) {
    const count = Math.ceil(bytes.length / blockBytes)
    const hashes = new Uint8Array(32 * count)
    const hash = async (i: number) => {
      const number = first === undefined ? new Uint8Array() : u32(first + i)
      const whole = concat(prefix, number, bytes.subarray(i * blockBytes, (i + 1) * blockBytes))
      const digest =
        whole.length <= smallBlockBytes
          ? sha256(whole)
          : new Uint8Array(await subtle().digest("SHA-256", whole as Owned))
      hashes.set(digest, 32 * i)
    }
    await Promise.all(Array.from({ length: count }, (_, i) => hash(i)))
    return hashes
  },
  async seal(key, nonce, plaintext, associated) {
    const algorithm = { name: "AES-GCM", iv: nonce as Owned, additionalData: associated as Owned }
    return new Uint8Array(await subtle().encrypt(algorithm, await aesKey(key, "encrypt"), plaintext as Owned))
  },
  async sealInto(targets, key, nonce, plaintext, associated) {
    scatter(targets, await webCrypto.seal(key, nonce, plaintext, associated), 0)
  },
  async open(key, nonce, sealed, associated) {
    const algorithm = { name: "AES-GCM", iv: nonce as Owned, additionalData: associated as Owned }
    try {
      return new Uint8Array(await subtle().decrypt(algorithm, await aesKey(key, "decrypt"), sealed as Owned))
    } catch {
      return undefined
    }
  },
  async openInto(target, key, nonce, sealed, associated) {
    const plaintext = await webCrypto.open(key, nonce, concat(...sealed), associated)
    if (!plaintext) return undefined
    target.set(plaintext)
    return target.subarray(0, plaintext.length)
  },
  async openRange(key, nonce, offset, bytes) {
    const skipped = offset % 16 // WebCrypto begins at whole blocks
    const algorithm = { name: "AES-CTR", counter: rangeCounter(nonce, offset), length: 32 }
    const imported = await subtle().importKey("raw", key as Owned, "AES-CTR", false, ["decrypt"])
    const opened = await subtle().decrypt(algorithm, imported, concat(new Uint8Array(skipped), bytes) as Owned)
    return new Uint8Array(opened, skipped)
  },
  async publicKeyOf(seed) {
    return ed25519.getPublicKey(seed)
  },
  async sign(seed, message) {
    return ed25519.sign(message, seed)
  },
  async verify(publicKey, message, signature) {
    return isStrictSignature(publicKey, signature) && satisfiesEquation(publicKey, message, signature)
  },
  random(length) {
    return globalThis.crypto.getRandomValues(new Uint8Array(length))
  },
}

/** The page's clock. */
export const webClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms)
      signal?.addEventListener("abort", () => {
        clearTimeout(timer)
        reject(signal.reason)
      })
    }),
}

/** The real platform of a page or worker. */
export const webEnv: Env = { crypto: webCrypto, clock: webClock }
