/** What honest clients do with the tree of a malicious writer, and what must hold of it whatever they find. */
import { isHoldfastError } from "@holdfast/core"
import { copy } from "@holdfast/fs"
import { checkHealth, footingOfCap } from "@holdfast/fs/care"
import {
  compareNames,
  diff,
  type Entry,
  type FileEntry,
  merge,
  plainAttributes,
  readFile,
  Tree,
  walk,
  withOwnChunks,
} from "@holdfast/tree"
import type { SimulatedClient } from "./client.ts"
import { collect } from "./collecting.ts"
import { foreignKey, isStolen } from "./hostile-nodes.ts"
import type { Random } from "./random.ts"
import { foreignBytes } from "./reading.ts"
import { someTree } from "./tasks.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

/** What somebody does there, and how often. */
export const visitWeights = {
  get: 5,
  look: 3,
  diff: 2,
  reach: 2,
  check: 2,
  merge: 1,
  write: 5,
  copyFrom: 5,
  gc: 2,
  snapshots: 1,
  goBack: 1,
  holdFor: 1,
} as const

/** The name of a visit. */
export type VisitKind = keyof typeof visitWeights

/** Who comes where. */
export interface Visit {
  readonly world: World
  readonly client: SimulatedClient
  readonly random: Random
  /** The malicious writer's. */
  readonly tree: SimulatedTree
}

/** Entries, differences or chunks that are told of it at most: it has some thousands. */
const mostTold = 150_000
/** Files that are read of it, and chunks that are checked. */
const mostRead = 40
/** Files of it that are remembered. */
const mostFiles = 300

/** Does something with the tree of a malicious writer; what it gives is for the trace. Throws what the product throws. */
export async function visit(kind: VisitKind, context: Visit): Promise<string> {
  const { client, tree } = context
  const options = client.treeOptions(tree)
  // Unwatched: its writer keeps to no protocol, so no history of it means anything.
  return visits[kind](new Tree({ ...options, registers: client.store.registers }), context)
}

const visits: Record<VisitKind, (tree: Tree, context: Visit) => Promise<string>> = {
  async get(tree, context) {
    if (context.random.chance(0.5)) await readOwn(context)
    const { files, entries, error } = await walked(tree, context)
    const results = []
    for (const entry of files.slice(0, mostRead)) results.push(await readOne(tree, entry, context))
    if (error) throw error
    return `${entries} entries; ${results.filter((code) => code === undefined).length} of ${files.length} files read`
  },
  async look(tree, { random }) {
    const names: string[] = []
    for await (const { name, kind } of tree.list([])) {
      names.push(name)
      if (kind === "directory" && random.chance(0.5)) await tree.lookup([name, "a", "b", "a"])
    }
    return names.slice(0, 20).join(" ")
  },
  async diff(tree, context) {
    const [a, b] = context.random.some([...(await tree.versions()).map(({ root }) => root), null], 2)
    return counted(context, diff(tree.io, a!, b ?? null))
  },
  reach: (tree, context) => counted(context, tree.reach()),
  async check(_, { client: { store, env }, tree: { careKeys }, random }) {
    const { chunks, registers } = footingOfCap(store, { kind: "dv", ...careKeys })
    const some = { chunks: first(chunks, mostRead), registers }
    const how = { verify: true, repair: random.chance(0.5) }
    const { report } = await checkHealth({ crypto: env.crypto, store }, some, how)
    return `${report.healthy} of ${report.chunks} chunks are healthy, ${report.lost} lost`
  },
  async merge(tree, { random }) {
    const roots = [...(await tree.versions()).map(({ root }) => root), null]
    const pick = () => random.pick(roots)
    const { conflicts } = await merge(tree.io, pick(), pick(), pick())
    return `${conflicts.length} conflicts`
  },
  async write(tree, { random, client }) {
    const bytes = random.bytes(30)
    const content = { form: "inline", size: bytes.length, bytes } as const
    const name = `by ${client.id}`
    const below = random.chance(0.5) ? [random.pick(["a", "d", "b", "stolen10d"])] : []
    const entry: Entry = { ...plainAttributes(0o644, 0), name, kind: "file", size: bytes.length, content }
    const { sequence } = await tree.commit(async (session) => session.set([...below, name], entry))
    return `${sequence}`
  },
  copyFrom,
  async gc(_, { client, world, random, tree }) {
    return collect(client, { trees: world.trees, graceMs: 0, keepsHistory: random.chance(0.7), more: [tree] })
  },
  async snapshots(tree, context) {
    const told = await counted(context, tree.snapshots.list())
    await tree.snapshots.create("s")
    return told
  },
  async goBack(tree, { random }) {
    const { sequence } = await tree.restore(async ({ history }) =>
      random.pick([null, ...history.map(({ root }) => root)]),
    )
    return `${sequence}`
  },
  async holdFor(tree, { client, random }) {
    await tree.holdFor(random.chance(0.5) ? client.account.id : random.bytes(32))
    return "held"
  },
}

