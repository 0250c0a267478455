/**
 * The chunk pipeline without any network: plaintext to encoded shares and back. Specification: docs/formats/chunk.md.
 * Runs in worker threads in Node and as it is in a browser.
 */
import {
  assert,
  type BufferPool,
  type CryptoProvider,
  concat,
  domainPrefix,
  equal,
  HoldfastError,
  isHoldfastError,
  limits,
  macSmall,
  toHex,
  utf8,
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
  keyCheckOf,
  leavesIn,
  leavesLength,
  leavesOf,
  payloadBytes,
  rootOf,
  type Share,
  verifyShare,
  versionOf,
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

const uploadDomain = "holdfast/upload-key/2"
const uploadHashDomain = "holdfast/upload-hash/2"
const nothing = new Uint8Array()
const associated = { 1: domainPrefix("holdfast/chunk/1"), 2: domainPrefix("holdfast/chunk/2") } as const
/** Each key seals one plaintext only, so the nonce can be constant. */
export const zeroNonce = new Uint8Array(12)
const tagBytes = 16

/** Where a chunk's key comes from: it is given, or follows from a secret that one upload alone has, the place, and the content. */
export type ChunkKey = Uint8Array | { readonly secret: Uint8Array; readonly place: string }

/**
 * Encrypts under `from`, which seals nothing else that anybody sees, and disperses. `plaintext` has 1 to limits.chunkBytes bytes.
 * The shares lie one after another in `target`, which has `sealedBytes` bytes.
 */
export async function sealChunk(
  deps: PipelineDeps,
  plaintext: Uint8Array,
  coding: Coding,
  from: ChunkKey,
  target: Uint8Array = new Uint8Array(sealedBytes(plaintext.length, coding)),
): Promise<SealedChunk> {
  assert(plaintext.length >= 1 && plaintext.length <= limits.chunkBytes, `a chunk of ${plaintext.length} bytes`)
  const key = from instanceof Uint8Array ? from : await uploadKey(deps.crypto, plaintext, from)
  const content = padded(plaintext)
  const ciphertextBytes = content.length + tagBytes
  const shares = sharesIn(target, ciphertextBytes, coding)
  const payloadLength = payloadBytes(ciphertextBytes, coding.k)
  const payloads = shares.map((share) => share.subarray(share.length - payloadLength))
  await deps.crypto.sealInto(payloads, key, zeroNonce, content, associated[2])
  for (const [i, payload] of payloads.slice(0, coding.k).entries())
    payload.fill(0, Math.max(0, ciphertextBytes - i * payloadLength))
  deps.erasure.addParity(payloads, coding)
  const id = await describe(
    deps.crypto,
    { shares, payloads },
    { ...coding, ciphertextBytes, keyCheck: keyCheckOf(key) },
  )
  return { id, key, shares, memory: target }
}

/**
 * A key that follows from the content, by a universal hash under a key of its own (GMAC, NIST SP 800-38D), and a pseudo-random function
 * over that and the place (Carter and Wegman's construction). The hash itself never leaves this function, so its nonce may stay the same.
 */
async function uploadKey(
  crypto: CryptoProvider,
  plaintext: Uint8Array,
  { secret, place }: Exclude<ChunkKey, Uint8Array>,
): Promise<Uint8Array> {
  const hash = await crypto.seal(macSmall(secret, uploadHashDomain), zeroNonce, nothing, plaintext)
  return macSmall(secret, uploadDomain, hash, utf8(place))
}

/** Bytes that all shares of a chunk of `plaintextBytes` take together. */
export function sealedBytes(plaintextBytes: number, coding: Coding): number {
  return shareLengths(paddedBytes(plaintextBytes) + tagBytes, coding).reduce((sum, length) => sum + length, 0)
}

/**
 * Restores the plaintext (with its padding) from any k verified shares: the same from whichever, since slices made from parity
 * count only with the hashes that the descriptor gives them. It lies in `target`, where that is given: as many bytes as the payloads of k
 * shares, or more. Throws ERR_CORRUPT, ERR_INCONSISTENT.
 */
export async function openChunk(
  deps: Pick<PipelineDeps, "crypto" | "erasure">,
  shares: readonly Share[],
  key: Uint8Array,
  target?: Uint8Array,
): Promise<Uint8Array> {
  const first = shares[0]
  assert(first, "openChunk without shares")
  const { keyCheck } = first.descriptor
  if (keyCheck && !equal(keyCheck, keyCheckOf(key))) throw wrongKey(first.id)
  const slicesBytes = first.payload.length * first.descriptor.k
  const slices = target?.subarray(0, slicesBytes) ?? new Uint8Array(slicesBytes)
  let ciphertext = dataOf(shares)
  if (!ciphertext) {
    ciphertext = [joinShares(deps.erasure, shares, slices)]
    if (!(await hasNamedSlices(deps.crypto, shares, slices))) throw inconsistentError(first.id)
  }
  const version = versionOf(first.descriptor)
  const plaintext = await deps.crypto.openInto(slices, key, zeroNonce, ciphertext, associated[version])
  if (!plaintext) throw wrongKey(first.id)
  return plaintext
}

/** The error for a key that is not of the chunk. */
export function wrongKey(id: ChunkId): HoldfastError {
  return new HoldfastError(
    "ERR_CORRUPT",
    `Chunk ${toHex(id)} does not open with its key: the capability or the tree that names it is wrong.`,
  )
}

/**
 * Checks an encoded share, all of it, against the chunk it should belong to. Undefined when it is damaged or of another chunk,
 * since a reader then simply takes another share.
 */
export async function checkShare(crypto: CryptoProvider, id: ChunkId, bytes: Uint8Array): Promise<Share | undefined> {
  const share = await verifyShare(crypto, bytes).catch(ignoreBadShare)
  return share && equal(share.id, id) ? share : undefined
}

/** The same for who reads the payload only, which costs less; the leaves that come before it are not looked at. */
export async function checkPayload(crypto: CryptoProvider, id: ChunkId, bytes: Uint8Array): Promise<Share | undefined> {
  let share: Share
  try {
    share = decodeShare(bytes)
  } catch (error) {
    return ignoreBadShare(error)
  }
  if (!equal(share.id, id)) return undefined
  return (await hasHashOf(crypto, share, share.index, share.payload)) ? share : undefined
}

function ignoreBadShare(error: unknown): undefined {
  if (!isHoldfastError(error)) throw error
}

/** The encoded shares that lie one after another in `target`. */
function sharesIn(target: Uint8Array, ciphertextBytes: number, coding: Coding): Uint8Array[] {
  let end = 0
  const shares = shareLengths(ciphertextBytes, coding).map((length) => {
    end += length
    return target.subarray(end - length, end)
  })
  assert(end === target.length, "the array for a sealed chunk")
  return shares
}

/** Writes what comes before the payloads, which are there; gives the chunk's id. */
async function describe(
  crypto: CryptoProvider,
  { shares, payloads }: { readonly shares: readonly Uint8Array[]; readonly payloads: readonly Uint8Array[] },
  chunk: Omit<Descriptor, "shareHashes">,
): Promise<ChunkId> {
  const leaves = await Promise.all(payloads.map((payload) => leavesOf(crypto, payload)))
  const shareHashes = await Promise.all(leaves.map((list) => rootOf(crypto, list)))
  const descriptor = { ...chunk, shareHashes }
  const encoded = encodeDescriptor(descriptor)
  const slices = concat(...leaves.slice(0, chunk.k))
  for (const [index, share] of shares.entries()) {
    const header = encodeShareHeader(index, encoded)
    share.set(header)
    if (leavesLength(descriptor, index) === 0) continue
    share.set(slices, header.length)
    if (index >= chunk.k) share.set(leaves[index]!, header.length + slices.length)
  }
  return chunkIdOf(encoded)
}

/** Bytes before the payload of share `index` of a chunk that this version would write. */
export function sealedHeaderBytes(ciphertextBytes: number, coding: Coding, index: number): number {
  return shareLengths(ciphertextBytes, coding)[index]! - payloadBytes(ciphertextBytes, coding.k)
}

/** Bytes of each encoded share: known before there are any hashes. */
function shareLengths(ciphertextBytes: number, coding: Coding): number[] {
  const hash = new Uint8Array(32)
  const shareHashes = Array.from({ length: coding.n }, () => hash)
  const descriptor = { ...coding, ciphertextBytes, keyCheck: hash, shareHashes }
  const rest = encodeShareHeader(0, encodeDescriptor(descriptor)).length + payloadBytes(ciphertextBytes, coding.k)
  return shareHashes.map((_, index) => rest + leavesLength(descriptor, index))
}

/** The ciphertext where it lies, in the payloads of all data shares; undefined when one of these is missing. */
function dataOf(shares: readonly Share[]): Uint8Array[] | undefined {
  const { descriptor, payload } = shares[0]!
  const payloads = payloadMap(shares)
  const parts: Uint8Array[] = []
  for (let index = 0; index < descriptor.k; index++) {
    const part = payloads.get(index)
    if (!part) return undefined
    parts.push(part.subarray(0, Math.max(0, descriptor.ciphertextBytes - index * payload.length)))
  }
  return parts
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
