/** Real shares and register values for tests, made without the store. */
import { type CryptoProvider, concat } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { type ChunkId, type Coding, chunkIdOf, encodeDescriptor, encodeShareHeader } from "../chunk.ts"
import { signRegisterValue } from "../register-lineage.ts"
import { payloadHash } from "../share-check.ts"

/** A chunk for a test. */
export interface TestChunk {
  readonly id: ChunkId
  /** The n encoded shares. */
  readonly shares: readonly Uint8Array[]
}

/** Shares of a chunk with k = 1 whose ciphertext is `ciphertext` (at least 16 bytes). */
export async function makeChunk(crypto: CryptoProvider, ciphertext: Uint8Array, n = 3): Promise<TestChunk> {
  const payloads = (await createErasure()).split(ciphertext, { k: 1, n })
  return makeChunkOf(crypto, { k: 1, n }, ciphertext.length, payloads)
}

/** Shares of a chunk with these payloads, each as good as any by itself, whether or not they follow from the same data. */
export async function makeChunkOf(
  crypto: CryptoProvider,
  coding: Coding,
  ciphertextBytes: number,
  payloads: readonly Uint8Array[],
): Promise<TestChunk> {
  const named = { ...coding, ciphertextBytes, shareHashes: [] }
  const shareHashes = await Promise.all(payloads.map((payload) => payloadHash(crypto, named, payload)))
  const descriptor = encodeDescriptor({ ...named, shareHashes })
  const shares = payloads.map((payload, index) => concat(encodeShareHeader(index, descriptor), payload))
  return { id: chunkIdOf(descriptor), shares }
}

/** Shares of a chunk of `sizeBytes` random bytes (at least 16). */
export function randomChunk(crypto: CryptoProvider, sizeBytes: number, n = 3): Promise<TestChunk> {
  return makeChunk(crypto, crypto.random(sizeBytes), n)
}

/** A signed register value whose content is `text`. */
export function makeRegisterValue(
  crypto: CryptoProvider,
  seed: Uint8Array,
  sequence: number,
  text: string,
): Promise<Uint8Array> {
  const sealed = new TextEncoder().encode(text)
  const lineage = sequence === 1 ? [] : [[new Uint8Array(32)]]
  return signRegisterValue(crypto, seed, { sequence, lineage, sealed, care: new Uint8Array() })
}
