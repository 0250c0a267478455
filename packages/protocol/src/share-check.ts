/** Checks a whole share without any key: its payload must have the hash that its descriptor, and so its chunk id, names. */
import { type CryptoProvider, domainPrefix, equal, HoldfastError } from "@holdfast/core"
import { type Descriptor, decodeShare, type Share, shareDomain, shareName } from "./chunk.ts"

const prefix = domainPrefix(shareDomain)

/** Decodes a share and checks its payload. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function verifyShare(crypto: CryptoProvider, bytes: Uint8Array): Promise<Share> {
  const share = decodeShare(bytes)
  const hash = await payloadHash(crypto, share.descriptor, share.payload)
  if (!equal(hash, share.descriptor.shareHashes[share.index]!))
    throw new HoldfastError("ERR_CORRUPT", `Share ${shareName(share.id, share.index)} is corrupt: its hash is wrong.`, {
      share: shareName(share.id, share.index),
    })
  return share
}

/** What the descriptor of a chunk names a share's payload by. */
export function payloadHash(crypto: CryptoProvider, _descriptor: Descriptor, payload: Uint8Array): Promise<Uint8Array> {
  return crypto.sha256(prefix, payload)
}
