/** Editing: changes of a tree that become visible together. */
import { equal, HoldfastError } from "@holdfast/core"
import { type CommitSession, type Entry, listDirectory, mutableFileName, plainAttributes } from "@holdfast/tree"
import { alone } from "./capabilities.ts"
import type { Edit, FileSystem } from "./file-system.ts"
import { linkEntry, resealed } from "./junctions.ts"

/** Runs `work` on a tree as one commit. Throws ERR_WRONG_CAPABILITY. */
export async function editOf(files: FileSystem, work: (edit: Edit) => Promise<void>): Promise<void> {
  const result = await files.writable().commit((session) => work(sessionEdit(files, session)))
  await files.adopt(result)
}

/** Where in its tree a path lies: a mutable file is one entry of its tree, and nothing else is set there. */
export function inTree(files: FileSystem, path: readonly string[], kind: string): readonly string[] {
  if (!files.isFile) return path
  if (path.length === 0 && kind === "file") return [mutableFileName]
  throw new HoldfastError(
    "ERR_NOT_A_DIRECTORY",
    path.length === 0
      ? `${files.label} is a file and cannot become a ${kind}.`
      : `${files.label} is a file, so nothing can be put below it.`,
  )
}

function sessionEdit(files: FileSystem, session: CommitSession): Edit {
  const { io } = files
  const plain = () => plainAttributes(0o755, io.env.clock.nowMs())
  const lookup = async (path: readonly string[]): Promise<Entry | undefined> =>
    path.length === 0 ? files.root : session.lookup(path)
  return {
    async lookup(path) {
      const entry = await lookup(path)
      return entry && files.item(entry)
    },
    async isEmpty(path) {
      const entry = await lookup(path)
      if (entry?.kind !== "directory") return true
      for await (const _ of listDirectory(io, entry.reference)) return false
      return true
    },
    mkdir: async (path) => session.mkdir(inTree(files, path, "directory"), plain()),
    async set(path, item) {
      const { entry: found, owner } = item
      // Readers of another tree are to have the keys of nothing else.
      const entry = isSameTree(owner, files) ? found : ((await alone(files, found)) ?? found)
      const named = entry.name === "" && entry.kind === "directory" ? { ...entry, ...plain() } : entry
      session.set(
        inTree(files, path, entry.kind),
        entry.kind === "junction" && owner !== files
          ? ({ ...named, ...(await resealed(files, owner, entry)) } as Entry)
          : named,
      )
    },
    async remove(path) {
      // Of a mutable file only copies are removed, which are beside it in its tree.
      session.remove(files.isFile && path[0] === mutableFileName ? inTree(files, path, "file") : path)
    },
    move: async (from, to) => session.move(from, inTree(files, to, "link")),
    async link(path, cap, like) {
      const place = inTree(files, path, "link")
      session.set(place, await linkEntry(files, { name: place.at(-1)!, like }, cap))
    },
  }
}

function isSameTree({ access: a }: FileSystem, { access: b }: FileSystem): boolean {
  return a !== undefined && b !== undefined && equal(a.publicKey, b.publicKey)
}
