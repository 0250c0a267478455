/** The browser side of core: WebCrypto for hashes and AES, noble for Ed25519 (not in every browser yet). */
import { ed25519 } from "@noble/curves/ed25519.js"
import { concat } from "../bytes.ts"
import type { CryptoProvider } from "../crypto/provider.ts"
import type { Clock, Env } from "../env.ts"

const subtle = () => globalThis.crypto.subtle
type Owned = Uint8Array<ArrayBuffer>

async function aesKey(key: Uint8Array, use: "encrypt" | "decrypt") {
  return subtle().importKey("raw", key as Owned, "AES-GCM", false, [use])
}

/** WebCrypto behind Holdfast's interface. */
export const webCrypto: CryptoProvider = {
  async sha256(...parts) {
    const whole = parts.length === 1 ? parts[0]! : concat(...parts)
    return new Uint8Array(await subtle().digest("SHA-256", whole as Owned))
  },
  async seal(key, nonce, plaintext, associated, target) {
    const algorithm = { name: "AES-GCM", iv: nonce as Owned, additionalData: associated as Owned }
    const sealed = new Uint8Array(await subtle().encrypt(algorithm, await aesKey(key, "encrypt"), plaintext as Owned))
    target?.set(sealed)
    return target ?? sealed
  },
  async open(key, nonce, sealed, associated) {
    const algorithm = { name: "AES-GCM", iv: nonce as Owned, additionalData: associated as Owned }
    try {
      return new Uint8Array(await subtle().decrypt(algorithm, await aesKey(key, "decrypt"), sealed as Owned))
    } catch {
      return undefined
    }
  },
  async publicKeyOf(seed) {
    return ed25519.getPublicKey(seed)
  },
  async sign(seed, message) {
    return ed25519.sign(message, seed)
  },
  async verify(publicKey, message, signature) {
    try {
      return ed25519.verify(signature, message, publicKey)
    } catch {
      return false
    }
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
