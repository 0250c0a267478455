/** Looking at trees: what is there, and whether it reads as what was stored. */
import { isHoldfastError, toHex } from "@holdfast/core"
import { type FileSystem, type Item, walkItems } from "@holdfast/fs"
import { type FileEntry, type Tree, walk } from "@holdfast/tree"
import { entryKey } from "./model.ts"
import { contentOf, type OperationContext } from "./operation.ts"

/** What is read of a file that a malicious writer made: it may say that it has any length. */
export const foreignBytes = 100_000

/** Lists a tree, in which all must be that was acknowledged before it was opened. */
export async function list(files: FileSystem, { model, span, fail, client }: OperationContext): Promise<string> {
  const present = new Set<string>()
  for await (const { item } of walkItems(files.item(files.root), [])) {
    const key = entryKey(item.entry)
    if (key) present.add(key)
  }
  for (const token of model.missing(present, span.startMs))
    fail("acknowledged writes are readable", `${client.id} lists the tree without #${token.id} ${token.path}`)
  return `${present.size} files`
}

/** The contents of all files below a root. */
export async function keysBelow(
  { io }: Pick<Tree, "io">,
  root: Awaited<ReturnType<Tree["root"]>>,
): Promise<Set<string>> {
  const present = new Set<string>()
  for await (const { entry } of walk(io, root)) {
    const key = entryKey(entry)
    if (key) present.add(key)
  }
  return present
}

/** The files of a tree. */
export async function filesBelow(files: FileSystem): Promise<FileItem[]> {
  const found: FileItem[] = []
  for await (const { item } of walkItems(files.item(files.root), [])) if (isFile(item)) found.push(item)
  return found
}

/** A file that was found. */
export interface FileItem extends Item {
  readonly entry: FileEntry
}

function isFile(item: Item): item is FileItem {
  return item.entry.kind === "file"
}

/** Reads some of the files and compares them with what was stored. */
export async function read(files: FileSystem, context: OperationContext, count: number): Promise<string> {
  const found = await filesBelow(files)
  for (const item of context.random.some(found, count)) await readOne(item, context)
  return `${Math.min(count, found.length)} of ${found.length} files`
}

async function readOne(item: FileItem, context: OperationContext): Promise<void> {
  const { trees, fail, client, isForeign } = context
  const { entry, owner } = item
  const token = trees.flatMap(({ model }) => model.tokens).find(({ key }) => key === entryKey(entry))
  if (isForeign(entry)) return readForeign(item)
  if (!token) {
    fail("nobody reads what was never written", `${client.id} found ${entry.name} with content that nobody stored`)
    return
  }
  let at = 0
  const expected = contentOf(token)
  for await (const piece of owner.read(item)) {
    if (toHex(piece) !== toHex(expected.subarray(at, at + piece.length)))
      fail("reads give what was written", `${client.id} read wrong bytes of #${token.id}`)
    at += piece.length
  }
  if (at !== expected.length) fail("reads give what was written", `${client.id} read ${at} bytes of #${token.id}`)
}

/** Whatever that is: an error of ours is as good as any bytes. */
async function readForeign(item: FileItem): Promise<void> {
  try {
    for await (const _ of item.owner.read(item, { end: foreignBytes })); // to the end
  } catch (error) {
    if (!isHoldfastError(error)) throw error
  }
}
