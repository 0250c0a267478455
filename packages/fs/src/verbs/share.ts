/** Making a directory a tree of its own, so that capabilities to it show, or change, what it becomes. */
import { HoldfastError } from "@holdfast/core"
import { decodeCap, encodeCap } from "@holdfast/protocol"
import {
  type DirectoryEntry,
  type Entry,
  type JunctionEntry,
  listDirectory,
  RepeatGuard,
  sameContent,
} from "@holdfast/tree"
import type { FileSystem, Item, Location } from "../file-system.ts"
import { identityOf } from "../items.ts"
import { linkEntry } from "../junctions.ts"
import { show } from "../path.ts"
import { notDirectory, notFound } from "./refusals.ts"

/** Whoever changes the directory all the while has its way. */
const maxAttempts = 5

/** How a directory is shared. */
export interface ShareOptions {
  /** Makes an empty tree on the same volume and opens it with its write capability. */
  readonly create: () => Promise<FileSystem>
}

/**
 * The tree that the directory at a place is; where it is none yet, it becomes one of its own, with all that is in it, and is linked in
 * at its place by one commit, with its mode, owner and times. Versions and snapshots of before keep it as it was. When this is interrupted
 * before that commit nothing has changed. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY, ERR_WRONG_CAPABILITY, ERR_CONFLICT when it is
 * changed all the while.
 */
export async function share(at: Location, options: ShareOptions): Promise<FileSystem> {
  const { files, path } = at
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const inner = await files.locate(path)
    if (inner.files !== files) return share(inner, options)
    const item = await files.lookup(path)
    if (!item) throw notFound(at)
    if (item.entry.kind === "junction") return files.enter(item.entry, path)
    if (item.entry.kind !== "directory" || item.owner !== files) throw notDirectory(at)
    if (path.length === 0) return files
    files.writable()
    const tree = await options.create()
    // Whoever the whole is held for goes on holding this part.
    for (const account of await files.accounts()) await tree.writable().holdFor(account)
    await fill(tree, files, item.entry)
    if (await linkIn(at, item, tree)) return tree
  }
  throw new HoldfastError("ERR_CONFLICT", `${show(at)} is being changed all the time. Try again when that has ended.`)
}

/** Puts all that is in a directory of `files` into an empty tree. What is linked in anywhere below stays as writable as it was. */
async function fill(tree: FileSystem, files: FileSystem, directory: DirectoryEntry): Promise<void> {
  await tree.edit(async (edit) => {
    // As they stand there, not as what they lead to: a file that is linked in stays a link.
    for await (const entry of listDirectory(files.io, directory.reference))
      await edit.set([entry.name], files.item(entry))
    for await (const { path, entry } of linksBelow(files, directory, []))
      if (path.length > 1) await edit.set(path, files.item(entry))
  })
}

/** The links in a directory and below it, to trees and to files. Throws ERR_LIMIT as `walkItems` does. */
async function* linksBelow(
  files: FileSystem,
  directory: DirectoryEntry,
  path: readonly string[],
  guard = new RepeatGuard(),
): AsyncGenerator<{ readonly path: readonly string[]; readonly entry: JunctionEntry }, void, void> {
  const tell = guard.enter(identityOf(files.item(directory)))
  for await (const entry of listDirectory(files.io, directory.reference)) {
    tell(1)
    const place = [...path, entry.name]
    if (entry.kind === "junction") yield { path: place, entry }
    else if (entry.kind === "directory") yield* linksBelow(files, entry, place, guard)
  }
}

/**
 * Links the tree in where the directory was, and has the root of after that read. False when the directory has changed since, also by a
 * writer whose commit came between: then both are there for a moment, and the link goes.
 */
async function linkIn({ files, path }: Location, { entry }: Item, tree: FileSystem): Promise<boolean> {
  const leadsThere = async (found: Entry | undefined) =>
    found?.kind === "junction" && encodeCap(await files.capOfLink(found)) === (await tree.capOf([], "write"))
  const result = await files.writable().commit(async (session) => {
    const now = await session.lookup(path)
    if (!now || !sameContent(now, entry)) return
    const cap = decodeCap(await tree.capOf([], "write"))
    session.set(path, await linkEntry(files, { name: now.name, like: now }, cap))
  })
  await files.adopt({ ...result, conflicts: [] })
  if (await leadsThere((await files.lookup(path))?.entry)) return true
  if (result.conflicts.length > 0)
    await files.edit(async (edit) => {
      for (const copy of result.conflicts)
        if (await leadsThere((await edit.lookup(copy))?.entry)) await edit.remove(copy)
    })
  return false
}
