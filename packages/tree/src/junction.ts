/**
 * Junctions: other trees linked into a directory by capability. Who may read the directory gets the read capability;
 * the write capability is sealed under a key that only writers of the directory can derive.
 */
import { type CryptoProvider, concat, deriveKey, equal, fromUtf8, HoldfastError, utf8 } from "@holdfast/core"
import { type Cap, decodeCap, encodeCap, toReadCap } from "@holdfast/protocol"
import type { JunctionEntry } from "./entry.ts"

const writeCapLabel = "holdfast/child-write-cap/1"
const saltBytes = 32
const zeroNonce = new Uint8Array(12) // each salt, so each key, seals one plaintext

/** The content of a junction. */
export type JunctionContent = Pick<JunctionEntry, "readCap" | "sealedWriteCap">

/** What a junction to `cap` says. `parentSeed` is that of the tree it will be in; it is used for write capabilities. */
export async function sealJunction(crypto: CryptoProvider, parentSeed: Uint8Array, cap: Cap): Promise<JunctionContent> {
  if (cap.kind !== "dw" && cap.kind !== "fw") return { readCap: utf8(encodeCap(cap)), sealedWriteCap: null }
  const readCap = utf8(encodeCap(await toReadCap(crypto, cap)))
  const salt = crypto.random(saltBytes)
  const key = deriveKey(parentSeed, writeCapLabel, salt)
  const sealed = await crypto.seal(key, zeroNonce, utf8(encodeCap(cap)), readCap)
  return { readCap, sealedWriteCap: concat(salt, sealed) }
}

/**
 * The strongest capability that a junction gives: with the parent's seed that to write, if there is one. Throws
 * ERR_BAD_CAPABILITY, ERR_CORRUPT.
 */
export async function openJunction(
  crypto: CryptoProvider,
  parentSeed: Uint8Array | undefined,
  { readCap, sealedWriteCap }: JunctionContent,
): Promise<Cap> {
  const readable = decodeCap(capText(readCap))
  if (!parentSeed || !sealedWriteCap) return readable
  const key = deriveKey(parentSeed, writeCapLabel, sealedWriteCap.subarray(0, saltBytes))
  const opened = await crypto.open(key, zeroNonce, sealedWriteCap.subarray(saltBytes), readCap)
  if (!opened) throw new HoldfastError("ERR_CORRUPT", "The sealed write capability of a junction does not verify.")
  const cap = decodeCap(capText(opened))
  if ((cap.kind !== "dw" && cap.kind !== "fw") || !equal(utf8(encodeCap(await toReadCap(crypto, cap))), readCap))
    throw new HoldfastError("ERR_CORRUPT", "The two capabilities of a junction are not of one tree.")
  return cap
}

function capText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_CAPABILITY", "The capability of a junction is not text.", {}, { cause })
  }
}
