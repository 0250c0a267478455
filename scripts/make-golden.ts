/**
 * Makes the golden volume of the present formats, once: a small tree with each kind of entry over five servers, coded
 * 3 of 5, with what must come out when it is read. Three servers are share files and register values, two are the objects of
 * buckets. It refuses to overwrite one. Those of earlier formats were made by earlier versions of this script.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { createMemoryPlace } from "@holdfast/backends"
import { createObjectBackend, encodeMarker, markerKey, newMarker } from "@holdfast/backends/s3/objects"
import { concat, type Env, fromHex, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountAccess,
  accountKeysOf,
  accountRoles,
  type Backend,
  encodeCap,
  registerIdOf,
  shareName,
  toReadCap,
  toVerifyCap,
} from "@holdfast/protocol"
import { createMemorySeen, createStore, type Device, type RegisterKeys, type Store } from "@holdfast/store"
import {
  type Attributes,
  createFileWriter,
  createMutableFile,
  createTree,
  decodeCare,
  decodeManifestNode,
  type Entry,
  encodeCare,
  encodeManifestNode,
  type FileContent,
  type ManifestItem,
  mutableFileName,
  readFile,
  sealJunction,
  type Tree,
  walk,
} from "@holdfast/tree"
import { MemoryBucket } from "../packages/backends/test/memory-bucket.ts"

const folder = join(dirname(import.meta.dirname), "interop", "golden", "v2")
const timeMs = Date.UTC(2026, 0, 2, 3, 4, 5)
const env: Env = { crypto, clock: { nowMs: () => timeMs, sleep: async () => undefined } }
const seedOf = (name: string) => hashSmall("golden", utf8(name))
const volumeId = "0123456789abcdef0123456789abcdef"
/** More versions than any value names of those before it. */
const manyVersions = 24

/** What a reader must find at a path. */
interface Expected {
  readonly path: string
  readonly kind: Entry["kind"]
  readonly mode: number
  readonly mtimeNs: string
  readonly size: number
  readonly sha256?: string
  readonly target?: string
}

function bytesOf(name: string, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => hashSmall("golden", utf8(`${name} ${i}`)))
  return concat(...blocks).subarray(0, length)
}

function attributes(mode: number, second = 0): Attributes {
  const mtimeNs = BigInt(timeMs) * 1_000_000n + BigInt(second) * 1_000_000_000n + 123_456_789n
  return { mode, uid: 1000, gid: 100, mtimeNs, ctimeNs: mtimeNs, xattrs: null }
}

function fileEntry(name: string, content: FileContent, own = attributes(0o644)): Entry {
  return { ...own, name, kind: "file", size: content.size, content }
}

/** A file of many small pieces and a hole, under a manifest of two levels. */
async function longManifest(tree: Tree): Promise<{ content: FileContent; bytes: Uint8Array }> {
  const { io } = tree
  const bytes = bytesOf("pieces", 900)
  const first = await io.chunks.putChunk(bytes.slice(0, 500))
  const second = await io.chunks.putChunk(bytes.slice(500))
  const piece = (chunk: typeof first, offset: number, length: number): ManifestItem => ({
    length,
    reference: { chunk, offset, length },
  })
  const pack = io.newPack()
  const left = [piece(first, 0, 100), piece(first, 100, 400)]
  const right = [{ length: 5000, reference: null }, piece(second, 0, 400)]
  const leftNode = await pack.write((holder) => encodeManifestNode(0, left, holder), decodeManifestNode)
  const rightNode = await pack.write((holder) => encodeManifestNode(0, right, holder), decodeManifestNode)
  const nodes = [
    { length: 500, reference: leftNode },
    { length: 5400, reference: rightNode },
  ]
  const reference = await pack.write((holder) => encodeManifestNode(1, nodes, holder), decodeManifestNode)
  await pack.seal()
  return {
    content: { form: "manifest", size: 5900, reference },
    bytes: concat(bytes.subarray(0, 500), new Uint8Array(5000), bytes.subarray(500)),
  }
}

