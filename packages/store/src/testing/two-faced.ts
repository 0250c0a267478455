/**
 * Chunks of a malicious writer, for tests: each share has the hash that the descriptor gives it, but they do not follow from
 * the same data, so that readers of different servers would be given different files.
 */
import { type CryptoProvider, concat, domainPrefix } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import { type ChunkVersion, type Coding, keyCheckOf } from "@holdfast/protocol"
import { makeChunkOf, type TestChunk } from "@holdfast/protocol/testing"

/** What the writer needs. */
export interface WriterDeps {
  readonly crypto: CryptoProvider
  readonly erasure: Erasure
}

/** A chunk whose shares come from several plaintexts of one length, all of which open with its key. */
export interface TwoFacedChunk extends TestChunk {
  readonly key: Uint8Array
}

const nonce = new Uint8Array(12)
const key = new Uint8Array(32).fill(0x5a)
const associated = (version: ChunkVersion) => domainPrefix(`holdfast/chunk/${version}`)

/** A chunk whose share i is that of plaintext `faces[i]`; of version 1 unless told. */
export async function makeTwoFaced(
  { crypto, erasure }: WriterDeps,
  coding: Coding,
  plaintexts: readonly Uint8Array[],
  faces: readonly number[],
  version: ChunkVersion = 1,
): Promise<TwoFacedChunk> {
  const words = await Promise.all(
    plaintexts.map(async (plaintext) => {
      const ciphertext = await crypto.seal(key, nonce, plaintext, associated(version))
      return erasure.split(ciphertext, coding)
    }),
  )
  const payloads = faces.map((face, index) => words[face]![index]!)
  const named = { ...coding, ciphertextBytes: plaintexts[0]!.length + 16 }
  return {
    key,
    ...(await makeChunkOf(crypto, version === 1 ? named : { ...named, keyCheck: keyCheckOf(key) }, payloads)),
  }
}

/**
 * Another plaintext whose ciphertext has the same tag under the key of `makeTwoFaced`, and which differs in the first two blocks
 * only: so a share that both have in common can be of both. GHASH is linear: a difference X in one block is undone by X * H
 * in the next.
 */
export async function withSameTag(crypto: CryptoProvider, plaintext: Uint8Array): Promise<Uint8Array> {
  const difference = new Uint8Array(16).fill(0x21)
  const other = plaintext.slice()
  const undone = multiply(difference, await hashKey(crypto))
  for (const [i, byte] of concat(difference, undone).entries()) other[i]! ^= byte
  return other
}

/**
 * H, as far as seal() shows it: the tags of two messages of one block that differ by 1 in it differ by H^2 * 1, since the block of
 * lengths follows; so H is the square root of that.
 */
async function hashKey(crypto: CryptoProvider): Promise<Uint8Array> {
  const one = new Uint8Array(16)
  one[0] = 0x80
  const tags = await Promise.all(
    [new Uint8Array(16), one].map(async (block) => (await crypto.seal(key, nonce, block, associated(1))).subarray(16)),
  )
  let root = tags[0]!.map((byte, i) => byte ^ tags[1]![i]!)
  // x^(2^128) = x, so 127 squarings take the square root.
  for (let i = 0; i < 127; i++) root = multiply(root, root)
  return root
}

/** Product in GF(2^128) with GCM's order of bits. */
function multiply(x: Uint8Array, y: Uint8Array): Uint8Array<ArrayBuffer> {
  const product = new Uint8Array(16)
  const v = y.slice()
  for (let bit = 0; bit < 128; bit++) {
    if ((x[bit >> 3]! >> (7 - (bit & 7))) & 1) for (let i = 0; i < 16; i++) product[i]! ^= v[i]!
    const isOdd = v[15]! & 1
    for (let i = 15; i > 0; i--) v[i] = (v[i]! >> 1) | ((v[i - 1]! & 1) << 7)
    v[0] = v[0]! >> 1
    if (isOdd) v[0]! ^= 0xe1
  }
  return product
}
