/**
 * Capabilities: strings that grant exactly what they say. Specification: docs/formats/capability.md.
 * Spelling: "hf:" kind ":" base32(payload, 4 bytes of checksum). write > read > verify, each derived offline.
 */
import {
  type CryptoProvider,
  concat,
  decodeBase32,
  deriveKey,
  encodeBase32,
  equal,
  HoldfastError,
  hashSmall,
  utf8,
} from "@holdfast/core"

/** Directory or mutable file, with what is granted. */
export type MutableKind = "dw" | "dr" | "dv" | "fw" | "fr" | "fv"
/** Immutable item: read, verify; literal. */
export type ImmutableKind = "ci" | "cv" | "lit"

/** May write: the Ed25519 seed, 32 bytes. */
export interface WriteCap {
  readonly kind: "dw" | "fw"
  readonly seed: Uint8Array
}
/** May read: public key and read key, 32 bytes each. */
export interface ReadCap {
  readonly kind: "dr" | "fr"
  readonly publicKey: Uint8Array
  readonly readKey: Uint8Array
}
/** May check signatures, list what a tree needs and repair it: public key and verify key, 32 bytes each. */
export interface VerifyCap {
  readonly kind: "dv" | "fv"
  readonly publicKey: Uint8Array
  readonly verifyKey: Uint8Array
}
/** An immutable file, directory or snapshot: an encoded tree entry (see docs/formats/tree.md). */
export interface ImmutableCap {
  readonly kind: "ci"
  readonly entry: Uint8Array
}
/** The chunks that an immutable item stands on. */
export interface ImmutableVerifyCap {
  readonly kind: "cv"
  /** 1 to `maxVerifyIds` ids of 32 bytes, one after another. */
  readonly chunkIds: Uint8Array
}
/** Small content carried in the capability itself, at most 256 bytes. */
export interface LiteralCap {
  readonly kind: "lit"
  readonly content: Uint8Array
}
export type Cap = WriteCap | ReadCap | VerifyCap | ImmutableCap | ImmutableVerifyCap | LiteralCap

const checksumDomain = "holdfast/cap-checksum/1"
const readKeyLabel = "holdfast/read-key/1"
const verifyKeyLabel = "holdfast/verify-key/1"
const maxCapLength = 2048
const maxLiteralBytes = 256
/** Most chunks that an immutable verify capability names: more would not fit its length. */
export const maxVerifyIds = 38

/** The string of a capability. It is a secret for every kind but the verify ones. */
export function encodeCap(cap: Cap): string {
  const payload = payloadOf(cap)
  return `hf:${cap.kind}:${encodeBase32(concat(payload, checksum(cap.kind, payload)))}`
}

/** True when `text` is meant as a capability. */
export function looksLikeCap(text: string): boolean {
  return text.startsWith("hf:")
}

/** Parses a capability. Throws ERR_BAD_CAPABILITY, without repeating the string. */
export function decodeCap(text: string): Cap {
  const match = /^hf:(dw|dr|dv|fw|fr|fv|ci|cv|lit):([a-z2-7]*)$/.exec(text.trim())
  if (!match || text.length > maxCapLength) throw badCap("it does not have the form hf:KIND:LETTERS")
  const kind = match[1] as Cap["kind"]
  const bytes = decodeBase32(match[2]!)
  if (!bytes || bytes.length < 4) throw badCap("it is cut short or has a wrong letter")
  const payload = bytes.subarray(0, bytes.length - 4)
  if (!equal(checksum(kind, payload), bytes.subarray(bytes.length - 4)))
    throw badCap("its checksum does not fit, so a letter is missing or mistyped")
  return capOf(kind, payload)
}

/** The capability to read that a write capability contains; a read capability is given back. */
export async function toReadCap(crypto: CryptoProvider, cap: WriteCap | ReadCap): Promise<ReadCap> {
  if ("readKey" in cap) return cap
  return {
    kind: cap.kind === "dw" ? "dr" : "fr",
    publicKey: await crypto.publicKeyOf(cap.seed),
    readKey: deriveKey(cap.seed, readKeyLabel),
  }
}

/** The capability to verify that any mutable capability contains. */
export async function toVerifyCap(crypto: CryptoProvider, cap: WriteCap | ReadCap | VerifyCap): Promise<VerifyCap> {
  if (!("seed" in cap) && !("readKey" in cap)) return cap
  const { kind, publicKey, readKey } = await toReadCap(crypto, cap)
  return { kind: kind === "dr" ? "dv" : "fv", publicKey, verifyKey: verifyKeyOf(readKey) }
}

/** The key that lists a tree's chunks without opening any: it follows from the read key, never the other way. */
export function verifyKeyOf(readKey: Uint8Array): Uint8Array {
  return deriveKey(readKey, verifyKeyLabel)
}

function payloadOf(cap: Cap): Uint8Array {
  if ("seed" in cap) return cap.seed
  if ("readKey" in cap) return concat(cap.publicKey, cap.readKey)
  if ("publicKey" in cap) return concat(cap.publicKey, cap.verifyKey)
  if (cap.kind === "ci") return cap.entry
  return cap.kind === "cv" ? cap.chunkIds : cap.content
}

function capOf(kind: Cap["kind"], payload: Uint8Array): Cap {
  const length = { dw: 32, fw: 32, dr: 64, fr: 64, dv: 64, fv: 64, cv: undefined, ci: undefined, lit: undefined }[kind]
  if (length !== undefined && payload.length !== length) throw badCap("its length is wrong for its kind")
  switch (kind) {
    case "dw":
    case "fw":
      return { kind, seed: payload }
    case "dr":
    case "fr":
      return { kind, publicKey: payload.subarray(0, 32), readKey: payload.subarray(32) }
    case "dv":
    case "fv":
      return { kind, publicKey: payload.subarray(0, 32), verifyKey: payload.subarray(32) }
    case "ci":
      return { kind, entry: payload }
    case "cv":
      if (payload.length < 32 || payload.length > 32 * maxVerifyIds || payload.length % 32 !== 0)
        throw badCap("its length is wrong for its kind")
      return { kind, chunkIds: payload }
    case "lit":
      if (payload.length > maxLiteralBytes) throw badCap("its content is too long")
      return { kind, content: payload }
  }
}

function checksum(kind: string, payload: Uint8Array): Uint8Array {
  return hashSmall(checksumDomain, utf8(`${kind}:`), payload).subarray(0, 4)
}

function badCap(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_CAPABILITY", `This is not a valid capability: ${why}. Copy the whole string again.`)
}
