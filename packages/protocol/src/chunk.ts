/**
 * Chunk descriptors and shares as they are stored and sent. Specification: docs/formats/chunk.md.
 * A chunk id is a hash of the descriptor, which holds a hash of every share: anyone can check a share without a key.
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

/** SHA-256 that names a chunk: 32 bytes. */
export type ChunkId = Uint8Array & { readonly __id?: "chunk" }

/** k of n: any k shares of n restore the chunk. 1 <= k <= n <= 255. */
export interface Coding {
  readonly k: number
  readonly n: number
}

/** What a chunk id commits to. */
export interface Descriptor extends Coding {
  /** Bytes of ciphertext, tag included. */
  readonly ciphertextBytes: number
  /** Hash of each of the n share payloads, 32 bytes each. */
  readonly shareHashes: readonly Uint8Array[]
}

/** A stored share taken apart. */
export interface Share {
  readonly id: ChunkId
  readonly descriptor: Descriptor
  readonly index: number
  /** ceil(ciphertextBytes / k) bytes. */
  readonly payload: Uint8Array
}

/** Domain of a share payload's hash. */
export const shareDomain = "holdfast/share/1"
const descriptorDomain = "holdfast/chunk-descriptor/1"
const magic = utf8("HFS\u0001")
const headerBytes = magic.length + 1 + 2

/** Bytes of each share's payload. */
export function payloadBytes(ciphertextBytes: number, k: number): number {
  return Math.ceil(ciphertextBytes / k)
}

/** Encodes a descriptor: CBOR [1, k, n, ciphertextBytes, n*32 bytes]. */
export function encodeDescriptor(descriptor: Descriptor): Uint8Array {
  const { k, n, ciphertextBytes, shareHashes } = descriptor
  return encodeCbor([1, k, n, ciphertextBytes, concat(...shareHashes)])
}

/** The id of an encoded descriptor. */
export function chunkIdOf(encodedDescriptor: Uint8Array): ChunkId {
  return hashSmall(descriptorDomain, encodedDescriptor)
}

/** Decodes and checks a descriptor. Throws ERR_BAD_FORMAT or ERR_UNSUPPORTED_VERSION. */
export function decodeDescriptor(bytes: Uint8Array): Descriptor {
  const value: CborValue = decodeCbor(bytes, "chunk descriptor")
  const fields = new FieldReader(value, "chunk descriptor")
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Chunk descriptor version ${version} needs a newer Holdfast.`, {
      version,
    })
  const n0 = { k: fields.integer(1, limits.maxShares), n: fields.integer(1, limits.maxShares) }
  if (n0.k > n0.n) throw new HoldfastError("ERR_BAD_FORMAT", "Chunk descriptor is damaged: k is larger than n.", n0)
  const ciphertextBytes = fields.integer(16, limits.chunkBytes + 16)
  const hashes = fields.bytes(32 * n0.n)
  fields.end()
  const shareHashes = Array.from({ length: n0.n }, (_, i) => hashes.subarray(32 * i, 32 * i + 32))
  return { ...n0, ciphertextBytes, shareHashes }
}

/** Share bytes: "HFS" 1, index (1 byte), descriptor length (2 bytes, big endian), descriptor, payload. */
export function encodeShareHeader(index: number, encodedDescriptor: Uint8Array): Uint8Array {
  const length = encodedDescriptor.length
  return concat(magic, new Uint8Array([index, length >> 8, length & 255]), encodedDescriptor)
}

/**
 * Takes share bytes apart and checks every field but the payload's hash (see `shareHashMatches`).
 * Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT.
 */
export function decodeShare(bytes: Uint8Array): Share {
  if (bytes.length > limits.shareBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A share of ${bytes.length} bytes is larger than the limit of ${limits.shareBytes}.`,
    )
  if (bytes.length < headerBytes || !equal(bytes.subarray(0, 3), magic.subarray(0, 3)))
    throw new HoldfastError("ERR_BAD_FORMAT", "These bytes are not a Holdfast share.")
  if (bytes[3] !== magic[3])
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Share version ${bytes[3]} needs a newer Holdfast.`)
  const index = bytes[4]!
  const descriptorBytes = (bytes[5]! << 8) | bytes[6]!
  const payloadStart = headerBytes + descriptorBytes
  if (descriptorBytes > limits.descriptorBytes || payloadStart > bytes.length)
    throw new HoldfastError("ERR_BAD_FORMAT", "Share is cut short: its descriptor is incomplete.")
  const encoded = bytes.subarray(headerBytes, payloadStart)
  const descriptor = decodeDescriptor(encoded)
  if (index >= descriptor.n)
    throw new HoldfastError("ERR_BAD_FORMAT", `Share index ${index} is not below n = ${descriptor.n}.`)
  const payload = bytes.subarray(payloadStart)
  const expected = payloadBytes(descriptor.ciphertextBytes, descriptor.k)
  if (payload.length !== expected)
    throw new HoldfastError("ERR_BAD_FORMAT", `Share payload has ${payload.length} bytes instead of ${expected}.`)
  return { id: chunkIdOf(encoded), descriptor, index, payload }
}

/** The name of a share for messages and files: chunk id in hexadecimal, a dot, the index. */
export function shareName(id: ChunkId, index: number): string {
  return `${toHex(id)}.${index}`
}
