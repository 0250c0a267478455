/** Checks a whole share without any key: it must have the hashes that its descriptor, and so its chunk id, names. */
import { type CryptoProvider, domainPrefix, equal, HoldfastError } from "@holdfast/core"
import { leavesOf, rootOf } from "./block-tree.ts"
import { type Descriptor, decodeShare, type Share, shareDomain, shareName, versionOf } from "./chunk.ts"

const prefix = domainPrefix(shareDomain)

/** Encoded shares that this process has just sealed. */
const sealedHere = new WeakSet<Uint8Array>()

/**
 * Says that these encoded shares were sealed by this process a moment ago: `verifyShare` believes their hashes, which it would compute a
 * second time, a sixth of the processor's time of an upload to buckets. Nobody may change their bytes until they are stored.
 */
export function markSealedHere(shares: readonly Uint8Array[]): void {
  for (const share of shares) sealedHere.add(share)
}

/**
 * Decodes a share and checks all of it, or its fields alone when this process has just sealed it. Throws ERR_BAD_FORMAT,
 * ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT.
 */
export async function verifyShare(crypto: CryptoProvider, bytes: Uint8Array): Promise<Share> {
  const share = decodeShare(bytes)
  if (sealedHere.has(bytes)) return share
  const fault = await shareFault(crypto, share)
  if (fault !== undefined)
    throw new HoldfastError("ERR_CORRUPT", `Share ${shareName(share.id, share.index)} is corrupt: ${fault}.`, {
      share: shareName(share.id, share.index),
    })
  return share
}

/** What the descriptor of a chunk names a share's payload by: a hash of it, or of version 2 the root over its blocks. */
export async function payloadHash(
  crypto: CryptoProvider,
  descriptor: Pick<Descriptor, "keyCheck">,
  payload: Uint8Array,
): Promise<Uint8Array> {
  if (versionOf(descriptor) === 1) return crypto.sha256(prefix, payload)
  return rootOf(crypto, await leavesOf(crypto, payload))
}

/**
 * The leaves of a share's own payload (`index` absent) or of data slice `index`, as the share has them and not checked. Undefined
 * when it has none of that slice.
 */
export function leavesIn(
  share: Pick<Share, "descriptor" | "index" | "leaves">,
  index = share.index,
): Uint8Array | undefined {
  const { descriptor, leaves } = share
  const position = index < descriptor.k ? index : index === share.index ? descriptor.k : undefined
  const lists = descriptor.k + (share.index < descriptor.k ? 0 : 1)
  if (position === undefined) return undefined
  const length = leaves.length / lists
  return leaves.subarray(position * length, (position + 1) * length)
}

async function shareFault(crypto: CryptoProvider, share: Share): Promise<string | undefined> {
  const { descriptor, index, leaves, payload } = share
  const { k, shareHashes } = descriptor
  if (leaves.length === 0) {
    const hash = await payloadHash(crypto, descriptor, payload)
    return equal(hash, shareHashes[index]!) ? undefined : "its hash is wrong"
  }
  if (!equal(await leavesOf(crypto, payload), leavesIn(share)!)) return "a block of it has a wrong hash"
  const carried = Array.from({ length: k }, (_, slice) => slice)
  for (const slice of index < k ? carried : [...carried, index])
    if (!equal(await rootOf(crypto, leavesIn(share, slice)!), shareHashes[slice]!))
      return "its list of hashes does not belong to its chunk"
  return undefined
}
