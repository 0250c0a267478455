/** What clients do with the tree they share, as the command line does it, with the model beside it. */
import { assert, isHoldfastError, toHex, utf8 } from "@holdfast/core"
import type { AccountId, ChunkId } from "@holdfast/protocol"
import {
  createFileWriter,
  createTree,
  type DirectoryRef,
  type Entry,
  type FileEntry,
  joinAccounts,
  packedFileBytes,
  plainAttributes,
  readCare,
  readFile,
  type Tree,
  walk,
} from "@holdfast/tree"
import { addToList } from "./accounts.ts"
import type { SimulatedClient } from "./client.ts"
import { collect } from "./collecting.ts"
import type { Fail } from "./history.ts"
import { entryKey, keyOf, type Model, type Span, type Token } from "./model.ts"
import { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"
import type { SimulatedTree } from "./trees.ts"

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

/** Where an operation takes place. */
export interface OperationContext {
  readonly client: SimulatedClient
  readonly random: Random
  /** The tree that it is about. */
  readonly target: SimulatedTree
  readonly model: Model
  readonly trees: readonly SimulatedTree[]
  /** A new tree of the client's account; undefined when there are enough. Claims are made for it once it is kept. */
  readonly newTree: () => Promise<{ readonly tree: SimulatedTree; readonly keep: () => void } | undefined>
  /** True for what a malicious writer made. */
  readonly isForeign: (entry: FileEntry) => boolean
  readonly time: SimulatedTime
  readonly fail: Fail
  readonly span: Span
  /** What places spare at least. */
  readonly graceMs: number
  /** The machine sleeps for so long before it commits, and may not notice. */
  readonly sleep?: { readonly ms: number; readonly isNoticed: boolean } | undefined
  /** Nothing of the past is kept. */
  readonly isLast: boolean
  /** k, by which sizes are chosen so that shares become files. */
  readonly k: number
}

const folders = ["", "a", "b", "a/c"]
const files = Array.from({ length: 6 }, (_, i) => `f${i}`)
const snapshotNames = ["s0", "s1", "s2", "s3"]
/** What is read of a file that a malicious writer made: it may say that it has any length. */
export const foreignBytes = 100_000
const readable = plainAttributes(0o644, 0)

/** Does one operation; what it returns is for the trace. Throws what the product throws. */
export async function operate(kind: OperationKind, context: OperationContext): Promise<string> {
  const { client, random, target } = context
  if (random.chance(0.5)) client.forget()
  return operations[kind](client.tree(target), context)
}

const operations: Record<OperationKind, (tree: Tree, context: OperationContext) => Promise<string>> = {
  put: (tree, context) => put(tree, context, 1),
  putMany: (tree, context) => put(tree, context, context.random.between(2, 6)),
  async mkdir(tree, { random }) {
    const path = random.pick(folders.slice(1))
    await tree.commit((session) => session.mkdir(path.split("/"), plainAttributes(0o755, 0), { parents: true }))
    return path
  },
  async remove(tree, { random, model, span }) {
    const path = random.chance(0.15) ? random.pick(folders.slice(1)) : likelyFile(model, random)
    model.remove(span, path)
    await tree.commit(async (session) => session.remove(path.split("/")))
    return path
  },
  async move(tree, { random, model, span }) {
    const isFolder = random.chance(0.2)
    const [from, to] = isFolder
      ? [random.pick(folders.slice(1)), random.pick(folders.slice(1))]
      : [likelyFile(model, random), join(random.pick(folders), random.pick(files))]
    model.move(span, from, to)
    await tree.commit((session) => session.move(from.split("/"), to.split("/")))
    return `${from} to ${to}`
  },
  copy,
  copyAcross,
  plant,
  list,
  read: (tree, context) => read(tree, context, 1),
  readAll: (tree, context) => read(tree, context, Number.POSITIVE_INFINITY),
  async snapshot(tree, { random, model, span }) {
    const name = random.pick(snapshotNames)
    await tree.snapshots.create(name)
    model.keepSnapshot(span, name)
    return name
  },
  async removeSnapshot(tree, { random, model }) {
    const name = random.pick(model.snapshots.size > 0 ? [...model.snapshots.keys()] : snapshotNames)
    model.removeSnapshot(name)
    await tree.snapshots.remove(name)
    return name
  },
  restore,
  undo,
  gc,
  async repair(tree, { client, target }) {
    const accounts = await heldFor(client, target)
    let placed = 0
    for await (const { id } of tree.chunks())
      placed += (await client.store.checkChunk(id, { repair: true, accounts })).placed
    return `${placed} shares placed`
  },
  async rebalance(tree, { client, target }) {
    const accounts = await heldFor(client, target)
    const collection = await client.store.beginCollection()
    const freed = new Map<string, ChunkId[]>()
    let total = 0
    for await (const { id } of tree.chunks()) {
      const { moved, surplus } = await client.store.rebalanceChunk(id, { accounts })
      total += moved
      for (const { id: place } of surplus) freed.set(place, [...(freed.get(place) ?? []), id])
    }
    return `${total} shares moved, ${await collection.release(client.collector, freed)} freed`
  },
}

/** The accounts that a tree's care names. */
async function heldFor({ store }: SimulatedClient, { careKeys }: SimulatedTree): Promise<readonly AccountId[]> {
  return joinAccounts(await readCare(store.registers, careKeys))
}

/** The path of a file that is probably there. */
function likelyFile(model: Model, random: Random): string {
  const stored = model.tokens.filter(({ ackedMs, isGone }) => ackedMs !== undefined && !isGone)
  return stored.length > 0 ? random.pick(stored).path : join(random.pick(folders), random.pick(files))
}

/** Stores files and names them in one commit. */
async function put(tree: Tree, context: OperationContext, count: number): Promise<string> {
  const { random, model, span, k, time, sleep } = context
  const writer = createFileWriter(tree.io)
  const tokens = Array.from({ length: count }, () => {
    const name = random.chance(0.6) ? random.pick(files) : `u${model.tokens.length}`
    const old = model.tokens.filter(
      ({ isGone, key, ackedMs, size }) => isGone || (key && ackedMs === undefined) || isLarge(size),
    )
    const again = old.length > 0 && random.chance(0.4) ? random.pick(old) : undefined
    const path = again && isLarge(again.size) ? again.path : join(random.pick(folders), name)
    return model.put(span, path, again ?? sizeBy(random, k, sleep !== undefined))
  })
  const there = await Promise.all(
    tokens.map(({ path, size }) => (isLarge(size) ? tree.lookup(path.split("/")) : undefined)),
  )
  const adding = Promise.all(
    tokens.map((token, i) => {
      const before = there[i]
      return writer.add(contentOf(token), before?.kind === "file" ? { before: before.content } : {})
    }),
  )
  adding.catch(() => undefined) // the flush tells
  await writer.flush()
  const contents = await adding
  for (const [i, token] of tokens.entries()) token.key = keyOf(contents[i]!)
  if (sleep) await sleepThrough(context, sleep)
  else if (random.chance(0.05)) await longPause(context)
  await tree.commit(async (session) => {
    for (const [i, { path }] of tokens.entries()) {
      const names = path.split("/")
      const content = contents[i]!
      if (names.length > 1) await session.mkdir(names.slice(0, -1), plainAttributes(0o755, 0), { parents: true })
      session.set(names, { ...readable, name: names.at(-1)!, kind: "file", size: content.size, content })
    }
  })
  const replaced = new Set(tokens.map(({ path }) => path)) // of one path the last stays
  for (const token of tokens.toReversed()) if (replaced.delete(token.path)) token.ackedMs = time.nowMs
  return tokens.map(({ id, path, size }) => `#${id} ${path} (${size})`).join(", ")
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

async function list(tree: Tree, { model, time, fail, client }: OperationContext): Promise<string> {
  const startMs = time.nowMs
  const present = await keysBelow(tree, await tree.root())
  for (const token of model.missing(present, startMs))
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

/** Reads some of the files and compares them with what was stored. */
async function read(tree: Tree, context: OperationContext, count: number): Promise<string> {
  const found: FileEntry[] = []
  for await (const { entry } of walk(tree.io, await tree.root())) if (entry.kind === "file") found.push(entry)
  for (const entry of context.random.some(found, count)) await readOne(tree, entry, context)
  return `${Math.min(count, found.length)} of ${found.length} files`
}

async function readOne(tree: Tree, entry: FileEntry, context: OperationContext): Promise<void> {
  const { trees, fail, client, isForeign } = context
  const token = trees.flatMap(({ model }) => model.tokens).find(({ key }) => key === entryKey(entry))
  if (isForeign(entry)) return readForeign(tree, entry)
  if (!token) {
    fail("nobody reads what was never written", `${client.id} found ${entry.name} with content that nobody stored`)
    return
  }
  let at = 0
  const expected = contentOf(token)
  for await (const piece of readFile(tree.io, entry)) {
    if (toHex(piece) !== toHex(expected.subarray(at, at + piece.length)))
      fail("reads give what was written", `${client.id} read wrong bytes of #${token.id}`)
    at += piece.length
  }
  if (at !== expected.length) fail("reads give what was written", `${client.id} read ${at} bytes of #${token.id}`)
}

/** Whatever that is: an error of ours is as good as any bytes. */
async function readForeign(tree: Tree, entry: FileEntry): Promise<void> {
  try {
    for await (const _ of readFile(tree.io, entry, { end: foreignBytes })); // to the end
  } catch (error) {
    if (!isHoldfastError(error)) throw error
  }
}

/** The rest of a long upload. */
async function longPause({ random, time, client }: OperationContext): Promise<void> {
  const ms = random.between(1, 60) * 60_000
  client.pausedMs += ms
  await time.sleep(ms)
}

/** A machine sleeps, and may believe afterwards that no time has passed. */
async function sleepThrough(
  { time, client }: OperationContext,
  { ms, isNoticed }: NonNullable<OperationContext["sleep"]>,
): Promise<void> {
  await time.sleep(ms)
  if (!isNoticed) client.clock.jump(-ms)
}

/** Makes another tree of the account, which is in its list before anything is stored for it. */
async function plant(_: Tree, context: OperationContext): Promise<string> {
  const { client, sleep } = context
  const planted = await context.newTree()
  if (!planted) return "there are enough trees"
  const { tree, keep } = planted
  await addToList(client.store.registers, client.listKeys, [tree.name])
  const made = await createTree(client.treeOptions(tree))
  keep()
  const own = {
    ...context,
    target: tree,
    model: tree.model,
    span: tree.model.begin(context.time.nowMs),
    sleep: undefined,
  }
  const told = await put(made, own, 1)
  tree.model.end(own.span, true, context.time.nowMs)
  if (sleep) await sleepThrough(context, sleep)
  return `${tree.name} with ${told}`
}

/** Puts a file of another tree, whoever owns that, into this one by reference. */
async function copyAcross(tree: Tree, context: OperationContext): Promise<string> {
  const { random, model, span, client, trees, target, time } = context
  const from = random.pick(trees.filter((one) => one !== target))
  const source = client.tree(from)
  const found: FileEntry[] = []
  for await (const { entry } of walk(source.io, await source.root())) if (entry.kind === "file") found.push(entry)
  const [entry] = random.some(found, 1)
  const known = entry && from.model.tokens.find(({ key }) => key === entryKey(entry))
  if (!entry || !known) return "nothing"
  const name = random.pick(files)
  const token = model.put(span, name, known)
  token.key = known.key!
  if (context.sleep) await sleepThrough(context, context.sleep)
  else if (random.chance(0.2)) await longPause(context)
  await tree.commit(async (session) => session.set([name], { ...entry, name }))
  token.ackedMs = time.nowMs
  return `${entry.name} of ${from.name} to #${token.id} ${name}`
}

/** Puts a file or folder of the tree at another place too. */
async function copy(tree: Tree, context: OperationContext): Promise<string> {
  const { random, model, span } = context
  const found: Entry[] = []
  for await (const { entry } of walk(tree.io, await tree.root())) found.push(entry)
  const [entry] = random.some(found, 1)
  if (!entry) return "nothing"
  const name = random.pick(files)
  model.remove(span, name)
  if (context.sleep) await sleepThrough(context, context.sleep)
  else if (random.chance(0.2)) await longPause(context)
  await tree.commit(async (session) => session.set([name], { ...entry, name }))
  return `${entry.name} to ${name}`
}

/** Brings a file or folder back from a snapshot. */
async function restore(tree: Tree, context: OperationContext): Promise<string> {
  const name = context.random.pick(snapshotNames)
  const snapshot = await tree.snapshots.lookup(name)
  return snapshot ? bringBack(tree, snapshot.reference, context) : `no ${name}`
}

/** Brings a file or folder back from an old root, mostly the oldest, which the next commit drops. */
async function undo(tree: Tree, context: OperationContext): Promise<string> {
  const { history } = await tree.content()
  const past = context.random.chance(0.7) ? history.at(-1) : context.random.some(history, 1)[0]
  return past ? bringBack(tree, past.root, context) : "no old root"
}

async function bringBack(tree: Tree, root: DirectoryRef, context: OperationContext): Promise<string> {
  const { random, model, span } = context
  const entries: Entry[] = []
  for await (const entry of tree.list([], { at: root })) entries.push(entry)
  const [entry] = random.some(entries, 1)
  if (!entry) return "nothing there"
  model.remove(span, entry.name)
  if (context.sleep) await sleepThrough(context, context.sleep)
  else if (random.chance(0.4)) await longPause(context)
  await tree.commit(async (session) => session.set([entry.name], entry))
  return entry.name
}

/** As the command `gc`; what it asks to spare may be less than places spare anyway, or more. */
async function gc(_: Tree, { client, trees, random, graceMs, isLast }: OperationContext): Promise<string> {
  const asked = random.pick([0, 0, 1, graceMs, 2 * graceMs])
  return collect(client, { trees, graceMs: isLast ? 0 : asked, keepsHistory: !isLast && random.chance(0.7) })
}

/** The bytes that a token stands for. */
export function contentOf({ content, size }: Token): Uint8Array {
  const bytes = new Random(`content ${content}`).bytes(size)
  const mark = utf8(`content ${content} `)
  assert(mark.length <= size, "room for the mark of a content")
  bytes.set(mark)
  return bytes
}

function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`
}
