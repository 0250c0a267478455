/**
 * The chunk pipeline without any network: plaintext to encoded shares and back. Specification: docs/formats/chunk.md.
 * Runs in worker threads in Node and as it is in a browser.
 */
import { assert, type CryptoProvider, domainPrefix, HoldfastError, limits, macSmall, toHex } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import {
  type ChunkId,
  type Coding,
  chunkIdOf,
  type Descriptor,
  decodeShare,
  encodeDescriptor,
  encodeShareHeader,
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
}

/** What the pipeline needs. */
export interface PipelineDeps {
  readonly crypto: CryptoProvider
  readonly erasure: Erasure
}

const chunkAssociated = domainPrefix("holdfast/chunk/1")
const sharePrefix = domainPrefix(shareDomain)
const convergentDomain = "holdfast/convergent-key/1"
/** Each key seals one plaintext only, so the nonce can be constant. */
const zeroNonce = new Uint8Array(12)

/** Encrypts under a convergent key and disperses. `plaintext` has 1 to limits.chunkBytes bytes. */
export async function sealChunk(
  deps: PipelineDeps,
  plaintext: Uint8Array,
  coding: Coding,
  convergenceSecret: Uint8Array,
): Promise<SealedChunk> {
  assert(plaintext.length >= 1 && plaintext.length <= limits.chunkBytes, `a chunk of ${plaintext.length} bytes`)
  const key = macSmall(convergenceSecret, convergentDomain, await deps.crypto.sha256(plaintext))
  const ciphertext = await deps.crypto.seal(key, zeroNonce, padded(plaintext), chunkAssociated)
  return { key, ...(await disperse(deps, ciphertext, coding)) }
}

/** Restores the plaintext (with its padding) from any k verified shares. Throws ERR_CORRUPT. */
export async function openChunk(deps: PipelineDeps, shares: readonly Share[], key: Uint8Array): Promise<Uint8Array> {
  const first = shares[0]
  assert(first, "openChunk without shares")
  const ciphertext = joinShares(deps.erasure, shares)
  const plaintext = await deps.crypto.open(key, zeroNonce, ciphertext, chunkAssociated)
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

async function disperse(deps: PipelineDeps, ciphertext: Uint8Array, coding: Coding) {
  const payloads = deps.erasure.split(ciphertext, coding)
  const shareHashes = await Promise.all(payloads.map((payload) => deps.crypto.sha256(sharePrefix, payload)))
  const descriptor: Descriptor = { ...coding, ciphertextBytes: ciphertext.length, shareHashes }
  const encoded = encodeDescriptor(descriptor)
  return { id: chunkIdOf(encoded), shares: payloads.map((payload, index) => encodeShare(index, encoded, payload)) }
}

function encodeShare(index: number, encodedDescriptor: Uint8Array, payload: Uint8Array): Uint8Array {
  const header = encodeShareHeader(index, encodedDescriptor)
  const bytes = new Uint8Array(header.length + payload.length)
  bytes.set(header)
  bytes.set(payload, header.length)
  return bytes
}

function joinShares(erasure: Erasure, shares: readonly Share[]): Uint8Array {
  const { descriptor } = shares[0]!
  assert(shares.length >= descriptor.k, "too few shares to join")
  assert(shares[0]!.payload.length === payloadBytes(descriptor.ciphertextBytes, descriptor.k), "a share's length")
  return erasure.join(payloadMap(shares), descriptor, descriptor.ciphertextBytes)
}

function payloadMap(shares: readonly Share[]): Map<number, Uint8Array> {
  return new Map(shares.map((share) => [share.index, share.payload]))
}

function padded(plaintext: Uint8Array): Uint8Array {
  const length = Math.min(limits.chunkBytes, paddedLength(plaintext.length))
  if (length === plaintext.length) return plaintext
  const bytes = new Uint8Array(length)
  bytes.set(plaintext)
  return bytes
}
