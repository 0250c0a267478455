/** Opens the tree, file or snapshot that a capability grants, as the file commands see it. */
import { keysOfCap } from "@holdfast/client/account"
import type { Session } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import type { Cap } from "@holdfast/protocol"
import { createTreeIo, decodeEntryCap, type Entry, isDamage, plainAttributes, Tree, type TreeIo } from "@holdfast/tree"
import { rootEntry } from "./root-entry.ts"
import { TreeVolume } from "./tree-volume.ts"

const ios = new WeakMap<Session, TreeIo>()

/** How a tree is opened. */
export interface OpenOptions {
  /** What stands for it in messages. */
  readonly label: string
  /** Hears what a user should know although the command went well. */
  readonly warn: (text: string) => void
  /** Public keys of the trees that this one is linked in, against circles. */
  readonly above?: readonly string[]
}

/** Opens what `cap` grants. Throws ERR_WRONG_CAPABILITY, ERR_NOT_FOUND. */
export async function openVolume(session: Session, cap: Cap, options: OpenOptions): Promise<TreeVolume> {
  const { label, warn, above = [] } = options
  const io = ioOf(session)
  const open = (inner: Cap, innerLabel: string, innerAbove: readonly string[]) =>
    openVolume(session, inner, { label: innerLabel, warn, above: innerAbove })
  const common = { io, label, home: session.volume, uploads: session.profile, warn, above, open }
  switch (cap.kind) {
    case "dw":
    case "dr":
    case "fw":
    case "fr": {
      const access = await keysOfCap(session.env.crypto, cap)
      const { chunks, registers } = session.store
      const tree = new Tree({ chunks, registers, env: session.env, io, keys: access })
      const isFile = cap.kind === "fw" || cap.kind === "fr"
      return new TreeVolume({ ...common, tree, access, isFile, ...(await presentRoot(tree, io, isFile)) })
    }
    case "ci":
      return new TreeVolume({ ...common, root: decodeEntryCap(cap) })
    case "lit":
      return new TreeVolume({ ...common, root: literalEntry(cap.content) })
    case "dv":
    case "fv":
    case "cv":
      throw new HoldfastError(
        "ERR_WRONG_CAPABILITY",
        `${label} can only verify: "holdfast check" takes it. To read, ask for a read capability.`,
      )
  }
}

/** The present state. Snapshots and past versions are there although it cannot be read, so this does not end opening. */
async function presentRoot(tree: Tree, io: TreeIo, isFile: boolean) {
  try {
    const top = await tree.root()
    return { top, root: await rootEntry(io, top, isFile) }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { problem: error }
  }
}

function ioOf(session: Session): TreeIo {
  let io = ios.get(session)
  if (!io) {
    io = createTreeIo({ chunks: session.store.chunks, env: session.env })
    ios.set(session, io)
  }
  return io
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
