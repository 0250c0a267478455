/** Storing many files and naming them: what uploads, and doors that write files whole, do with a tree. */
import { type ErrorCode, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { registerIdOf } from "@holdfast/protocol"
import {
  type Attributes,
  type CommitSession,
  createFileWriter,
  type DirectoryRef,
  type FileContent,
  plainAttributes,
} from "@holdfast/tree"
import { inTree } from "./edit.ts"
import type { Change, FileSystem, Item, NamedChange, Uploads, Writer } from "./file-system.ts"
import { holdsEntries } from "./items.ts"
import { formatPath, show } from "./path.ts"

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
  let part: DirectoryRef | undefined // the root that the last commit made, when it was a part of more
  const linked = new Map<string, FileSystem>() // mutable files by their path here: their content is replaced, not the link
  return {
    lookup: (path) => files.lookup(path),
    async *list(path) {
      const item = await files.lookup(path)
      if (item?.entry.kind !== "directory") return
      for await (const named of files.list(item)) {
        const [name, { owner }] = named
        if (owner !== files && owner.isFile) linked.set([...path, name].join("/"), owner)
        yield named
      }
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
      await writer.name()
    },
    async commit(changes, { onBarred, isPart = false } = {}) {
      const stored = writer.flush()
      stored.catch(() => undefined) // thrown by the commit
      const own: Change[] = []
      for (const change of changes) {
        const file = change.kind === "file" ? linked.get(change.path.join("/")) : undefined
        if (file) await stored.then(() => writerOf(file).commit([{ ...change, path: [] }]))
        else if (change.kind === "remove") own.push(change)
        else own.push({ ...change, path: inTree(files, change.path, change.kind) })
      }
      const nowMs = files.io.env.clock.nowMs()
      const barred: (readonly [NamedChange, HoldfastError])[] = []
      const result = await tree.commit(async (session) => {
        barred.length = 0 // of another version, which this is tried on
        if (part !== undefined) session.goOnFrom(part)
        const obstacles = new Obstacles(files, session)
        for (const change of own) {
          const error = change.kind === "remove" ? undefined : await obstacles.of(change)
          if (!error) await applyChange(session, change, nowMs)
          else if (onBarred && change.kind !== "remove") barred.push([change, error])
          else throw error
          if (change.kind !== "file") obstacles.forget()
        }
      }, stored)
      for (const [change, error] of barred) onBarred?.(change, error)
      if (!isPart) part = undefined
      else if (result.changed) part = result.root // else it is a version that was there before
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

/** What stands in the way of changes: the tree may be another one than when it was looked at. */
class Obstacles {
  readonly #files: FileSystem
  readonly #session: CommitSession
  readonly #parents = new Map<string, HoldfastError | undefined>()

  constructor(files: FileSystem, session: CommitSession) {
    this.#files = files
    this.#session = session
  }

  /** Directories may have come or gone by what was changed. */
  forget(): void {
    this.#parents.clear()
  }

  /** Why a change cannot be made; undefined when it can. */
  async of({ path, kind }: NamedChange): Promise<HoldfastError | undefined> {
    const above = path.slice(0, -1)
    const key = above.join("/")
    if (!this.#parents.has(key)) this.#parents.set(key, await this.#parent(above))
    const barred = this.#parents.get(key)
    if (barred) return barred
    const there = await this.#session.lookup(path)
    if (!there || there.kind === kind || (kind !== "directory" && !holdsEntries({ entry: there }))) return undefined
    // Who opened the tree with the link in it knew what was replaced.
    if (there.kind === "junction" && kind !== "directory" && (await this.#files.lookup(path).catch(() => undefined)))
      return undefined
    const code = there.kind === "directory" ? "ERR_IS_A_DIRECTORY" : "ERR_NOT_A_DIRECTORY"
    return this.#error(code, path, `is a ${there.kind === "junction" ? "link" : there.kind} since a moment ago`)
  }

  async #parent(path: readonly string[]): Promise<HoldfastError | undefined> {
    if (path.length === 0) return undefined
    const there = await this.#session.lookup(path)
    if (there?.kind === "directory") return undefined
    if (!there) return this.#error("ERR_NOT_FOUND", path, "was removed a moment ago")
    return this.#error("ERR_NOT_A_DIRECTORY", path, "is not a directory since a moment ago")
  }

  #error(code: ErrorCode, path: readonly string[], what: string): HoldfastError {
    return new HoldfastError(code, `${show({ files: this.#files, path })} ${what}.`, { path: formatPath(path) })
  }
}

async function applyChange(session: CommitSession, change: Change, nowMs: number): Promise<void> {
  if (change.kind === "remove") return void ((await session.lookup(change.path)) && session.remove(change.path))
  const { path, mode, mtimeNs, uid = 0, gid = 0 } = change
  const xattrs = change.xattrs === undefined ? await xattrsBefore(session, change) : change.xattrs
  const attributes = { ...plainAttributes(mode, nowMs), uid, gid, mtimeNs, xattrs }
  const own = { ...attributes, name: path.at(-1)! }
  if (change.kind === "file") {
    const { kind, content } = change
    session.set(path, { ...own, kind, size: content.size, content })
  } else if (change.kind === "symlink") {
    const { kind, target } = change
    session.set(path, { ...own, kind, size: utf8(target).length, target })
  } else {
    await session.mkdir(path, attributes, { update: true })
  }
}

/** What stays where a change says nothing of extended attributes: those of what it changes, and not of what it takes the place of. */
async function xattrsBefore(session: CommitSession, { path, kind }: NamedChange): Promise<Attributes["xattrs"]> {
  const before = await session.lookup(path)
  return before?.kind === kind ? before.xattrs : null
}
