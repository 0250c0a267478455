/** What clients do with the trees that they share, by the verbs that every door has, with the model beside it. */
import { type ErrorCode, type HoldfastError, isHoldfastError } from "@holdfast/core"
import { type Change, type FileSystem, holdsEntries, mkdir, move, remove, type Writer } from "@holdfast/fs"
import { checkHealth, footingOf, rebalance } from "@holdfast/fs/care"
import { type FileContent, packedFileBytes } from "@holdfast/tree"
import { addToList } from "./accounts.ts"
import { collect } from "./collecting.ts"
import { copyAcross, copyWithin, restore, undo } from "./copying.ts"
import { keyOf, type Model, type Token } from "./model.ts"
import {
  at,
  contentOf,
  fileNames,
  folders,
  join,
  type OperationContext,
  pauseBeforeCommit,
  sleepThrough,
  snapshotNames,
} from "./operation.ts"
import type { Random } from "./random.ts"
import { list, read } from "./reading.ts"

/** What a client can do, and how often it does. */
export const operationWeights = {
  put: 30,
  putMany: 5,
  mkdir: 3,
  remove: 4,
  move: 6,
  copy: 4,
  copyAcross: 4,
  plant: 1,
  list: 6,
  read: 8,
  readAll: 0.5,
  snapshot: 3,
  removeSnapshot: 2,
  restore: 3,
  undo: 3,
  gc: 5,
  repair: 2,
  rebalance: 1,
} as const

/** The name of an operation. */
export type OperationKind = keyof typeof operationWeights

/** Does one operation; what it returns is for the trace. Throws what the product throws. */
export async function operate(kind: OperationKind, context: OperationContext): Promise<string> {
  const { client, random, target } = context
  if (random.chance(0.5)) client.forget()
  return operations[kind](await client.files(target), context)
}

const operations: Record<OperationKind, (files: FileSystem, context: OperationContext) => Promise<string>> = {
  put: (files, context) => put(files, context, 1),
  putMany: (files, context) => put(files, context, context.random.between(2, 6)),
  async mkdir(files, { random }) {
    const path = random.pick(folders.slice(1))
    await mkdir(at(files, path), { parents: true })
    return path
  },
  async remove(files, { random, model, span }) {
    const path = random.chance(0.15) ? random.pick(folders.slice(1)) : likelyFile(model, random)
    model.remove(span, path)
    await remove(at(files, path), { recursive: true, force: true })
    return path
  },
  async move(files, { random, model, span }) {
    const isFolder = random.chance(0.2)
    const [from, to] = isFolder
      ? [random.pick(folders.slice(1)), random.pick(folders.slice(1))]
      : [likelyFile(model, random), join(random.pick(folders), random.pick(fileNames))]
    model.move(span, from, to)
    await move(at(files, from), at(files, to))
    return `${from} to ${to}`
  },
  copy: copyWithin,
  copyAcross,
  plant,
  list,
  read: (files, context) => read(files, context, 1),
  readAll: (files, context) => read(files, context, Number.POSITIVE_INFINITY),
  async snapshot(files, { random, model, span }) {
    const name = random.pick(snapshotNames)
    await files.createSnapshot(name)
    model.keepSnapshot(span, name)
    return name
  },
  async removeSnapshot(files, { random, model }) {
    const name = random.pick(model.snapshots.size > 0 ? [...model.snapshots.keys()] : snapshotNames)
    model.removeSnapshot(name)
    await files.removeSnapshot(name)
    return name
  },
  restore,
  undo,
  gc,
  async repair(files, { client }) {
    const { report } = await checkHealth({ crypto: client.env.crypto, store: client.store }, footing(files), {
      repair: true,
    })
    return `${report.placed} shares placed`
  },
  async rebalance(files, { client: { env, store, collector } }) {
    const { moved, released } = await rebalance({ crypto: env.crypto, store }, footing(files), { collector })
    return `${moved} shares moved, ${released} freed`
  },
}

/** All that a tree stands on. */
function footing(files: FileSystem) {
  return footingOf(files.item(files.root), { deep: true })
}

/** The path of a file that is probably there. */
function likelyFile(model: Model, random: Random): string {
  const stored = model.tokens.filter(({ ackedMs, isGone }) => ackedMs !== undefined && !isGone)
  return stored.length > 0 ? random.pick(stored).path : join(random.pick(folders), random.pick(fileNames))
}

