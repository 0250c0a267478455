/**
 * Chunk descriptors and shares as they are stored and sent. Specification: docs/formats/chunk.md.
 * A chunk id is a hash of the descriptor, which holds a hash of every share: anyone can check a share without a key. New chunks are
 * of version 2, whose hashes are the roots of hash trees (./block-tree.ts), so that parts of shares are checked as well.
 */
import {
  type CborValue,
  concat,
  decodeCbor,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  hashSmall,
  limits,
  toHex,
  utf8,
} from "@holdfast/core"
import { blockCount } from "./block-tree.ts"
import type { ChunkId } from "./ids.ts"

/** k of n: any k shares of n restore the chunk. 1 <= k <= n <= 255. */
export interface Coding {
  readonly k: number
  readonly n: number
}

/** What a chunk id commits to. */
export interface Descriptor extends Coding {
  /** Bytes of ciphertext, tag included. */
  readonly ciphertextBytes: number
  /** Hash of each of the n share payloads, 32 bytes each; of version 2 the root of the tree over its blocks. */
  readonly shareHashes: readonly Uint8Array[]
  /** What the chunk's key must hash to: of version 2, and so what tells it from version 1. */
  readonly keyCheck?: Uint8Array
}

/** A stored share taken apart. */
export interface Share {
  readonly id: ChunkId
  readonly descriptor: Descriptor
  readonly index: number
  /** Of version 2 with more than one block: leaves of the data slices, one slice after another, then of parity its own. */
  readonly leaves: Uint8Array
  /** ceil(ciphertextBytes / k) bytes. */
  readonly payload: Uint8Array
}

/** Domain of a share payload's hash, of version 1. */
export const shareDomain = "holdfast/share/1"
const descriptorDomains = { 1: "holdfast/chunk-descriptor/1", 2: "holdfast/chunk-descriptor/2" } as const
const keyDomain = "holdfast/chunk-key/2"
const magic = utf8("HFS")
const headerBytes = magic.length + 1 + 1 + 2

/** Versions of chunks, and of the shares that carry them. */
export type ChunkVersion = 1 | 2

/** The version of a chunk. */
export function versionOf({ keyCheck }: Pick<Descriptor, "keyCheck">): ChunkVersion {
  return keyCheck ? 2 : 1
}

/** What a descriptor of version 2 commits to of the chunk's key. */
export function keyCheckOf(key: Uint8Array): Uint8Array {
  return hashSmall(keyDomain, key)
}

/** Bytes of each share's payload. */
export function payloadBytes(ciphertextBytes: number, k: number): number {
  return Math.ceil(ciphertextBytes / k)
}

/** Bytes of a share between its descriptor and its payload. */
export function leavesLength(descriptor: Descriptor, index: number): number {
  const blocks = versionOf(descriptor) === 1 ? 1 : blockCount(payloadBytes(descriptor.ciphertextBytes, descriptor.k))
  if (blocks === 1) return 0
  return 32 * blocks * (descriptor.k + (index < descriptor.k ? 0 : 1))
}

/** Encodes a descriptor: CBOR [1, k, n, ciphertextBytes, n*32 bytes] or [2, k, n, ciphertextBytes, keyCheck, n*32 bytes]. */
export function encodeDescriptor(descriptor: Descriptor): Uint8Array {
  const { k, n, ciphertextBytes, shareHashes, keyCheck } = descriptor
  return encodeCbor([
    versionOf(descriptor),
    k,
    n,
    ciphertextBytes,
    ...(keyCheck ? [keyCheck] : []),
    concat(...shareHashes),
  ])
}

/** The id of an encoded descriptor. Its second byte is the version. */
export function chunkIdOf(encodedDescriptor: Uint8Array): ChunkId {
  return hashSmall(descriptorDomains[encodedDescriptor[1] === 2 ? 2 : 1], encodedDescriptor)
}

