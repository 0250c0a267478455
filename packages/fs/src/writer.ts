/** Storing many files and naming them: what uploads, and doors that write files whole, do with a tree. */
import { toHex, utf8 } from "@holdfast/core"
import { registerIdOf } from "@holdfast/protocol"
import { type CommitSession, createFileWriter, type FileContent, plainAttributes } from "@holdfast/tree"
import { inTree } from "./edit.ts"
import type { Change, FileSystem, Item, Uploads, Writer } from "./file-system.ts"

/** Stores files of a tree that may be written. Throws ERR_WRONG_CAPABILITY. */
export function writerOf(files: FileSystem): Writer {
  const tree = files.writable()
  const writer = createFileWriter(files.io, { concurrency: 8 })
  const register = toHex(registerIdOf(files.access!.publicKey))
  let secret: ReturnType<Uploads["uploadSecret"]> | undefined
  const secretOf = () => {
    secret ??= files.uploads?.uploadSecret(register)
    return secret
  }
  /** What is committed is stored, whatever becomes of the note that it was under way. */
  const forgetUpload = async () => {
    const failure = await files.uploads?.uploadDone(register).catch((error: unknown) => error)
    if (failure === undefined) return
    const why = failure instanceof Error ? failure.message : String(failure)
    files.warn(`All of it is stored, but the note that this upload was under way could not be removed: ${why}`)
  }
  const starting = new Set<Promise<unknown>>() // streams that wait for the secret, and are not yet read
  const linked = new Map<string, FileSystem>() // mutable files by their path here: their content is replaced, not the link
  return {
    lookup: (path) => files.lookup(path),
    async list(path) {
      const item = await files.lookup(path)
      if (item?.entry.kind !== "directory") return undefined
      const entries = new Map<string, Item>()
      for await (const [name, child] of files.list(item)) {
        entries.set(name, child)
        if (child.owner !== files && child.owner.isFile) linked.set([...path, name].join("/"), child.owner)
      }
      return entries
    },
    buffers: files.io.chunks.buffers,
    async add(source, target) {
      const before = target.before && fileIn(files, target.before)
      // Small ones share packs, which come together otherwise the next time.
      if (source instanceof Uint8Array) return writer.add(source, { before })
      const beginning = secretOf()?.then((known) => ({ ...known, place: target.path.join("/") }))
      const begun = Promise.resolve(beginning).then((upload) => ({ stored: writer.add(source, { before, upload }) }))
      starting.add(begun)
      const { stored } = await begun.finally(() => starting.delete(begun))
      return stored
    },
    contentOf: ({ entry, owner }) => (entry.kind === "file" && owner === files ? entry.content : undefined),
    async flush() {
      await Promise.allSettled(starting) // whoever added them is told
      await writer.flush()
    },
    async commit(changes) {
      const own: Change[] = []
      for (const change of changes) {
        const file = change.kind === "file" ? linked.get(change.path.join("/")) : undefined
        if (file) await writerOf(file).commit([{ ...change, path: [] }])
        else if (change.kind === "remove") own.push(change)
        else own.push({ ...change, path: inTree(files, change.path, change.kind) })
      }
      const nowMs = files.io.env.clock.nowMs()
      const result = await tree.commit(async (session) => {
        for (const change of own) await applyChange(session, change, nowMs)
      })
      await files.adopt(result)
      if (secret) await forgetUpload()
      secret = undefined
    },
  }
}

/** The content of a file that lies on the same servers, so that its pieces may be referred to from here. */
function fileIn({ io }: FileSystem, { entry, owner }: Item): FileContent | undefined {
  return entry.kind === "file" && owner.io.isSameStore(io) ? entry.content : undefined
}

async function applyChange(session: CommitSession, change: Change, nowMs: number): Promise<void> {
  if (change.kind === "remove") return void ((await session.lookup(change.path)) && session.remove(change.path))
  const { path, mode, mtimeNs, uid = 0, gid = 0 } = change
  const attributes = { ...plainAttributes(mode, nowMs), uid, gid, mtimeNs }
  const own = { ...attributes, name: path.at(-1)! }
  if (change.kind === "file") {
    const { kind, content } = change
    session.set(path, { ...own, kind, size: content.size, content })
  } else if (change.kind === "symlink") {
    const { kind, target } = change
    session.set(path, { ...own, kind, size: utf8(target).length, target })
  } else {
    const existing = await session.lookup(path)
    if (existing && (existing.kind === "file" || existing.kind === "symlink"))
      session.set(path, { ...own, kind: "directory", size: 0, reference: null })
    else await session.mkdir(path, attributes, { update: true })
  }
}
