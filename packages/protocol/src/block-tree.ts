/**
 * The hash tree over a share's blocks, of version 2: so a block is checked without the rest of its share. Leaves and nodes have
 * domains of their own, and the number of leaves follows from the descriptor. Specification: docs/formats/share.md.
 */
import { type CryptoProvider, concat, domainPrefix } from "@holdfast/core"

/** Bytes of each block of a share's payload but the last, which may be shorter. */
export const blockBytes = 65_536

/** Bytes of a hash. */
const hashBytes = 32
const leafPrefix = domainPrefix("holdfast/share-block/2")
const nodePrefix = domainPrefix("holdfast/share-node/2")

/** How many blocks, and so leaves, a payload of `payloadLength` bytes has. */
export function blockCount(payloadLength: number): number {
  return Math.ceil(payloadLength / blockBytes)
}

/** The leaves of a payload, one after another. `first` is the number of its first block, for a part of a payload. */
export function leavesOf(crypto: CryptoProvider, payload: Uint8Array, first = 0): Promise<Uint8Array> {
  return crypto.sha256Blocks(leafPrefix, payload, { blockBytes, first })
}

/** The top of the tree over at least one leaf. A node without a neighbour goes up as it is. */
export async function rootOf(crypto: CryptoProvider, leaves: Uint8Array): Promise<Uint8Array> {
  let level = leaves
  while (level.length > hashBytes) {
    const paired = level.length - (level.length % (2 * hashBytes))
    const nodes = await crypto.sha256Blocks(nodePrefix, level.subarray(0, paired), { blockBytes: 2 * hashBytes })
    level = paired < level.length ? concat(nodes, level.subarray(paired)) : nodes
  }
  return level
}