/** Stores files and names them in one commit. */
async function put(files: FileSystem, context: OperationContext, count: number): Promise<string> {
  const { random, model, span, k, time, sleep } = context
  const writer = files.writer()
  const tokens = Array.from({ length: count }, () => {
    const name = random.chance(0.6) ? random.pick(fileNames) : `u${model.tokens.length}`
    const old = model.tokens.filter(
      ({ isGone, key, ackedMs, size }) => isGone || (key && ackedMs === undefined) || isLarge(size),
    )
    const again = old.length > 0 && random.chance(0.4) ? random.pick(old) : undefined
    const path = again && isLarge(again.size) ? again.path : join(random.pick(folders), name)
    return model.put(span, path, again ?? sizeBy(random, k, sleep !== undefined))
  })
  const before = await Promise.all(
    tokens.map(({ path, size }) => (isLarge(size) ? writer.lookup(path.split("/")) : undefined)),
  )
  const adding = Promise.all(
    tokens.map((token, i) => writer.add(contentOf(token), { path: token.path.split("/"), before: before[i] })),
  )
  adding.catch(() => undefined) // the flush tells
  await writer.flush()
  const contents = await adding
  for (const [i, token] of tokens.entries()) token.key = keyOf(contents[i]!)
  const above = await missingAbove(writer, tokens)
  await pauseBeforeCommit(context, 0.05)
  const own = tokens.map(({ path }, i) => fileAt(path, contents[i]!))
  try {
    await writer.commit([...above, ...own])
  } catch (error) {
    if (!isInTheWay(error)) throw error
    return `nothing, as ${error.message}` // of all of it: upload names the rest in another commit
  }
  const replaced = new Set(tokens.map(({ path }) => path)) // of one path the last stays
  for (const token of tokens.toReversed()) if (replaced.delete(token.path)) token.ackedMs = time.nowMs
  return tokens.map(({ id, path, size }) => `#${id} ${path} (${size})`).join(", ")
}

const overtaken = new Set<string>(["ERR_IS_A_DIRECTORY", "ERR_NOT_A_DIRECTORY", "ERR_NOT_FOUND"] satisfies ErrorCode[])

/** A directory or a link is where a file was to go, or the directory above is gone; nothing was changed. */
function isInTheWay(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && overtaken.has(error.code)
}

function fileAt(path: string, content: FileContent): Change {
  return { path: path.split("/"), kind: "file", mode: 0o644, mtimeNs: 0n, content }
}

/** The folders of files that are not there yet, parents first. */
async function missingAbove(writer: Writer, tokens: readonly Token[]): Promise<Change[]> {
  const above = new Set<string>()
  for (const { path } of tokens) {
    const parts = path.split("/")
    for (let depth = 1; depth < parts.length; depth++) above.add(parts.slice(0, depth).join("/"))
  }
  const changes: Change[] = []
  for (const path of [...above].sort()) {
    const item = await writer.lookup(path.split("/"))
    if (!item || !holdsEntries(item))
      changes.push({ path: path.split("/"), kind: "directory", mode: 0o755, mtimeNs: 0n })
  }
  return changes
}

/** Of such a file, what stays is known again when it is stored again. */
function isLarge(size: number): boolean {
  return size > packedFileBytes
}

function sizeBy(random: Random, k: number, isStored: boolean): number {
  const kind = random.weighted({ inline: isStored ? 0 : 3, small: 4, large: 1.5, huge: 0.1 })
  if (kind === "huge") return random.between(1_100_000, 1_200_000)
  if (kind === "inline") return random.between(30, 500)
  return kind === "small" ? random.between(600, 8000) : k * random.between(60_000, 90_000)
}

/** Makes another tree of the account, which is in its list before anything is stored for it. */
async function plant(_: FileSystem, context: OperationContext): Promise<string> {
  const { client, sleep } = context
  const planted = await context.newTree()
  if (!planted) return "there are enough trees"
  const { tree, keep } = planted
  await addToList(client.store.registers, client.listKeys, [tree.name])
  await client.filesOf(tree).create("directory", tree.keys.seed)
  keep()
  const own = {
    ...context,
    target: tree,
    model: tree.model,
    span: tree.model.begin(context.time.nowMs),
    sleep: undefined,
  }
  const told = await put(await client.files(tree), own, 1)
  tree.model.end(own.span, true, context.time.nowMs)
  if (sleep) await sleepThrough(context, sleep)
  return `${tree.name} with ${told}`
}

/** As the command `gc`; what it asks to spare may be less than places spare anyway, or more. */
async function gc(_: FileSystem, { client, trees, random, graceMs, isLast }: OperationContext): Promise<string> {
  const asked = random.pick([0, 0, 1, graceMs, 2 * graceMs])
  return collect(client, { trees, graceMs: isLast ? 0 : asked, keepsHistory: !isLast && random.chance(0.7) })
}
