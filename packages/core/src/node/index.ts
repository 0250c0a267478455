/** The Node side of core: node:crypto, the system clock. */
import * as crypto from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { discard } from "../buffer-pool.ts"
import type { CryptoProvider } from "../crypto/provider.ts"
import type { Clock, Env } from "../env.ts"

const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex") // RFC 8410: Ed25519 private key
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex") // RFC 8410: Ed25519 public key

const privateKeyOf = (seed: Uint8Array) =>
  crypto.createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })

/** What is sealed at once, so that the copy comes out of the processor's cache. */
const sealStepBytes = 128 * 1024

/** node:crypto behind Holdfast's interface. */
export const nodeCrypto: CryptoProvider = {
  async sha256(...parts) {
    const hash = crypto.createHash("sha256")
    for (const part of parts) hash.update(part)
    return hash.digest()
  },
  async seal(key, nonce, plaintext, associated, target = new Uint8Array(plaintext.length + 16)) {
    const cipher = crypto.createCipheriv("aes-256-gcm", key, nonce)
    cipher.setAAD(associated)
    for (let at = 0; at < plaintext.length; at += sealStepBytes) {
      const piece = cipher.update(plaintext.subarray(at, at + sealStepBytes))
      target.set(piece, at)
      discard(piece)
    }
    cipher.final()
    target.set(cipher.getAuthTag(), plaintext.length)
    return target
  },
  async open(key, nonce, sealed, associated) {
    if (sealed.length < 16) return undefined
    const decipher = crypto.createDecipheriv("aes-256-gcm", key, nonce)
    decipher.setAAD(associated)
    decipher.setAuthTag(sealed.subarray(sealed.length - 16))
    const plaintext = decipher.update(sealed.subarray(0, sealed.length - 16))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plaintext
  },
  async publicKeyOf(seed) {
    const spki = crypto.createPublicKey(privateKeyOf(seed)).export({ format: "der", type: "spki" })
    return new Uint8Array(spki.subarray(spkiPrefix.length))
  },
  async sign(seed, message) {
    return crypto.sign(null, message, privateKeyOf(seed))
  },
  async verify(publicKey, message, signature) {
    const key = crypto.createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: "der", type: "spki" })
    return crypto.verify(null, message, key, signature)
  },
  random: (length) => crypto.randomBytes(length),
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: async (ms, signal) => void (await delay(ms, undefined, signal ? { signal } : {})),
}

/** The real platform. */
export const nodeEnv: Env = { crypto: nodeCrypto, clock: systemClock }
