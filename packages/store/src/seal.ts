/**
 * The chunk pipeline without any network: plaintext to encoded shares and back. Specification: docs/formats/chunk.md.
 * Runs in worker threads in Node and as it is in a browser.
 */
import {
  assert,
  type BufferPool,
  type CryptoProvider,
  domainPrefix,
  HoldfastError,
  limits,
  macSmall,
  toHex,
} from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import {
  type ChunkId,
  type Coding,
  chunkIdOf,
  type Descriptor,
  decodeShare,
  encodeDescriptor,
  encodeShareHeader,
  hasHashOf,
  inconsistentError,
  payloadBytes,
  type Share,
  shareDomain,
} from "@holdfast/protocol"
import { paddedLength } from "./padding.ts"

/** A chunk ready to be sent: its id, its key, and each encoded share. */
export interface SealedChunk {
  readonly id: ChunkId
  readonly key: Uint8Array
  readonly shares: readonly Uint8Array[]
  /** What the shares lie in. */
  readonly memory: Uint8Array
}

/** What the pipeline needs. */
export interface PipelineDeps {
  readonly crypto: CryptoProvider
  readonly erasure: Erasure
  /** For what is needed only while a chunk is worked on. */
  readonly buffers: BufferPool
}

const chunkAssociated = domainPrefix("holdfast/chunk/1")
const sharePrefix = domainPrefix(shareDomain)
const convergentDomain = "holdfast/convergent-key/1"
/** Each key seals one plaintext only, so the nonce can be constant. */
const zeroNonce = new Uint8Array(12)
const tagBytes = 16

/**
 * Encrypts under a convergent key and disperses. `plaintext` has 1 to limits.chunkBytes bytes. The shares lie one after
 * another in `target`, which has `sealedBytes` bytes.
 */
export async function sealChunk(
  deps: PipelineDeps,
  plaintext: Uint8Array,
  coding: Coding,
  convergenceSecret: Uint8Array,
  target: Uint8Array = new Uint8Array(sealedBytes(plaintext.length, coding)),
): Promise<SealedChunk> {
  assert(plaintext.length >= 1 && plaintext.length <= limits.chunkBytes, `a chunk of ${plaintext.length} bytes`)
  const key = macSmall(convergenceSecret, convergentDomain, await deps.crypto.sha256(plaintext))
  const content = padded(plaintext)
  const scratch = deps.buffers.take(content.length + tagBytes)
  const ciphertext = await deps.crypto.seal(key, zeroNonce, content, chunkAssociated, scratch)
  const dispersed = await disperse(deps, ciphertext, coding, target)
  deps.buffers.give(scratch)
  return { key, ...dispersed }
}

/** Bytes that all shares of a chunk of `plaintextBytes` take together. */
export function sealedBytes(plaintextBytes: number, coding: Coding): number {
  const ciphertextBytes = paddedBytes(plaintextBytes) + tagBytes
  return coding.n * (headerBytes(ciphertextBytes, coding) + payloadBytes(ciphertextBytes, coding.k))
}

/**
 * Restores the plaintext (with its padding) from any k verified shares: the same from whichever, since slices made from parity
 * count only with the hashes that the descriptor gives them. Throws ERR_CORRUPT, ERR_INCONSISTENT.
 */
export async function openChunk(deps: PipelineDeps, shares: readonly Share[], key: Uint8Array): Promise<Uint8Array> {
  const first = shares[0]
  assert(first, "openChunk without shares")
  const scratch = deps.buffers.take(first.payload.length * first.descriptor.k)
  const ciphertext = joinShares(deps.erasure, shares, scratch)
  if (!(await hasNamedSlices(deps.crypto, shares, scratch))) throw inconsistentError(first.id)
  const plaintext = await deps.crypto.open(key, zeroNonce, ciphertext, chunkAssociated)
  deps.buffers.give(scratch)
  if (!plaintext)
    throw new HoldfastError(
      "ERR_CORRUPT",
      `Chunk ${toHex(first.id)} does not open with its key: the capability or the tree that names it is wrong.`,
    )
  return plaintext
}

/**
 * Checks an encoded share against the chunk it should belong to. Undefined when it is damaged or of another chunk,
 * since a reader then simply takes another share.
 */
