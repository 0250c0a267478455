/** Opens what capabilities grant as file systems, and makes new trees: the door of this package. */
import { type Env, HoldfastError } from "@holdfast/core"
import { type AccountId, type Cap, decodeCap, type WriteCap } from "@holdfast/protocol"
import { type ChunkStore, keysOfCap, type WatchableRegisters } from "@holdfast/store"
import {
  createMutableFile,
  createTree,
  createTreeIo,
  decodeEntryCap,
  type Entry,
  plainAttributes,
  Tree,
  type TreeIo,
} from "@holdfast/tree"
import type { FileSystem, Uploads } from "./file-system.ts"
import { presentRoot } from "./root-entry.ts"
import { View } from "./view.ts"

/** What file systems of a volume stand on. */
export interface FilesOptions {
  readonly chunks: ChunkStore
  readonly registers: WatchableRegisters
  readonly env: Env
  /** What messages call the volume. */
  readonly volume?: string
  /** The account that trees are made and held for. */
  readonly account?: AccountId
  /** So that interrupted uploads go on; without it they begin anew. */
  readonly uploads?: Uploads
  /** Nodes that are kept in memory, shared with others. */
  readonly io?: TreeIo
}

/** How a tree is opened. */
export interface OpenOptions {
  /** What stands for it in messages; `(capability)` when absent. */
  readonly label?: string
  /** Hears what a user should know although all went well. */
  readonly warn?: (text: string) => void
}

/** The file systems of one volume: what one of them has read, the others need not read again. */
export interface Files {
  /** Opens what a capability grants, given as such or as text. Throws ERR_BAD_CAPABILITY, ERR_WRONG_CAPABILITY, ERR_NOT_FOUND. */
  open(cap: Cap | string, options?: OpenOptions): Promise<FileSystem>
  /**
   * Makes an empty tree or mutable file; gives its write capability, which is the only way to it: an account lists it first, as
   * what is stored for a tree that nobody lists belongs to nobody. Throws ERR_ALREADY_EXISTS when `seed` was used before.
   */
  create(kind: "directory" | "file", seed?: Uint8Array): Promise<WriteCap>
}

/** The file systems of a volume, given its store. */
export function filesOf(options: FilesOptions): Files {
  const { chunks, registers, env, account } = options
  const io = options.io ?? createTreeIo({ chunks, env })
  return {
    async open(cap, { label = "(capability)", warn = () => undefined } = {}) {
      const parsed = typeof cap === "string" ? decodeCap(cap) : cap
      return openCap({ ...options, io, warn }, parsed, { label, above: [] })
    },
    async create(kind, seed = env.crypto.random(32)) {
      const cap: WriteCap = { kind: kind === "file" ? "fw" : "dw", seed }
      const keys = await keysOfCap(env.crypto, cap)
      const make = kind === "file" ? createMutableFile : createTree
      await make({ chunks, registers, env, io, keys, ...(account && { account }) })
      return cap
    },
  }
}

interface Opening extends FilesOptions {
  readonly io: TreeIo
  readonly warn: (text: string) => void
}

/** `above`: public keys of the trees that this one is linked in, against circles. */
async function openCap(
  opening: Opening,
  cap: Cap,
  { label, above }: { readonly label: string; readonly above: readonly string[] },
): Promise<FileSystem> {
  const { chunks, registers, env, io, warn, uploads, volume = "the volume" } = opening
  const open = (inner: Cap, innerLabel: string, innerAbove: readonly string[]) =>
    openCap(opening, inner, { label: innerLabel, above: innerAbove })
  const common = { io, label, volume, registers, uploads, warn, above, open }
  switch (cap.kind) {
    case "dw":
    case "dr":
    case "fw":
    case "fr": {
      const access = await keysOfCap(env.crypto, cap)
      const tree = new Tree({ chunks, registers, env, io, keys: access })
      const isFile = cap.kind === "fw" || cap.kind === "fr"
      return new View({ ...common, tree, access, isFile, ...(await presentRoot(tree, isFile)) })
    }
    case "ci":
      return new View({ ...common, root: decodeEntryCap(cap) })
    case "lit":
      return new View({ ...common, root: literalEntry(cap.content) })
    case "dv":
    case "fv":
    case "cv":
      throw new HoldfastError(
        "ERR_WRONG_CAPABILITY",
        `${label} can only verify what it stands on. To read, ask for a read capability.`,
        { advice: "check" },
      )
  }
}

function literalEntry(bytes: Uint8Array): Entry {
  const size = bytes.length
  return {
    ...plainAttributes(0o644, 0),
    name: "literal",
    kind: "file",
    size,
    content: { form: "inline", size, bytes },
  }
}
