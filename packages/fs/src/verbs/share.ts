/** Making a directory a tree of its own, so that capabilities to it show, or change, what it becomes. */
import { HoldfastError } from "@holdfast/core"
import { decodeCap } from "@holdfast/protocol"
import { sameContent } from "@holdfast/tree"
import type { FileSystem, Item, Location } from "../file-system.ts"
import { walkItems } from "../items.ts"
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
  const inner = await at.files.locate(at.path)
  if (inner.files !== at.files) return share(inner, options)
  const { files, path } = at
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const item = await (await newest(files)).lookup(path)
    if (!item) throw notFound(at)
    if (item.entry.kind === "junction") return files.enter(item.entry, path)
    if (item.entry.kind !== "directory" || item.owner !== files) throw notDirectory(at)
    if (path.length === 0) return files
    files.writable()
    const tree = await options.create()
    // Whoever the whole is held for goes on holding this part.
    for (const account of await files.accounts()) await tree.writable().holdFor(account)
    await fill(tree, item)
    if (await linkIn(at, item, tree)) return tree
  }
  throw new HoldfastError("ERR_CONFLICT", `${show(at)} is being changed all the time. Try again when that has ended.`)
}

/** Reads see the root of when a file system was opened; an edit that changes nothing sees that of now. */
async function newest(files: FileSystem): Promise<FileSystem> {
  await files.edit(async () => undefined)
  return files
}

/** Puts all that is in a directory into an empty tree. What is linked in anywhere below stays as writable as it was. */
async function fill(tree: FileSystem, item: Item): Promise<void> {
  await tree.edit(async (edit) => {
    for await (const [name, child] of item.owner.list(item)) await edit.set([name], child)
    for await (const below of walkItems(item, [], { links: false }))
      if (below.path.length > 1 && below.item.entry.kind === "junction") await edit.set(below.path, below.item)
  })
}

/** Links the tree in where the directory was; false when that has changed since. */
async function linkIn({ files, path }: Location, { entry }: Item, tree: FileSystem): Promise<boolean> {
  let isSame = false
  await files.edit(async (edit) => {
    const now = await edit.lookup(path)
    isSame = now !== undefined && sameContent(now.entry, entry)
    if (isSame) await edit.link(path, decodeCap(await tree.capOf([], "write")), entry)
  })
  return isSame
}