export async function checkShare(crypto: CryptoProvider, id: ChunkId, bytes: Uint8Array): Promise<Share | undefined> {
  let share: Share
  try {
    share = decodeShare(bytes)
  } catch {
    return undefined
  }
  const expected = share.descriptor.shareHashes[share.index]!
  if (toHex(share.id) !== toHex(id)) return undefined
  const actual = await crypto.sha256(sharePrefix, share.payload)
  return toHex(actual) === toHex(expected) ? share : undefined
}

/** Makes the encoded shares with the `wanted` indices anew from any k verified ones; needs no key. */
export function rebuildShares(erasure: Erasure, shares: readonly Share[], wanted: readonly number[]): Uint8Array[] {
  const { descriptor } = shares[0]!
  const payloads = erasure.reconstruct(payloadMap(shares), descriptor, [...wanted])
  const encoded = encodeDescriptor(descriptor)
  return payloads.map((payload, i) => encodeShare(wanted[i]!, encoded, payload))
}

async function disperse(deps: PipelineDeps, ciphertext: Uint8Array, coding: Coding, target: Uint8Array) {
  const headerLength = headerBytes(ciphertext.length, coding)
  const shareLength = headerLength + payloadBytes(ciphertext.length, coding.k)
  assert(target.length === coding.n * shareLength, "the array for a sealed chunk")
  const shares = Array.from({ length: coding.n }, (_, i) => target.subarray(i * shareLength, (i + 1) * shareLength))
  const payloads = deps.erasure.split(
    ciphertext,
    coding,
    shares.map((share) => share.subarray(headerLength)),
  )
  const shareHashes = await Promise.all(payloads.map((payload) => deps.crypto.sha256(sharePrefix, payload)))
  const descriptor: Descriptor = { ...coding, ciphertextBytes: ciphertext.length, shareHashes }
  const encoded = encodeDescriptor(descriptor)
  for (const [index, share] of shares.entries()) share.set(encodeShareHeader(index, encoded))
  return { id: chunkIdOf(encoded), shares, memory: target }
}

/** Bytes before the payload of each share: the same for all, whatever their hashes are. */
function headerBytes(ciphertextBytes: number, coding: Coding): number {
  const shareHashes = Array.from({ length: coding.n }, () => new Uint8Array(32))
  return encodeShareHeader(0, encodeDescriptor({ ...coding, ciphertextBytes, shareHashes })).length
}

function encodeShare(index: number, encodedDescriptor: Uint8Array, payload: Uint8Array): Uint8Array {
  const header = encodeShareHeader(index, encodedDescriptor)
  const bytes = new Uint8Array(header.length + payload.length)
  bytes.set(header)
  bytes.set(payload, header.length)
  return bytes
}

function joinShares(erasure: Erasure, shares: readonly Share[], target: Uint8Array): Uint8Array {
  const { descriptor } = shares[0]!
  assert(shares.length >= descriptor.k, "too few shares to join")
  assert(shares[0]!.payload.length === payloadBytes(descriptor.ciphertextBytes, descriptor.k), "a share's length")
  return erasure.join(payloadMap(shares), descriptor, descriptor.ciphertextBytes, target)
}

/** True when those data slices in `slices` that no share gave have the descriptor's hashes. */
async function hasNamedSlices(crypto: CryptoProvider, shares: readonly Share[], slices: Uint8Array): Promise<boolean> {
  const [first] = shares as [Share]
  const length = first.payload.length
  for (let index = 0; index < first.descriptor.k; index++) {
    if (shares.some((share) => share.index === index)) continue
    const slice = slices.subarray(index * length, (index + 1) * length)
    if (!(await hasHashOf(crypto, first, index, slice))) return false
  }
  return true
}

function payloadMap(shares: readonly Share[]): Map<number, Uint8Array> {
  return new Map(shares.map((share) => [share.index, share.payload]))
}

function paddedBytes(plaintextBytes: number): number {
  return Math.min(limits.chunkBytes, paddedLength(plaintextBytes))
}

function padded(plaintext: Uint8Array): Uint8Array {
  const length = paddedBytes(plaintext.length)
  if (length === plaintext.length) return plaintext
  const bytes = new Uint8Array(length)
  bytes.set(plaintext)
  return bytes
}
