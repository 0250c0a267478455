/** Vectors of chunks of version 2. */
import { BufferPool, concat, domainPrefix, encodeCbor, fromHex, hashSmall, macSmall, toHex, utf8 } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { blockBytes, type Coding, decodeShare, encodeDescriptor, encodeShareHeader, leavesOf } from "@holdfast/protocol"
import { makeChunk } from "@holdfast/protocol/testing"
import type { Chunk2Vectors } from "@holdfast/protocol/vectors"
import { openChunk, type SealedChunk, sealChunk } from "@holdfast/store"

type Good = Chunk2Vectors["good"][number]
type Bad = Chunk2Vectors["bad"][number]
type Large = Chunk2Vectors["large"][number]

const deps = { crypto, erasure: await createErasure(), buffers: new BufferPool({ maxIdleBytes: 0 }) }
const secret = hashSmall("vectors", utf8("convergence secret of version 2"))

/** As writers made keys once; any key would do. */
async function sealed2(plaintext: Uint8Array, coding: Coding): Promise<SealedChunk> {
  const key = macSmall(secret, "holdfast/convergent-key/2", await crypto.sha256(plaintext))
  return sealChunk(deps, plaintext.slice(), coding, key)
}

/** All vectors. */
export async function chunk2Vectors(): Promise<Chunk2Vectors> {
  const small: [bytes: number, k: number, n: number][] = [
    [1, 1, 1],
    [9, 1, 3],
    [100, 2, 3],
    [1000, 3, 5],
    [333, 10, 14],
  ]
  const large: [bytes: number, k: number, n: number][] = [
    [65_520, 1, 2],
    [65_521, 1, 2],
    [200_000, 1, 3],
    [500_000, 3, 5],
    [4_194_304, 1, 2],
    [4_194_304, 3, 5],
    [4_194_304, 63, 64],
  ]
  const good = await Promise.all(small.map((plan) => goodVector(...plan)))
  return { good, bad: await badShares(good), large: await Promise.all(large.map((plan) => largeVector(...plan))) }
}

async function goodVector(length: number, k: number, n: number): Promise<Good> {
  const plaintext = new Uint8Array(length).map((_, i) => i * 7)
  const sealed = await sealed2(plaintext, { k, n })
  const shares = sealed.shares.map(decodeShare)
  const { descriptor } = shares[0]!
  const padded = await openChunk(deps, shares.slice(n - k), sealed.key)
  const slices = concat(...shares.slice(0, k).map(({ payload }) => payload))
  return {
    name: `${length} bytes as ${k} of ${n}`,
    convergenceSecret: toHex(secret),
    plaintext: toHex(plaintext),
    paddedBytes: padded.length,
    key: toHex(sealed.key),
    ciphertext: toHex(slices.subarray(0, descriptor.ciphertextBytes)),
    ...{ k, n, descriptor: toHex(encodeDescriptor(descriptor)), id: toHex(sealed.id) },
    shares: sealed.shares.map(toHex),
  }
}

async function largeVector(plaintextBytes: number, k: number, n: number): Promise<Large> {
  const plaintext = new Uint8Array(plaintextBytes).map((_, i) => i * 31 + (i >> 8))
  const sealed = await sealed2(plaintext, { k, n })
  const shares = sealed.shares.map(decodeShare)
  const { descriptor } = shares[0]!
  const sliceBytes = shares[0]!.payload.length
  const range = async (offset: number, length: number): Promise<Large["ranges"][number]> => {
    const slice = Math.floor(offset / sliceBytes)
    const block = Math.floor((offset - slice * sliceBytes) / blockBytes)
    const list = await leavesOf(crypto, shares[slice]!.payload)
    const hash = toHex(await crypto.sha256(plaintext.subarray(offset, offset + length)))
    return { offset, length, slice, block, leaf: toHex(list.subarray(32 * block, 32 * block + 32)), hash }
  }
  const places: [number, number][] = [
    [0, 1],
    [17, 4096],
    [Math.floor(plaintextBytes / 2) - 7, 40_000],
    [plaintextBytes - 1, 1],
  ]
  return {
    name: `${plaintextBytes} bytes as ${k} of ${n}`,
    ...{ plaintextBytes, key: toHex(sealed.key), k, n },
    ...{ descriptor: toHex(encodeDescriptor(descriptor)), id: toHex(sealed.id) },
    shareHashes: await Promise.all(sealed.shares.map(async (share) => toHex(await crypto.sha256(share)))),
    ranges: await Promise.all(
      places.map(([offset, length]) => range(offset, Math.min(length, plaintextBytes - offset))),
    ),
  }
}

async function badShares(good: readonly Good[]): Promise<Bad[]> {
  const share = fromHex(good[2]!.shares[0]!)
  const { payload, descriptor } = decodeShare(share)
  const { ciphertextBytes, shareHashes, keyCheck } = descriptor
  const hashes = concat(...shareHashes)
  const withFields = (fields: Parameters<typeof encodeCbor>[0]) =>
    concat(encodeShareHeader(0, encodeCbor(fields)), payload)
  const long = (await makeChunk(crypto, new Uint8Array(65_537).fill(9), { k: 1, n: 2, keyCheck: new Uint8Array(32) }))
    .shares[1]!
  const { leaves } = decodeShare(long)
  const leavesAt = long.length - decodeShare(long).payload.length - leaves.length
  const changed = (bytes: Uint8Array, at: number) =>
    bytes.map((byte, i) => (i === (at + bytes.length) % bytes.length ? byte ^ 1 : byte))
  const bad = (name: string, bytes: Uint8Array, error: Bad["error"]): Bad => ({ name, bytes: toHex(bytes), error })
  const version1 = await crypto.sha256(domainPrefix("holdfast/share/1"), payload)
  return [
    bad(
      "share version 3",
      share.map((byte, i) => (i === 3 ? 3 : byte)),
      "ERR_UNSUPPORTED_VERSION",
    ),
    bad(
      "a share of version 1 with a descriptor of version 2",
      share.map((byte, i) => (i === 3 ? 1 : byte)),
      "ERR_UNSUPPORTED_VERSION",
    ),
    bad("cut in the payload", share.subarray(0, -1), "ERR_BAD_FORMAT"),
    bad("a byte too many", concat(share, new Uint8Array(1)), "ERR_BAD_FORMAT"),
    bad("a changed byte of the payload", changed(share, -1), "ERR_CORRUPT"),
    bad("without a key check", withFields([2, 2, 3, ciphertextBytes, hashes]), "ERR_BAD_FORMAT"),
    bad("a short key check", withFields([2, 2, 3, ciphertextBytes, keyCheck!.subarray(1), hashes]), "ERR_BAD_FORMAT"),
    bad("a root too few", withFields([2, 2, 3, ciphertextBytes, keyCheck!, hashes.subarray(32)]), "ERR_BAD_FORMAT"),
    bad(
      "a hash as of version 1 for a root",
      withFields([2, 2, 3, ciphertextBytes, keyCheck!, concat(version1, hashes.subarray(32))]),
      "ERR_CORRUPT",
    ),
    bad("a changed leaf of a data slice", changed(long, leavesAt), "ERR_CORRUPT"),
    bad("no leaves", concat(long.subarray(0, leavesAt), decodeShare(long).payload), "ERR_BAD_FORMAT"),
  ]
}
