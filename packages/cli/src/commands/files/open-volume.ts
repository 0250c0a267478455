/** Opens the tree, file or snapshot that a capability grants, as the file commands see it. */
import { HoldfastError } from "@holdfast/core"
import { type Cap, type ReadCap, toReadCap, type WriteCap } from "@holdfast/protocol"
import { createTreeIo, decodeEntryCap, type Entry, openTree, plainAttributes, type TreeIo } from "@holdfast/tree"
import type { Session } from "./frame.ts"
import { rootEntry } from "./root-entry.ts"
import { TreeVolume } from "./tree-volume.ts"
import type { Volume } from "./volume.ts"

const ios = new WeakMap<Session, TreeIo>()

/** Opens what `cap` grants; `label` stands for it in messages. Throws ERR_WRONG_CAPABILITY, ERR_NOT_FOUND. */
export async function openVolume(session: Session, cap: Cap, label: string): Promise<Volume> {
  return openTreeVolume(session, cap, label, [])
}

/** As openVolume; `above` are the public keys of the trees that this one is linked in, against circles. */
export async function openTreeVolume(
  session: Session,
  cap: Cap,
  label: string,
  above: readonly string[],
): Promise<TreeVolume> {
  const io = ioOf(session)
  const open = (inner: Cap, innerLabel: string, innerAbove: readonly string[]) =>
    openTreeVolume(session, inner, innerLabel, innerAbove)
  const common = { io, label, above, open }
  switch (cap.kind) {
    case "dw":
    case "dr": {
      const access = await accessOf(session, cap)
      const { chunks, registers } = session.store
      const tree = await openTree({ chunks, registers, env: session.env, io, keys: access })
      const { root } = await tree.content()
      return new TreeVolume({ ...common, tree, access, root: rootEntry(root) })
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
    case "fw":
    case "fr":
      throw new HoldfastError("ERR_WRONG_CAPABILITY", `${label} is for a mutable file; this version opens directories.`)
  }
}

async function accessOf(session: Session, cap: WriteCap | ReadCap) {
  const { publicKey, readKey } = await toReadCap(session.env.crypto, cap)
  return "seed" in cap ? { publicKey, readKey, seed: cap.seed } : { publicKey, readKey }
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