/** Decodes and checks a descriptor, of `expected` version when given. Throws ERR_BAD_FORMAT or ERR_UNSUPPORTED_VERSION. */
export function decodeDescriptor(bytes: Uint8Array, expected?: ChunkVersion): Descriptor {
  const value: CborValue = decodeCbor(bytes, "chunk descriptor")
  const fields = new FieldReader(value, "chunk descriptor")
  const version = fields.integer()
  if ((version !== 1 && version !== 2) || version !== (expected ?? version))
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Chunk descriptor version ${version} is not known here.`, {
      version,
    })
  const n0 = { k: fields.integer(1, limits.maxShares), n: fields.integer(1, limits.maxShares) }
  if (n0.k > n0.n) throw new HoldfastError("ERR_BAD_FORMAT", "Chunk descriptor is damaged: k is larger than n.", n0)
  const ciphertextBytes = fields.integer(16, limits.chunkBytes + 16)
  const keyCheck = version === 2 ? { keyCheck: fields.bytes(32) } : {}
  const hashes = fields.bytes(32 * n0.n)
  fields.end()
  const shareHashes = Array.from({ length: n0.n }, (_, i) => hashes.subarray(32 * i, 32 * i + 32))
  return { ...n0, ciphertextBytes, shareHashes, ...keyCheck }
}

/**
 * How a share begins: "HFS", the descriptor's version, index (1 byte), descriptor length (2 bytes, big endian), descriptor. Leaves
 * (see `Share`) and payload follow.
 */
export function encodeShareHeader(index: number, encodedDescriptor: Uint8Array): Uint8Array {
  const length = encodedDescriptor.length
  return concat(magic, new Uint8Array([encodedDescriptor[1]!, index, length >> 8, length & 255]), encodedDescriptor)
}

/**
 * Takes share bytes apart and checks every field but what only hashing shows (see `verifyShare`).
 * Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT.
 */
export function decodeShare(bytes: Uint8Array): Share {
  if (bytes.length > limits.shareBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A share of ${bytes.length} bytes is larger than the limit of ${limits.shareBytes}.`,
    )
  const { payloadStart, leavesStart, id, descriptor, index } = decodeShareHead(bytes)
  const payload = bytes.subarray(payloadStart)
  const expected = payloadBytes(descriptor.ciphertextBytes, descriptor.k)
  if (payload.length !== expected)
    throw new HoldfastError("ERR_BAD_FORMAT", `Share payload has ${payload.length} bytes instead of ${expected}.`)
  return { id, descriptor, index, leaves: bytes.subarray(leavesStart, payloadStart), payload }
}

/** What stands before a share's payload. */
export interface ShareHead extends Pick<Share, "id" | "descriptor" | "index"> {
  readonly encodedDescriptor: Uint8Array
  /** Where the leaves begin, and where the payload. */
  readonly leavesStart: number
  readonly payloadStart: number
}

/** Most bytes before a share's leaves, so that a read of so many is enough for `decodeShareHead`. */
const maxShareHeadBytes = headerBytes + limits.descriptorBytes

/** Decodes what begins a share: `bytes` hold at least its descriptor. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function decodeShareHead(bytes: Uint8Array): ShareHead {
  if (bytes.length < headerBytes || !equal(bytes.subarray(0, 3), magic))
    throw new HoldfastError("ERR_BAD_FORMAT", "These bytes are not a Holdfast share.")
  const [version, index] = [bytes[3]!, bytes[4]!]
  if (version !== 1 && version !== 2)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Share version ${version} needs a newer Holdfast.`)
  const descriptorBytes = (bytes[5]! << 8) | bytes[6]!
  const leavesStart = headerBytes + descriptorBytes
  if (descriptorBytes > limits.descriptorBytes || leavesStart > bytes.length)
    throw new HoldfastError("ERR_BAD_FORMAT", "Share is cut short: its descriptor is incomplete.")
  const encodedDescriptor = bytes.subarray(headerBytes, leavesStart)
  const descriptor = decodeDescriptor(encodedDescriptor, version)
  if (index >= descriptor.n)
    throw new HoldfastError("ERR_BAD_FORMAT", `Share index ${index} is not below n = ${descriptor.n}.`)
  const payloadStart = leavesStart + leavesLength(descriptor, index)
  return { id: chunkIdOf(encodedDescriptor), descriptor, encodedDescriptor, index, leavesStart, payloadStart }
}

/** The name of a share for messages and files: chunk id in hexadecimal, a dot, the index. */
export function shareName(id: ChunkId, index: number): string {
  return `${toHex(id)}.${index}`
}
