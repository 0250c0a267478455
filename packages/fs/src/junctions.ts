/** Trees that are linked in: what they are called by, how deep they may go, how a link is made. */
import { type CryptoProvider, HoldfastError, isHoldfastError, toHex, utf8 } from "@holdfast/core"
import type { Cap } from "@holdfast/protocol"
import type { RegisterKeys } from "@holdfast/store"
import {
  type Attributes,
  decodeEntryCap,
  type Entry,
  type JunctionEntry,
  openJunction,
  plainAttributes,
  sealJunction,
} from "@holdfast/tree"
import type { FileSystem } from "./file-system.ts"

/** Most trees linked in one another on a path. */
export const maxNesting = 16

/** A tree linked in itself, or too many in one another. */
export class CircularLink extends HoldfastError {
  constructor(label: string) {
    super("ERR_LIMIT", `${label} is linked in a circle, or too deep, and was not entered.`)
  }
}

/** Notes a tree that is entered so deep; false when it was at least as near the top before, from where as much of it is reached. */
export function enterOnce(entered: Map<string, number>, { readCap }: JunctionEntry, depth: number): boolean {
  const tree = toHex(readCap)
  if (depth >= (entered.get(tree) ?? Number.POSITIVE_INFINITY)) return false
  entered.set(tree, depth)
  return true
}

const fileCapStart = utf8("hf:fr:")

/** True for a link to a mutable file. */
export function linksFile({ readCap }: JunctionEntry): boolean {
  return fileCapStart.every((byte, i) => readCap[i] === byte)
}

/** The strongest capability that a link gives to who has these keys of the tree that it is in. */
export async function openLink(
  crypto: CryptoProvider,
  access: RegisterKeys | undefined,
  junction: JunctionEntry,
): Promise<Cap> {
  return openJunction(crypto, access?.seed, junction).catch((error: unknown) => {
    // Copied here from another tree: the write capability is sealed for writers of that one.
    if (!isHoldfastError(error, "ERR_CORRUPT")) throw error
    return openJunction(crypto, undefined, junction)
  })
}

/** A junction of another tree, sealed for writers of `files` as far as its own writer may. What it leads to need not be there. */
export async function resealed(files: FileSystem, owner: FileSystem, junction: JunctionEntry) {
  return sealJunction(files.io.env.crypto, files.access!.seed!, await owner.capOfLink(junction))
}

/**
 * The entry called `name` that links the tree or file of `cap` into `files`, with the attributes of `like` where that is given. Throws
 * ERR_WRONG_CAPABILITY.
 */
export async function linkEntry(
  { io, access }: FileSystem,
  { name, like }: { readonly name: string; readonly like?: Attributes | undefined },
  cap: Cap,
): Promise<Entry> {
  const { crypto, clock } = io.env
  const { mode, uid, gid, mtimeNs, ctimeNs, xattrs } = like ?? plainAttributes(0o755, clock.nowMs())
  const attributes = { mode, uid, gid, mtimeNs, ctimeNs, xattrs, name }
  switch (cap.kind) {
    case "dw":
    case "dr":
    case "fw":
    case "fr":
      return { ...attributes, kind: "junction", size: 0, ...(await sealJunction(crypto, access!.seed!, cap)) }
    case "ci":
      return decodeEntryCap(cap) // it never changes, so it can stand here as it is
    case "lit": {
      const size = cap.content.length
      return { ...attributes, mode: 0o644, kind: "file", size, content: { form: "inline", size, bytes: cap.content } }
    }
    default:
      throw new HoldfastError(
        "ERR_WRONG_CAPABILITY",
        "A verify capability cannot be linked in, as nothing can be read with it.",
      )
  }
}
