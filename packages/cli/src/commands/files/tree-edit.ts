/** Writing to a tree: what the file commands change, and what an upload commits. */
import type { UploadSecret } from "@holdfast/client/profile"
import { equal, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { decodeCap, registerIdOf } from "@holdfast/protocol"
import {
  type CommitSession,
  createFileWriter,
  decodeEntryCap,
  type Entry,
  type FileContent,
  listDirectory,
  mutableFileName,
  plainAttributes,
  sealJunction,
} from "@holdfast/tree"
import type { Change, UploadPort } from "../../transfer/ports.ts"
import { alone } from "./entry-caps.ts"
import { contentOf, type OpenedTree } from "./opened-tree.ts"
import type { Edit, Item } from "./volume.ts"

/** Runs `work` on a tree as one commit. */
export async function editOf(volume: OpenedTree, work: (edit: Edit) => Promise<void>): Promise<void> {
  const result = await volume.writable().commit((session) => work(sessionEdit(volume, session)))
  await volume.adopt(result)
}

/** Stores files and commits what an upload brings. */
export function uploadPortOf(volume: OpenedTree): UploadPort<unknown> {
  const tree = volume.writable()
  const writer = createFileWriter(volume.io, { concurrency: 8 })
  const nowMs = volume.io.env.clock.nowMs()
  const register = toHex(registerIdOf(volume.access!.publicKey))
  let secret: Promise<UploadSecret> | undefined
  const secretOf = () => (secret ??= volume.uploads.uploadSecret(register))
  const linked = new Map<string, OpenedTree>() // mutable files by their path here: their content is replaced, not the link
  const noteLink = (path: readonly string[], item: Item) => {
    const { owner } = contentOf(item)
    if (owner !== volume && owner.isFile) linked.set(path.join("/"), owner)
  }
  return {
    lookup: (path) => volume.lookup(path),
    async list(path) {
      const item = await volume.lookup(path)
      if (item?.kind !== "directory") return undefined
      const entries = new Map<string, Item>()
      for await (const [name, child] of volume.list(item)) {
        entries.set(name, child)
        noteLink([...path, name], child)
      }
      return entries
    },
    buffers: volume.io.chunks.buffers,
    async add(source, { path, before }) {
      // Small ones share packs, which come together otherwise the next time.
      const upload = source instanceof Uint8Array ? undefined : { ...(await secretOf()), place: path.join("/") }
      return writer.add(source, { before: before && fileIn(volume, before as Item), upload })
    },
    flush: () => writer.flush(),
    async commit(changes) {
      const own: Change<unknown>[] = []
      for (const change of changes) {
        const file = change.kind === "file" ? linked.get(change.path.join("/")) : undefined
        if (file) await uploadPortOf(file).commit([{ ...change, path: [] }])
        else own.push({ ...change, path: inTree(volume, change.path, change.kind) })
      }
      const result = await tree.commit(async (session) => {
        for (const change of own) await applyChange(session, change, nowMs)
      })
      await volume.adopt(result)
      if (secret) await volume.uploads.uploadDone(register)
      secret = undefined
    },
  }
}

/** The content of a file that lies on the same servers, so that its pieces may be referred to from here. */
function fileIn({ io }: OpenedTree, item: Item): FileContent | undefined {
  const { entry, owner } = contentOf(item)
  return entry.kind === "file" && owner.io === io ? entry.content : undefined
}

/** Where in its tree a path of a volume lies: a mutable file is one entry of its tree, and nothing else is set there. */
function inTree(volume: OpenedTree, path: readonly string[], kind: string): readonly string[] {
  if (!volume.isFile) return path
  if (path.length === 0 && kind === "file") return [mutableFileName]
  throw new HoldfastError(
    "ERR_NOT_A_DIRECTORY",
    path.length === 0
      ? `${volume.label} is a file and cannot become a ${kind}.`
      : `${volume.label} is a file, so nothing can be put below it.`,
  )
}

async function applyChange(session: CommitSession, change: Change<unknown>, nowMs: number): Promise<void> {
  const { path, kind, mode, mtimeNs, uid = 0, gid = 0 } = change
  const attributes = { ...plainAttributes(mode, nowMs), uid, gid, mtimeNs }
  const own = { ...attributes, name: path.at(-1)! }
  if (kind === "file") {
    const content = change.content as FileContent
    session.set(path, { ...own, kind, size: content.size, content })
  } else if (kind === "symlink") {
    const target = change.target!
    session.set(path, { ...own, kind, size: utf8(target).length, target })
  } else {
    const existing = await session.lookup(path)
    if (existing && (existing.kind === "file" || existing.kind === "symlink"))
      session.set(path, { ...own, kind, size: 0, reference: null })
    else await session.mkdir(path, attributes, { update: true })
  }
}

function sessionEdit(volume: OpenedTree, session: CommitSession): Edit {
  const { io } = volume
  const plain = () => plainAttributes(0o755, io.env.clock.nowMs())
  const lookup = async (path: readonly string[]): Promise<Entry | undefined> =>
    path.length === 0 ? volume.root : session.lookup(path)
  return {
    async lookup(path) {
      const entry = await lookup(path)
      return entry && volume.item(entry)
    },
    async isEmpty(path) {
      const entry = await lookup(path)
      if (entry?.kind !== "directory") return true
      for await (const _ of listDirectory(io, entry.reference)) return false
      return true
    },
    mkdir: async (path) => session.mkdir(inTree(volume, path, "directory"), plain()),
    async set(path, item) {
      const { entry: found, owner } = contentOf(item)
      // Readers of another tree are to have the keys of nothing else.
      const entry = isSameTree(owner, volume) ? found : ((await alone(volume, found)) ?? found)
      const named = entry.name === "" && entry.kind === "directory" ? { ...entry, ...plain() } : entry
      session.set(
        inTree(volume, path, entry.kind),
        entry.kind === "junction" && owner !== volume
          ? ({ ...named, ...(await resealed(volume, owner, entry)) } as Entry)
          : named,
      )
    },
    async remove(path) {
      // Of a mutable file only copies are removed, which are beside it in its tree.
      session.remove(volume.isFile && path[0] === mutableFileName ? inTree(volume, path, "file") : path)
    },
    move: async (from, to) => session.move(from, inTree(volume, to, "link")),
    link: async (path, cap) => link(volume, session, inTree(volume, path, "link"), cap),
  }
}

function isSameTree({ access: a }: OpenedTree, { access: b }: OpenedTree): boolean {
  return a !== undefined && b !== undefined && equal(a.publicKey, b.publicKey)
}

/** A junction of another tree, sealed for writers of this one as far as its own writer may. */
async function resealed(volume: OpenedTree, owner: OpenedTree, junction: Extract<Entry, { kind: "junction" }>) {
  const inner = await owner.enter(junction, [junction.name])
  const strength = inner.access?.seed ? "write" : "read"
  const cap = decodeCap(await inner.capOf([], strength))
  return sealJunction(volume.io.env.crypto, volume.access!.seed!, cap)
}

async function link(volume: OpenedTree, session: CommitSession, path: readonly string[], text: string): Promise<void> {
  const cap = decodeCap(text)
  const { crypto, clock } = volume.io.env
  const attributes = { ...plainAttributes(0o755, clock.nowMs()), name: path.at(-1)! }
  switch (cap.kind) {
    case "dw":
    case "dr":
    case "fw":
    case "fr":
      session.set(path, {
        ...attributes,
        kind: "junction",
        size: 0,
        ...(await sealJunction(crypto, volume.access!.seed!, cap)),
      })
      return
    case "ci":
      session.set(path, decodeEntryCap(cap)) // it never changes, so it can stand here as it is
      return
    case "lit": {
      const size = cap.content.length
      const content = { form: "inline" as const, size, bytes: cap.content }
      session.set(path, { ...attributes, mode: 0o644, kind: "file", size, content })
      return
    }
    default:
      throw new HoldfastError(
        "ERR_WRONG_CAPABILITY",
        "A verify capability cannot be linked in, as nothing can be read with it.",
      )
  }
}
