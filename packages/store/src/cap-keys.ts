/** From a capability to the keys of a tree's register. */
import { type CryptoProvider, HoldfastError } from "@holdfast/core"
import { type Cap, toReadCap } from "@holdfast/protocol"
import type { RegisterKeys } from "./types.ts"

/** The keys that a capability to a directory or mutable file grants. Throws ERR_WRONG_CAPABILITY for one that does not read a tree. */
export async function keysOfCap(crypto: CryptoProvider, cap: Cap): Promise<RegisterKeys> {
  if (cap.kind === "dw" || cap.kind === "fw") {
    const read = await toReadCap(crypto, cap)
    return { publicKey: read.publicKey, readKey: read.readKey, seed: cap.seed }
  }
  if (cap.kind === "dr" || cap.kind === "fr") return { publicKey: cap.publicKey, readKey: cap.readKey }
  throw new HoldfastError(
    "ERR_WRONG_CAPABILITY",
    `A capability of kind hf:${cap.kind}: does not open a directory or a mutable file.`,
  )
}
