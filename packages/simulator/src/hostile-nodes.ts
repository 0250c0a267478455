/**
 * Trees that no writer of ours would make: bytes as a malicious writer chooses them, by hand and past our encoders. Each kind is one
 * way to have readers run in circles, read out of turn, take memory, or ask for what is not theirs.
 */
import { type CborValue, encodeCbor, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { ChunkRef } from "@holdfast/store"
import { encodeCare, type FileEntry, type Reference } from "@holdfast/tree"
import { keyOf } from "./model.ts"
import type { Random } from "./random.ts"

/** What crafted trees are made with. */
export interface CraftParts {
  readonly random: Random
  /** Stores bytes as a chunk. */
  readonly put: (bytes: Uint8Array) => Promise<Reference>
  /** Where things of others lie, as far as their ids are known, with keys that do not open them. */
  readonly others: readonly Reference[]
  /** Roots of this tree's past. */
  readonly past: readonly Reference[]
}

/** A version: content and care of its register's value, as they are signed. */
export interface Crafted {
  readonly kind: string
  readonly content: Uint8Array
  readonly care: Uint8Array
  readonly root: Reference | null
}

/** Mode, owners, times, as no reader cares for them. */
const plain = [0o644, 0, 0, 0, 0] as const
const huge = Number.MAX_SAFE_INTEGER

/** What identifies a file's content with the key that it is said to have. */
export function foreignKey({ content }: FileEntry): string {
  return content.form === "inline" ? keyOf(content) : `${keyOf(content)} ${toHex(content.reference.chunk.key)}`
}

/** What a writer tries more often, since more comes of it. */
const usual = ["nothing out of the way", "things of others"]

/** True for the name of what lies in a chunk of others, named by a key that does not open it. */
export function isStolen(name: string): boolean {
  return name.startsWith("stolen")
}

/** A version of some kind. */
export async function craft(parts: CraftParts): Promise<Crafted> {
  const { random, others, past } = parts
  const kind = random.chance(0.35) ? random.pick(usual) : random.pick(Object.keys(roots))
  const root = await roots[kind]!(parts)
  const other = () => random.pick([null, root, ...past, ...others])
  const isOdd = random.chance(0.3)
  const history = isOdd ? Array.from({ length: 16 }, (_, i) => [huge - i, huge, reference(other())]) : []
  const snapshots = isOdd ? reference(other()) : null
  const content = encodeCbor([1, 1, reference(root), 0, history, snapshots])
  const care = careOf(parts, root)
  if (random.chance(0.05)) return { kind: "noise", content: random.bytes(random.between(0, 500)), care, root: null }
  return { kind: isOdd ? `${kind}, with a history of its own` : kind, content, care, root }
}

/** The bytes of a care list: what is needed, nothing, or lies. */
function careOf({ random, others }: CraftParts, root: Reference | null): Uint8Array {
  const own = root ? [root.chunk.id] : []
  const ids = (count: number) => Array.from({ length: count }, () => random.bytes(32))
  const list = (inline: readonly ChunkId[], segments: readonly Reference[], accounts: readonly Uint8Array[]) =>
    encodeCare({ inline: joined(inline), segments, accounts: [...accounts].sort(Buffer.compare) })
  const lies = {
    right: () => list(own, [], []),
    empty: () => list([], [], []),
    absent: () => list(ids(60), [], []),
    crowd: () => list(own, [], ids(64)),
    foreign: () =>
      list(
        others.slice(0, 64).map(({ chunk }) => chunk.id),
        [],
        [],
      ),
    segments: () =>
      list(
        own,
        others.slice(0, 180).map((at) => ({ ...at, offset: 0, length: 32 * 100 })),
        [],
      ),
    lost: () => list(own, [{ chunk: unknown(random), offset: 0, length: 4 * 1024 * 1024 }], ids(3)),
    noise: () => random.bytes(200),
  }
  return lies[
    random.weighted({ right: 4, empty: 2, absent: 1, crowd: 2, foreign: 1, segments: 1, lost: 1, noise: 0.5 })
  ]()
}

const roots: Record<string, (parts: CraftParts) => Promise<Reference | null>> = {
  "nothing out of the way": async ({ random, put }) => {
    const files = await Promise.all([1, 2].map(async () => put(random.bytes(random.between(700, 9000)))))
    return put(leaf([...files.map((at, i) => file(`good${i}`, at)), inline("note", random.bytes(40))]))
  },
  // Two to the sixtieth of paths, through sixty nodes.
  ladder: (parts) => tower(parts, 60, ["a", "b"]),
  "deep chain": (parts) => tower(parts, 400, ["d"]),
  "wide again and again": (parts) =>
    tower(
      parts,
      5,
      Array.from({ length: 300 }, (_, i) => `w${i + 1000}`),
    ),
  "names out of order": ({ random, put }) => put(leaf([inline("b", random.bytes(9)), inline("a", random.bytes(9))])),
  "one name twice": ({ random, put }) => put(leaf([inline("a", random.bytes(9)), inline("a", random.bytes(9))])),
  "names that are none": ({ random, put }) =>
    put(leaf([inline(random.pick(["..", ".", "", "a/b", "\0", "x".repeat(300)]), random.bytes(9))])),
  "leaves that overlap": async ({ random, put }) => {
    const of = (...names: string[]) => put(leaf(names.map((name) => inline(name, random.bytes(8)))))
    const [first, second] = [await of("a", "install.sh"), await of("b", "install.sh")]
    return put(node(1, [child("a", first, 2), child("b", second, 2)]))
  },
  "leaves out of order": async ({ random, put }) => {
    const of = (...names: string[]) => put(leaf(names.map((name) => inline(name, random.bytes(8)))))
    return put(node(1, [child("a", await of("x", "y"), 2), child("b", await of("b", "c"), 2)]))
  },
  "counts without end": async ({ random, put }) => {
    const below = await put(leaf([inline("a", random.bytes(9))]))
    return put(node(random.pick([1, 24]), [child("a", below, random.pick([2, huge])), child("b", below, 1)]))
  },
  "levels that do not fall": async ({ random, put }) => {
    let at = await put(leaf([inline("a", random.bytes(9))]))
    for (let i = 0; i < 40; i++) at = await put(node(1, [child("a", at, 1)]))
    return at
  },
  "things of others": async ({ random, put, others }) => {
    if (others.length === 0) return null
    const some = random.some(others, 12)
    return put(leaf(some.flatMap((at, i) => [file(`stolen${i + 10}`, at), directory(`stolen${i + 10}d`, at)])))
  },
  "a thing of others": async ({ random, others }) => (others.length > 0 ? random.pick(others) : null),
  "what is nowhere": async ({ random, put }) => {
    const nowhere = { chunk: unknown(random), offset: 0, length: 4000 }
    return put(leaf([file("absent", nowhere), directory("absentd", nowhere)]))
  },
  "a root that is nowhere": async ({ random }) => ({ chunk: unknown(random), offset: 0, length: 4000 }),
  "files without end": async ({ random, put }) => {
    const hole = await put(node(0, [[2 ** 52, null]]))
    const data = await put(random.bytes(5000))
    let many = await put(
      node(
        0,
        Array.from({ length: 2000 }, () => [data.length, reference(data)]),
      ),
    )
    let size = 2000 * data.length
    for (let level = 1; level <= 2; level++) {
      const below = [size, reference(many)]
      many = await put(
        node(
          level,
          Array.from({ length: 1000 }, () => below),
        ),
      )
      size *= 1000
    }
    return put(leaf([manifest("many", many, size), manifest("wrong", many, huge), manifest("zeros", hole, 2 ** 52)]))
  },
  "files that are not there": async ({ random, put }) => {
    const data = await put(random.bytes(1000))
    const [longer, later] = [
      { ...data, length: 4_000_000 },
      { ...data, offset: 4_000_000, length: 100 },
    ]
    return put(leaf([file("later", later), file("longer", longer), manifest("manifest", data, 1000)]))
  },
  "links to anywhere": async ({ random, put }) => {
    const target = `${"../".repeat(30)}etc/passwd\u001b]0;x\u0007`
    const items = [junction("junction", random.bytes(60)), ["link", 2, ...plain, target.length, null, target]]
    return put(leaf(items))
  },
  noise: ({ random, put }) => put(random.bytes(random.between(1, 3000))),
  "lists in lists": ({ put }) => put(new Uint8Array(200_000).fill(0x81)),
  "a list of millions": async ({ put }) => {
    const bytes = new Uint8Array(1_000_000).fill(0x80)
    bytes.set([0x83, 1, 0, 0x9a, 0, 0x0f, 0x42, 0x30])
    return put(bytes)
  },
}

/** Directories, each of which holds the one below under every name; all in one chunk. */
async function tower({ random, put }: CraftParts, height: number, names: readonly string[]): Promise<Reference> {
  const parts = [leaf([inline("bottom", random.bytes(30))])]
  let offset = 0
  for (let i = 0; i < height; i++) {
    const below = [offset, parts.at(-1)!.length]
    offset += parts.at(-1)!.length
    parts.push(leaf(names.map((name) => [name, 1, ...plain, 0, null, below])))
  }
  const { chunk } = await put(Buffer.concat(parts))
  return { chunk, offset, length: parts.at(-1)!.length }
}

function node(level: number, items: readonly CborValue[]): Uint8Array {
  return encodeCbor([1, level, [...items]])
}

function leaf(items: readonly CborValue[]): Uint8Array {
  return node(0, items)
}

function child(name: string, at: Reference, count: number): CborValue {
  return [name, reference(at), count]
}

function inline(name: string, bytes: Uint8Array): CborValue {
  return [name, 0, ...plain, bytes.length, null, bytes]
}

function file(name: string, at: Reference): CborValue {
  return [name, 0, ...plain, at.length, null, [1, reference(at)]]
}

function manifest(name: string, at: Reference, size: number): CborValue {
  return [name, 0, ...plain, size, null, [2, reference(at)]]
}

function directory(name: string, at: Reference): CborValue {
  return [name, 1, ...plain, 0, null, reference(at)]
}

function junction(name: string, readCap: Uint8Array): CborValue {
  return [name, 3, ...plain, 0, null, [readCap, null]]
}

function reference(at: Reference | null): CborValue {
  return at && [at.chunk.id, at.chunk.key, at.offset, at.length]
}

function unknown(random: Random): ChunkRef {
  return { id: random.bytes(32), key: random.bytes(32) }
}

function joined(ids: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(ids))
}
