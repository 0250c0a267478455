/**
 * One chunk, one content: the n shares that a descriptor names are one codeword only if all of them follow from the same data.
 * A hash of each share does not say so, and whoever wrote the chunk may have lied; k verified shares tell, without a key.
 * Specification: docs/formats/chunk.md.
 */
import { type BufferPool, type CryptoProvider, equal, HoldfastError, toHex } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import type { Share } from "./chunk.ts"
import type { ChunkId } from "./ids.ts"
import { payloadHash } from "./share-check.ts"

/** What the check needs. */
export interface CodewordDeps {
  readonly crypto: CryptoProvider
  readonly erasure: Erasure
  /** For payloads that are made and looked at only. */
  readonly buffers?: BufferPool
}

/** Payloads made at once at most take so much memory. */
const payloadsAtOnceBytes = 16 * 1024 * 1024

/**
 * True when every share that the descriptor names follows from the same data. `shares` are verified, of one chunk, and at
 * least k with different indices. Payloads come to lie in `places`, by their indices, where those are given.
 */
export async function isCodeword(
  deps: CodewordDeps,
  shares: readonly Share[],
  places: ReadonlyMap<number, Uint8Array> = new Map(),
): Promise<boolean> {
  const { descriptor, payload } = shares[0]!
  const held = shares.map((share) => [share.index, share.payload] as const)
  const basis = new Map(held.sort(([a], [b]) => a - b).slice(0, descriptor.k))
  const others = Array.from({ length: descriptor.n }, (_, index) => index).filter((index) => !basis.has(index))
  const take = (length: number) => deps.buffers?.take(length) ?? new Uint8Array(length)
  const atOnce = Math.max(1, Math.floor(payloadsAtOnceBytes / payload.length))
  for (let at = 0; at < others.length; at += atOnce) {
    const group = others.slice(at, at + atOnce)
    const scratch = new Map<number, Uint8Array>(
      group.flatMap((index) => (places.has(index) ? [] : [[index, take(payload.length)] as const])),
    )
    const targets = group.map((index) => places.get(index) ?? scratch.get(index)!)
    const made = deps.erasure.reconstruct(basis, descriptor, group, targets)
    // Those that are held have the hash that they must have: hashing is quicker than comparing.
    for (const [i, index] of group.entries())
      if (!(await hasHashOf(deps.crypto, shares[0]!, index, made[i]!))) return false
    for (const bytes of scratch.values()) deps.buffers?.give(bytes)
  }
  for (const [index, place] of places) if (basis.has(index)) place.set(basis.get(index)!)
  return true
}

/** True when `payload` has the hash that the descriptor of `share` gives for `index`. */
export async function hasHashOf(
  crypto: CryptoProvider,
  { descriptor }: Pick<Share, "descriptor">,
  index: number,
  payload: Uint8Array,
): Promise<boolean> {
  return equal(await payloadHash(crypto, descriptor, payload), descriptor.shareHashes[index]!)
}

/** The error for a chunk whose parity does not follow from its data. Other shares are never tried: they would give other data. */
export function inconsistentError(id: ChunkId): HoldfastError {
  return new HoldfastError(
    "ERR_INCONSISTENT",
    `Chunk ${toHex(id).slice(0, 16)} has no one content: its parity does not follow from its data, so what it holds would depend on ` +
      "the servers that answer. Whoever wrote it made it so, and no repair mends it: go back to an older version, or have it written again.",
    { chunk: toHex(id) },
  )
}
