/** Real shares and register values for tests, made without the store: a chunk of 1-of-n replicas. */
import { type CryptoProvider, concat, domainPrefix } from "@holdfast/core"
import { type ChunkId, chunkIdOf, encodeDescriptor, encodeShareHeader, shareDomain } from "../chunk.ts"
import { signRegisterValue } from "../register-lineage.ts"

/** A chunk for a test. */
export interface TestChunk {
  readonly id: ChunkId
  /** The n encoded shares. */
  readonly shares: readonly Uint8Array[]
}

/** Shares of a chunk with k = 1 whose ciphertext is `ciphertext` (at least 16 bytes). */
export async function makeChunk(crypto: CryptoProvider, ciphertext: Uint8Array, n = 3): Promise<TestChunk> {
  const hash = await crypto.sha256(domainPrefix(shareDomain), ciphertext)
  const descriptor = encodeDescriptor({
    k: 1,
    n,
    ciphertextBytes: ciphertext.length,
    shareHashes: Array.from({ length: n }, () => hash),
  })
  const shares = Array.from({ length: n }, (_, index) => concat(encodeShareHeader(index, descriptor), ciphertext))
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