async function fill(tree: Tree, junctions: readonly Entry[]): Promise<void> {
  const writer = createFileWriter(tree.io)
  const files: [path: string[], bytes: Uint8Array, own: Attributes][] = [
    [["empty"], new Uint8Array(), attributes(0o600)],
    [["inline.txt"], utf8("Hello, Holdfast.\n"), attributes(0o640, 1)],
    [["packed.bin"], bytesOf("packed", 5000), attributes(0o644, 2)],
    [["blocks.bin"], bytesOf("blocks", 400_000), attributes(0o644, 13)],
    [["run.sh"], utf8("#!/bin/sh\necho run\n"), attributes(0o755, 3)],
    [["sparse"], concat(new Uint8Array(8 * 1024 * 1024), bytesOf("tail", 100)), attributes(0o644, 4)],
    [["deep", "er", "still", "Ünïcödé 漢字 🜁"], bytesOf("deep", 700), attributes(0o444, 5)],
  ]
  const contents = files.map(([, bytes]) => writer.add(bytes.slice()))
  await writer.flush()
  const long = await longManifest(tree)
  await tree.commit(async (session) => {
    await session.mkdir(["deep", "er", "still"], attributes(0o750, 6), { parents: true })
    await session.mkdir(["hollow"], attributes(0o700, 7))
    await session.mkdir(["many"], attributes(0o755, 8))
    for (const [i, [path, , own]] of files.entries())
      session.set(path, fileEntry(path.at(-1)!, await contents[i]!, own))
    session.set(["pieces"], fileEntry("pieces", long.content))
    session.set(["link"], { ...attributes(0o777, 9), name: "link", kind: "symlink", size: 10, target: "inline.txt" })
    for (const junction of junctions) session.set([junction.name], junction)
  })
  await tree.commit(async (session) => {
    for (let i = 0; i < 600; i++) {
      const bytes = utf8(`${i}\n`)
      session.set(["many", `entry-${i}`], fileEntry(`entry-${i}`, { form: "inline", size: bytes.length, bytes }))
    }
  })
  await tree.snapshots.create("before")
  await tree.commit(async (session) => session.remove(["empty"]))
  await tree.commit(async (session) =>
    session.set(["late"], fileEntry("late", { form: "inline", size: 2, bytes: utf8("2\n") })),
  )
}

async function expectedOf(tree: Tree): Promise<Expected[]> {
  const expected: Expected[] = []
  for await (const { path, entry } of walk(tree.io, await tree.root())) {
    const { kind, mode, mtimeNs, size } = entry
    const line = { path: path.join("/"), kind, mode, mtimeNs: String(mtimeNs), size }
    if (entry.kind === "symlink") expected.push({ ...line, target: entry.target })
    else if (entry.kind !== "file") expected.push(line)
    else {
      const parts: Uint8Array[] = []
      for await (const part of readFile(tree.io, entry.content)) parts.push(part)
      expected.push({ ...line, sha256: toHex(await crypto.sha256(...parts)) })
    }
  }
  return expected
}

async function exportTo(backend: Backend, publicKeys: readonly Uint8Array[]): Promise<void> {
  const place = join(folder, backend.id)
  mkdirSync(place, { recursive: true })
  const listed = await backend.listMarks({ limit: 4096 })
  const shares = await backend.getShares(listed)
  for (const [i, { id, index }] of listed.entries())
    writeFileSync(join(place, `${shareName(id, index)}.share`), shares[i]!)
  const ids = publicKeys.map(registerIdOf)
  for (const [i, value] of (await backend.readRegisters(ids)).entries())
    if (value) writeFileSync(join(place, `${toHex(ids[i]!)}.register`), value)
}

/** Three servers in memory and two buckets, as one account uses them. */
function places(access: AccountAccess): { backends: Backend[]; buckets: ReadonlyMap<string, MemoryBucket> } {
  const buckets = new Map([3, 4].map((i) => [`server-${i}`, new MemoryBucket()]))
  const marker = encodeMarker(newMarker(volumeId))
  for (const bucket of buckets.values()) bucket.objects.set(markerKey, { bytes: marker, modifiedMs: bucket.nowMs })
  const inMemory = [0, 1, 2].map((i) =>
    createMemoryPlace(`server-${i}`, crypto, { nowMs: env.clock.nowMs }).backendOf(access),
  )
  const asBuckets = [...buckets].map(([id, bucket]) =>
    createObjectBackend(bucket.connect(), { id, crypto, access, conditionalWrites: true }),
  )
  return { backends: [...inMemory, ...asBuckets], buckets }
}

function exportBucket(id: string, { objects }: MemoryBucket): void {
  for (const [key, { bytes }] of objects) {
    const path = join(folder, id, ...key.split("/"))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
  }
}

