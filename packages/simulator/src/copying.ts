/** Putting what is there at other places too: within a tree, from trees of others, from snapshots and old versions. */
import { copy, type FileSystem, type Item, walkItems } from "@holdfast/fs"
import { type DirectoryRef, listDirectory, withOwnChunks } from "@holdfast/tree"
import { entryKey } from "./model.ts"
import { fileNames, type OperationContext, pauseBeforeCommit, snapshotNames } from "./operation.ts"
import { filesBelow } from "./reading.ts"

/** Puts a file or folder of the tree at another name too. */
export async function copyWithin(files: FileSystem, context: OperationContext): Promise<string> {
  const { random, model, span } = context
  const found: Item[] = []
  for await (const { path, item } of walkItems(files.item(files.root), [])) if (path.length > 0) found.push(item)
  const [item] = random.some(found, 1)
  if (!item) return "nothing"
  const name = random.pick(fileNames)
  model.remove(span, name)
  await pauseBeforeCommit(context, 0.2)
  await copy(item, { files, path: [name] })
  return `${item.entry.name} to ${name}`
}

/** Puts a file of another tree, whoever owns that, into this one: by reference when it shares its chunks with nothing else. */
export async function copyAcross(files: FileSystem, context: OperationContext): Promise<string> {
  const { random, model, span, client, trees, target, time } = context
  const from = random.pick(trees.filter((one) => one !== target))
  const [item] = random.some(await filesBelow(await client.files(from)), 1)
  const known = item && from.model.tokens.find(({ key }) => key === entryKey(item.entry))
  if (!item || !known) return "nothing"
  const name = random.pick(fileNames)
  const token = model.put(span, name, known)
  // What the copy is to have for itself is stored first, so that its name is known before the commit.
  const own = { ...item, entry: await withOwnChunks(files.io, item.entry) }
  token.key = entryKey(own.entry)!
  await pauseBeforeCommit(context, 0.2)
  await copy(own, { files, path: [name] })
  token.ackedMs = time.nowMs
  return `${item.entry.name} of ${from.name} to #${token.id} ${name}`
}

/** Brings a file or folder back from a snapshot. */
export async function restore(files: FileSystem, context: OperationContext): Promise<string> {
  const name = context.random.pick(snapshotNames)
  const snapshot = await files.snapshot(name)
  const root = snapshot?.root
  return root?.kind === "directory" ? bringBack(files, root.reference, context) : `no ${name}`
}

/** Brings a file or folder back from an old version, mostly the oldest, which the next commit drops. */
export async function undo(files: FileSystem, context: OperationContext): Promise<string> {
  const history = (await files.listVersions()).slice(1)
  const past = context.random.chance(0.7) ? history.at(-1) : context.random.some(history, 1)[0]
  return past ? bringBack(files, past.root, context) : "no old root"
}

/** Puts one of the entries of an old root where it was, in place of what is there now. */
async function bringBack(files: FileSystem, root: DirectoryRef, context: OperationContext): Promise<string> {
  const { random, model, span } = context
  const items: Item[] = []
  for await (const entry of listDirectory(files.io, root)) items.push(files.item(entry))
  const [item] = random.some(items, 1)
  if (!item) return "nothing there"
  const { name } = item.entry
  model.remove(span, name)
  await pauseBeforeCommit(context, 0.4)
  await files.edit((edit) => edit.set([name], item))
  return name
}
