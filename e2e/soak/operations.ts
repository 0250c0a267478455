/** What a worker does in a folder of its own: files, folders, copies, moves, snapshots, mutable files. */
import { createCipheriv } from "node:crypto"
import * as fs from "node:fs"
import { pick, type Random } from "../random.ts"
import {
  type Content,
  contentOf,
  differenceOf,
  type Folder,
  filesOf,
  type Item,
  withItem,
  withoutItem,
} from "./folder.ts"
import { mostTries, type Worker } from "./worker.ts"

/** So many names a folder has at most. */
const mostItems = 10

/** Bytes that compress and repeat in nothing, of the sizes that are stored differently: inline, in a pack, alone, in several chunks. */
export function makeBytes(random: Random): Buffer {
  const sizeBytes = pick(random, [random(4_000), random(60_000), random(60_000), random(400_000), random(1_500_000)])
  const size = random(40) === 0 ? 4_200_000 + random(5_000_000) : 1 + sizeBytes
  const key = Buffer.alloc(16)
  for (let i = 0; i < 16; i += 4) key.writeInt32BE(random(2 ** 31 - 1), i)
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

/** Does one thing in one of the worker's folders. */
export async function workInFolder(worker: Worker): Promise<void> {
  const { random } = worker
  const folder = pick(random, worker.folders)
  const isFull = folder.items.size >= mostItems
  const kinds = isFull ? [remove, remove, move, overwrite] : weighted
  await pick(random, kinds)(worker, folder)
}

type Operation = (worker: Worker, folder: Folder) => Promise<void>

const weighted: readonly Operation[] = [
  ...[putFile, putFile, putFile, putFile, putFolder, putFolder, overwrite, overwrite, overwrite],
  ...[remove, remove, move, move, copy, copy, makeSnapshot, removeSnapshot, readSnapshot, writeNote, look],
]

async function putFile(worker: Worker, folder: Folder): Promise<void> {
  const name = worker.nextName("f")
  const bytes = makeBytes(worker.random)
  await store(worker, folder, "put", name, bytes)
}

async function store(worker: Worker, folder: Folder, kind: string, name: string, bytes: Uint8Array): Promise<void> {
  const after = withItem(folder.items, name, { kind: "file", files: new Map([["", contentOf(bytes)]]) })
  worker.history.add("bytes put", bytes.length)
  await worker.change(folder, { kind, args: ["put", "-", worker.at(folder, name)], input: bytes, after })
}

async function putFolder(worker: Worker, folder: Folder): Promise<void> {
  const name = worker.nextName("d")
  const { local, files } = makeFolder(worker)
  const after = withItem(folder.items, name, { kind: "directory", files })
  const args = ["put", local, worker.at(folder, name)]
  await worker.change(folder, { kind: "put folder", args, after, isGradual: true })
  fs.rmSync(local, { recursive: true })
}

/** A local folder of a few files. */
export function makeFolder(worker: Worker): { local: string; files: Map<string, Content> } {
  const { random } = worker
  const local = worker.device.nextFolder()
  const files = new Map<string, Content>()
  fs.mkdirSync(`${local}/sub`, { recursive: true })
  for (let i = 0; i < 2 + random(6); i++) {
    const bytes = makeBytes(random)
    const path = random(3) === 0 ? `sub/x${i}` : `x${i}`
    fs.writeFileSync(`${local}/${path}`, bytes)
    files.set(path, contentOf(bytes))
    worker.history.add("bytes put", bytes.length)
  }
  return { local, files }
}

async function overwrite(worker: Worker, folder: Folder): Promise<void> {
  const name = choose(worker, folder, ({ kind }) => kind === "file")
  if (name !== undefined) await store(worker, folder, "overwrite", name, makeBytes(worker.random))
}

async function remove(worker: Worker, folder: Folder): Promise<void> {
  const name = choose(worker, folder)
  if (name === undefined) return
  await worker.change(folder, {
    ...{ kind: "rm", args: ["rm", "-rf", worker.at(folder, name)] },
    after: withoutItem(folder.items, name),
  })
}

async function move(worker: Worker, folder: Folder): Promise<void> {
  const name = choose(worker, folder)
  if (name === undefined) return
  const to = worker.nextName("m")
  const args = ["mv", worker.at(folder, name), worker.at(folder, to)]
  const after = withItem(withoutItem(folder.items, name), to, folder.items.get(name)!)
  await worker.change(folder, { kind: "mv", args, after })
}

/** Within a tree, or to another tree of the same volume. */
async function copy(worker: Worker, folder: Folder): Promise<void> {
  const name = choose(worker, folder, ({ kind }) => kind !== "link")
  if (name === undefined) return
  const item = folder.items.get(name)!
  const same = worker.folders.filter(({ tree }) => tree.volume === folder.tree.volume)
  const target = pick(worker.random, same)
  const to = worker.nextName("c")
  const args = ["cp", worker.at(folder, name), worker.at(target, to)]
  await worker.change(target, { kind: "cp", args, after: withItem(target.items, to, item) })
}

async function makeSnapshot(worker: Worker, folder: Folder): Promise<void> {
  const name = `${worker.name}-${worker.nextName("s")}`
  const tree = worker.at(folder).replace(/:.*/, ":")
  const outcome = await worker.device.call(["snapshot", "create", tree, name], { kind: "snapshot create" })
  if (outcome.isDone) worker.snapshots.push({ folder, name, items: folder.items })
}

async function removeSnapshot(worker: Worker): Promise<void> {
  if (worker.snapshots.length < 4) return
  const [snapshot] = worker.snapshots.splice(worker.random(worker.snapshots.length), 1)
  await dropSnapshot(worker, snapshot!)
}

/** Gives a snapshot up; it may be gone already when an answer was lost. */
export async function dropSnapshot(worker: Worker, { folder, name }: Worker["snapshots"][0]): Promise<void> {
  const args = ["snapshot", "remove", worker.at(folder).replace(/:.*/, ":"), name]
  await worker.device.call(args, { kind: "snapshot remove", allowed: ["ERR_NOT_FOUND"] })
}

async function readSnapshot(worker: Worker): Promise<void> {
  if (worker.snapshots.length === 0) return
  await verifySnapshot(worker, worker.device, pick(worker.random, worker.snapshots))
}

/** Reads a snapshot of a worker's folder on a device of the same person. */
export async function verifySnapshot(worker: Worker, device: Worker["device"], snapshot: Worker["snapshots"][0]) {
  const { folder, name, items } = snapshot
  const place = `${folder.tree.names[device.person]}:${folder.path}@${name}`
  const found = await worker.fetch(device, place)
  const difference = differenceOf(filesOf(items), found)
  worker.history.add("snapshots read", 1)
  if (difference !== undefined) worker.history.fail(`${device.name}: snapshot ${place}: ${difference}`)
}

/** Overwrites a mutable file; until that is acknowledged it may have the old content or the new. */
async function writeNote(worker: Worker): Promise<void> {
  const note = pick(worker.random, worker.notes)
  const bytes = makeBytes(worker.random)
  const content = contentOf(bytes)
  for (let tries = 0; ; tries++) {
    const outcome = await worker.device.call(["put", "-", `${note.alias}:`], { kind: "put mutable file", input: bytes })
    if (outcome.isDone) break
    if (tries === mostTries) throw new Error(`${worker.name}: ${note.alias}: could not be written in ${tries} tries`)
    const found = (await worker.fetch(worker.device, `${note.alias}:`)).get("")
    if (found && [note.content.sha256, content.sha256].includes(found.sha256)) continue
    return worker.history.fail(`${worker.name}: ${note.alias}: is neither as before nor as written`)
  }
  note.content = content
}

async function look(worker: Worker, folder: Folder): Promise<void> {
  const args = pick(worker.random, [["ls", "-l"], ["du"], ["tree"], ["history", "list"], ["check", "--deep"]])
  const isHistory = args[0] === "history"
  const where = isHistory ? worker.at(folder).replace(/:.*/, ":") : worker.at(folder)
  await worker.device.call([...args, where], { allowedCode: 5 }) // damaged: nodes that are away have no shares
}

function choose(worker: Worker, { items, frozen }: Folder, fits: (item: Item) => boolean = () => true) {
  const names = [...items].filter(([name, item]) => !frozen.has(name) && fits(item)).map(([name]) => name)
  return names.length > 0 ? pick(worker.random, names) : undefined
}