async function makeGolden(): Promise<void> {
  const { id: account } = await accountKeysOf(crypto, seedOf("account"))
  const { backends, buckets } = places({ account, roles: accountRoles })
  const deviceSeed = seedOf("device")
  const device: Device = {
    ...{ device: await crypto.publicKeyOf(deviceSeed), account, name: "laptop/golden" },
    sign: (message) => crypto.sign(deviceSeed, message),
  }
  const store = await createStore({
    env,
    account,
    device: async () => device,
    ownerOf: async (register) => crypto.publicKeyOf(seedOf(`owner of ${register}`)),
    servers: backends.map((backend) => ({ backend, weight: 1 })),
    coding: { k: 3, happy: 5, n: 5 },
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  const open = async (name: string, kind: "dw" | "fw" = "dw") => {
    const seed = seedOf(name)
    const read = await toReadCap(crypto, { kind, seed })
    const keys = { publicKey: read.publicKey, readKey: read.readKey, seed }
    const create = kind === "fw" ? createMutableFile : createTree
    return { seed, read, tree: await create({ chunks: store.chunks, registers: store.registers, env, keys }) }
  }
  const other = await open("other tree")
  const inside = utf8("in another tree\n")
  await other.tree.commit(async (session) =>
    session.set(["inside"], fileEntry("inside", { form: "inline", size: inside.length, bytes: inside })),
  )
  const main = await open("tree")
  const file = await open("mutable file", "fw")
  const text = utf8("in a mutable file\n")
  const before = Array.from({ length: manyVersions }, (_, i) => utf8(`before ${i}`))
  for (const bytes of [...before, text])
    await file.tree.commit(async (session) =>
      session.set(
        [mutableFileName],
        fileEntry(mutableFileName, { form: "inline", size: bytes.length, bytes }, attributes(0o660, 11)),
      ),
    )
  const sealed = await sealJunction(crypto, main.seed, { kind: "dw", seed: other.seed })
  const sealedFile = await sealJunction(crypto, main.seed, { kind: "fw", seed: file.seed })
  await fill(main.tree, [
    { ...attributes(0o755, 10), name: "other", kind: "junction", size: 0, ...sealed },
    { ...attributes(0o755, 12), name: "mutable", kind: "junction", size: 0, ...sealedFile },
  ])
  await keepListInSegment(store, { ...main.read, seed: main.seed })
  for (const backend of backends) {
    const bucket = buckets.get(backend.id)
    if (bucket) exportBucket(backend.id, bucket)
    else await exportTo(backend, [main.read.publicKey, other.read.publicKey, file.read.publicKey])
  }
  const nested = (await expectedOf(other.tree)).map((line) => ({ ...line, path: `other/${line.path}` }))
  const linked = (await expectedOf(file.tree)).map((line) => ({ ...line, path: "mutable" }))
  const own = (await expectedOf(main.tree)).filter(({ path }) => path !== "mutable")
  writeFileSync(join(folder, "read-capability"), `${encodeCap(main.read)}\n`)
  writeFileSync(join(folder, "file-read-capability"), `${encodeCap(file.read)}\n`)
  writeFileSync(join(folder, "verify-capability"), `${encodeCap(await toVerifyCap(crypto, main.read))}\n`)
  writeFileSync(join(folder, "expected.json"), `${JSON.stringify([...own, ...nested, ...linked])}\n`)
  await store.close()
}

/** Moves most of the care list into a segment, which writers do for longer lists only. */
async function keepListInSegment({ chunks, registers }: Store, keys: RegisterKeys): Promise<void> {
  const { sequence, content, care } = (await registers.read(keys))!
  const { inline, accounts } = decodeCare(care)
  const cut = inline.length - 64
  const ids = Array.from({ length: cut / 32 }, (_, i) => toHex(inline.subarray(32 * i, 32 * i + 32)))
  const { id, key } = await chunks.putChunk(fromHex(ids.sort().join("")))
  const segments = [{ chunk: { id, key }, offset: 0, length: cut }]
  await registers.write(keys, sequence, {
    content,
    care: encodeCare({ inline: inline.slice(cut), segments, accounts }),
  })
}

if (existsSync(folder)) console.log(`Frozen, and left as they are: ${readdirSync(dirname(folder)).join(", ")}.`)
else await makeGolden()
