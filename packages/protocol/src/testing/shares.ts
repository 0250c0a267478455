/** Real shares and register values for tests, made without the store. */
import { type CryptoProvider, concat } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { leavesOf } from "../block-tree.ts"
import { type Coding, chunkIdOf, encodeDescriptor, encodeShareHeader, leavesLength } from "../chunk.ts"
import type { ChunkId } from "../ids.ts"
import { signRegisterValue } from "../register-lineage.ts"
import { payloadHash } from "../share-check.ts"

/** A chunk for a test. */
export interface TestChunk {
  readonly id: ChunkId
  /** The n encoded shares. */
  readonly shares: readonly Uint8Array[]
}

/** How a chunk for a test is made. */
export interface ChunkPlan extends Coding {
  readonly ciphertextBytes: number
  /** Makes a chunk of version 2. */
  readonly keyCheck?: Uint8Array
}

/** Shares of a chunk with k = 1, of version 1 unless told, whose ciphertext is `ciphertext` (at least 16 bytes). */
export async function makeChunk(
  crypto: CryptoProvider,
  ciphertext: Uint8Array,
  { k = 1, n = 3, keyCheck }: Partial<ChunkPlan> = {},
): Promise<TestChunk> {
  const payloads = (await createErasure()).split(ciphertext, { k, n })
  return makeChunkOf(crypto, { k, n, ciphertextBytes: ciphertext.length, ...(keyCheck && { keyCheck }) }, payloads)
}

/** Shares of a chunk with these payloads, each as good as any by itself, whether or not they follow from the same data. */
export async function makeChunkOf(
  crypto: CryptoProvider,
  plan: ChunkPlan,
  payloads: readonly Uint8Array[],
): Promise<TestChunk> {
  const shareHashes = await Promise.all(payloads.map((payload) => payloadHash(crypto, plan, payload)))
  const descriptor = { ...plan, shareHashes }
  const encoded = encodeDescriptor(descriptor)
  const leaves = await Promise.all(payloads.map((payload) => leavesOf(crypto, payload)))
  const shares = payloads.map((payload, index) => {
    const own = index < plan.k ? [] : [leaves[index]!]
    const carried = leavesLength(descriptor, index) === 0 ? [] : [...leaves.slice(0, plan.k), ...own]
    return concat(encodeShareHeader(index, encoded), ...carried, payload)
  })
  return { id: chunkIdOf(encoded), shares }
}

/** Shares of a chunk of `sizeBytes` random bytes (at least 16). */
export function randomChunk(crypto: CryptoProvider, sizeBytes: number, n = 3): Promise<TestChunk> {
  return makeChunk(crypto, crypto.random(sizeBytes), { n })
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
