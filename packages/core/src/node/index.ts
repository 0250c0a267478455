/** The Node side of core: node:crypto, the system clock. */
import * as crypto from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { discard } from "../buffer-pool.ts"
import { scatter } from "../bytes.ts"
import type { CryptoProvider } from "../crypto/provider.ts"
import { rangeCounter } from "../crypto/range.ts"
import { isStrictSignature } from "../crypto/signature.ts"
import type { Clock, Env } from "../env.ts"

const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex") // RFC 8410: Ed25519 private key
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex") // RFC 8410: Ed25519 public key

const privateKeyOf = (seed: Uint8Array) =>
  crypto.createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })

/** What is sealed or opened at once, so that the copy comes out of the processor's cache. */
const stepBytes = 128 * 1024
const tagBytes = 16

/** Blocks up to this size are hashed faster in one call, though they are copied for it. */
const smallBlockBytes = 1024

function oneCallHash(head: Uint8Array, blockBytes: number) {
  const whole = Buffer.alloc(head.length + blockBytes)
  return (block: Uint8Array) => {
    whole.set(head)
    whole.set(block, head.length)
    return crypto.hash("sha256", whole.subarray(0, head.length + block.length), "buffer")
  }
}

function twoPartHash(head: Uint8Array) {
  return (block: Uint8Array) => crypto.createHash("sha256").update(head).update(block).digest()
}

/** node:crypto behind Holdfast's interface. */
export const nodeCrypto: CryptoProvider = {
  async sha256(...parts) {
    const hash = crypto.createHash("sha256")
    for (const part of parts) hash.update(part)
    return hash.digest()
  },
  async sha256Blocks(prefix, bytes, { blockBytes, first }) {
    const count = Math.ceil(bytes.length / blockBytes)
    const hashes = new Uint8Array(32 * count)
    const head = Buffer.concat([prefix, Buffer.alloc(first === undefined ? 0 : 4)])
    const hashBlock = blockBytes <= smallBlockBytes ? oneCallHash(head, blockBytes) : twoPartHash(head)
    for (let i = 0; i < count; i++) {
      if (first !== undefined) head.writeUInt32BE(first + i, prefix.length)
      hashes.set(hashBlock(bytes.subarray(i * blockBytes, (i + 1) * blockBytes)), 32 * i)
    }
    return hashes
  },
  async seal(key, nonce, plaintext, associated) {
    const target = new Uint8Array(plaintext.length + tagBytes)
    await nodeCrypto.sealInto([target], key, nonce, plaintext, associated)
    return target
  },
  async sealInto(targets, key, nonce, plaintext, associated) {
    const cipher = crypto.createCipheriv("aes-256-gcm", key, nonce)
    cipher.setAAD(associated)
    for (let at = 0; at < plaintext.length; at += stepBytes) {
      const piece = cipher.update(plaintext.subarray(at, at + stepBytes))
      scatter(targets, piece, at)
      discard(piece)
    }
    cipher.final()
    scatter(targets, cipher.getAuthTag(), plaintext.length)
  },
  async open(key, nonce, sealed, associated) {
    return nodeCrypto.openInto(new Uint8Array(sealed.length), key, nonce, [sealed], associated)
  },
  async openInto(target, key, nonce, sealed, associated) {
    const length = sealed.reduce((sum, part) => sum + part.length, -tagBytes)
    if (length < 0) return undefined
    const decipher = crypto.createDecipheriv("aes-256-gcm", key, nonce)
    decipher.setAAD(associated)
    const tag = new Uint8Array(tagBytes)
    let done = 0 // of what is sealed
    for (const part of sealed)
      for (let at = 0; at < part.length; ) {
        const step = part.subarray(at, at + stepBytes)
        const text = step.subarray(0, Math.max(0, length - done))
        tag.set(step.subarray(text.length), Math.max(0, done - length))
        if (text.length > 0) {
          const piece = decipher.update(text)
          target.set(piece, done)
          discard(piece)
        }
        at += step.length
        done += step.length
      }
    decipher.setAuthTag(tag)
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return target.subarray(0, length)
  },
  async openRange(key, nonce, offset, bytes) {
    const decipher = crypto.createDecipheriv("aes-256-ctr", key, rangeCounter(nonce, offset))
    decipher.update(new Uint8Array(offset % 16))
    return decipher.update(bytes)
  },
  async publicKeyOf(seed) {
    const spki = crypto.createPublicKey(privateKeyOf(seed)).export({ format: "der", type: "spki" })
    return new Uint8Array(spki.subarray(spkiPrefix.length))
  },
  async sign(seed, message) {
    return crypto.sign(null, message, privateKeyOf(seed))
  },
  async verify(publicKey, message, signature) {
    if (!isStrictSignature(publicKey, signature)) return false
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

export { type DirectFile, openDirect, writeWhole } from "./direct.ts"
export { codeOf, createSecretDirectory, ioError, refuseUnlessFree, writeSecretFile } from "./files.ts"
export { checkFile, createFlags, Folder, hasProc, readFlags } from "./folder.ts"
export { localError } from "./local-error.ts"
export { mappedMemory } from "./mapped.ts"
export { isDenied, whoseIs } from "./other-user.ts"
export { type Posix, PosixError, posix, type XattrsOf } from "./posix.ts"
export { keepOwner, makePrivateFolder } from "./private-files.ts"
export { readStart } from "./read-start.ts"
export {
  createSecretFile,
  exposed,
  type NewSecretFile,
  othersMayChange,
  readSecretFile,
  refuseExposed,
} from "./secret-file.ts"