/** What is read by right is in the caches that the tree of others is read through next. */
async function readOwn({ world, client, random }: Visit): Promise<void> {
  const own = client.tree(someTree(world, client, random))
  for await (const { entry } of walk(own.io, await own.root()))
    if (entry.kind === "file") for await (const _ of readFile(own.io, entry, { end: foreignBytes }));
}

/**
 * Takes a file of it into a tree of its own: that is refused, or all that it names is there from then on. By the verb, with chunks
 * of its own, or by reference, which no door does.
 */
async function copyFrom(hostile: Tree, context: Visit): Promise<string> {
  const { world, client, random } = context
  const { files, error } = await walked(hostile, context, mostFiles)
  const [entry] = random.some(files, 1)
  if (!entry && error) throw error
  if (!entry) return "nothing"
  world.foreign.add(foreignKey(entry))
  const name = `x${random.between(0, 5)}`
  const own = someTree(world, client, random)
  const how = random.chance(0.5) ? "by reference" : "whole"
  if (how === "whole") await copyWhole(entry, name, { ...context, own })
  else await client.tree(own).commit(async (session) => session.set([name], { ...entry, name }))
  return `${entry.name} ${how} to ${name} of ${own.name}`
}

async function copyWhole(
  entry: FileEntry,
  name: string,
  { world, client, tree, own }: Visit & { readonly own: SimulatedTree },
): Promise<void> {
  const from = await client.openerOf([], [tree]).open(client.capOf(tree), { label: tree.name })
  const copied = await withOwnChunks(from.io, entry)
  if (copied.kind === "file") world.foreign.add(foreignKey(copied)) // known before the commit
  await copy(from.item(copied), { files: await client.files(own), path: [name] })
}

/** The first items of many. */
async function* first<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T, void, void> {
  let told = 0
  for await (const item of items) {
    if (++told > count) return
    yield item
  }
}

/** Everything below its root, as far as that is told: names come once and in order, and none is below what no key opens. */
async function walked(tree: Tree, { world, client }: Visit, most = mostTold) {
  const files: FileEntry[] = []
  let [entries, before] = [0, ""]
  let error: unknown
  try {
    for await (const { path, entry } of walk(tree.io, await tree.root())) {
      if (path.length === 1) {
        if (before !== "" && compareNames(before, entry.name) >= 0)
          world.fail("names come once and in order", `${client.id} is shown ${entry.name} after ${before}`)
        before = entry.name
      } else if (isStolen(path[0]!))
        world.fail("nothing is read by a wrong key", `${client.id} is told what is in ${path[0]}`)
      if (entry.kind === "file" && files.length < mostFiles) files.push(entry)
      if (++entries >= most) break
    }
  } catch (thrown) {
    error = thrown
  }
  if (entries >= mostTold) endless(world, client)
  return { files, entries, error }
}

async function counted({ world, client }: Visit, items: AsyncIterable<unknown>): Promise<string> {
  let count = 0
  for await (const _ of items)
    if (++count > mostTold) {
      endless(world, client)
      break
    }
  return `${count} told`
}

function endless(world: World, client: SimulatedClient): void {
  world.fail(
    "what a hostile tree holds is told in bounds",
    `${client.id} was told ${mostTold} of it, and there was more`,
  )
}

/** The code of the error that reading ended with, if it did. */
async function readOne(tree: Tree, entry: FileEntry, { world, client }: Visit): Promise<string | undefined> {
  try {
    for await (const piece of readFile(tree.io, entry, { end: foreignBytes }))
      if (piece.length > 0 && isStolen(entry.name))
        world.fail("nothing is read by a wrong key", `${client.id} read ${piece.length} bytes of ${entry.name}`)
    return undefined
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return error.code
  }
}
