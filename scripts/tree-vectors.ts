/** Vectors of directories and file manifests of several nodes, and of those that only a malicious writer makes. */
import { createHash } from "node:crypto"
import { encodeCbor, toHex } from "@holdfast/core"
import {
  encodeDirectoryNode,
  encodeManifestNode,
  type FileEntry,
  type ManifestItem,
  plainAttributes,
  type Reference,
} from "@holdfast/tree"

/** A node below another: what its item says, and what it is. */
interface Part {
  readonly name: string
  readonly count: number
  readonly reference: Reference
}

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest())
const error = "ERR_BAD_FORMAT"

/** All vectors. */
export async function treeVectors() {
  return {
    good: [...goodDirectories(), ...goodFiles()],
    bad: [...badDirectories(), ...badFiles()].map((vector) => ({ ...vector, error })),
  }
}

/** Files of which parts were changed, with the bytes that they have. */
export async function patchedVectors() {
  const parts = (name: string, content: string, make: (at: Maker) => ManifestItem[]) => ({
    ...fileOf(name, content.length / 2, (at) => at.manifest(0, ...make(at)).reference),
    content,
  })
  const nine = (at: Maker) => at.piece(9) // 01 nine times
  const good = [
    parts("something new within a piece", "0101010202020101", (at) => {
      const piece = nine(at)
      return [at.part(piece, 0, 3), at.piece(3), at.part(piece, 7, 9)]
    }),
    parts("a hole within a piece", "01010000000001", (at) => {
      const piece = nine(at)
      return [at.part(piece, 0, 2), at.hole(4), at.part(piece, 8, 9)]
    }),
    parts("the beginning of a piece, in two parts", "01010101", (at) => {
      const piece = nine(at)
      return [at.part(piece, 0, 1), at.part(piece, 1, 4)]
    }),
  ]
  return { good, bad: [] }
}

function goodDirectories() {
  return [
    directory("one leaf", (at) => at.leaf("a", "b").reference),
    directory("two leaves", (at) => at.node(1, at.leaf("a", "b"), at.leaf("c")).reference),
    directory(
      "names in the order of their bytes, not of UTF-16",
      (at) => at.node(1, at.leaf("z", "\uffee"), at.leaf("\u{1f600}")).reference,
    ),
    directory(
      "three levels",
      (at) => at.node(2, at.node(1, at.leaf("a"), at.leaf("b", "c")), at.node(1, at.leaf("d"), at.leaf("e"))).reference,
    ),
  ]
}

function badDirectories() {
  const two = (name: string, make: (at: Maker) => readonly Part[]) =>
    directory(name, (at) => at.node(1, ...make(at)).reference)
  return [
    directory("a leaf with a name twice", (at) => at.leaf("a", "a").reference),
    directory("a leaf out of order", (at) => at.leaf("b", "a").reference),
    two("leaves that overlap in a name", (at) => [at.leaf("a", "install.sh"), at.leaf("b", "install.sh")]),
    two("leaves that overlap without a name in common", (at) => [at.leaf("a", "c"), at.leaf("b", "d")]),
    two("a leaf that ends with the first name of the next", (at) => [at.leaf("a", "b"), at.leaf("b")]),
    directory(
      "a leaf beyond the next node one level up",
      (at) => at.node(2, at.node(1, at.leaf("a"), at.leaf("b", "x")), at.node(1, at.leaf("k"), at.leaf("m"))).reference,
    ),
    directory("a leaf beyond the next node two levels up", (at) => {
      const first = at.node(2, at.node(1, at.leaf("a"), at.leaf("b")), at.node(1, at.leaf("c"), at.leaf("d", "x")))
      return at.node(3, first, at.node(2, at.node(1, at.leaf("k"), at.leaf("l")), at.node(1, at.leaf("m")))).reference
    }),
    two("items with equal names", (at) => [at.leaf("a"), at.leaf("a")]),
    two("one leaf twice", (at) => {
      const leaf = at.leaf("a")
      return [leaf, { ...leaf, name: "b" }]
    }),
    two("items out of order", (at) => [at.leaf("b"), at.leaf("a")]),
    two("a first name below that of its item", (at) => [at.leaf("a"), { ...at.leaf("b", "d"), name: "c" }]),
    two("a first name above that of its item", (at) => [at.leaf("a"), { ...at.leaf("c"), name: "b" }]),
    two("more entries than its item says", (at) => [{ ...at.leaf("a", "b"), count: 1 }, at.leaf("c")]),
    two("fewer entries than its item says", (at) => [at.leaf("a"), { ...at.leaf("b"), count: 2 }]),
    two("an item without entries", (at) => [at.leaf("a"), { ...at.leaf("b"), count: 0 }]),
    two("more entries than can be", (at) =>
      [at.leaf("a"), at.leaf("b")].map((part) => ({ ...part, count: Number.MAX_SAFE_INTEGER })),
    ),
    directory("a wrong sum of entries one level up", (at) => {
      const inner = at.node(1, at.leaf("a"), at.leaf("b"))
      return at.node(2, { ...inner, count: 3 }, at.node(1, at.leaf("c"), at.leaf("d"))).reference
    }),
    directory("a leaf where a node of level 1 belongs", (at) => at.node(2, at.leaf("a"), at.leaf("b")).reference),
    directory(
      "a node of level 1 where a leaf belongs",
      (at) => at.node(1, at.leaf("a"), at.node(1, at.leaf("b"), at.leaf("c"))).reference,
    ),
  ]
}

function goodFiles() {
  const pieces = (at: Maker) => [at.piece(3), at.hole(5), at.piece(2)]
  return [
    fileOf("pieces and a hole", 10, (at) => at.manifest(0, ...pieces(at)).reference),
    fileOf(
      "a manifest of two levels",
      14,
      (at) => at.manifest(1, at.manifest(0, ...pieces(at)), at.manifest(0, at.hole(4))).reference,
    ),
  ]
}

function badFiles() {
  const both = (name: string, make: (at: Maker) => ManifestItem[]) =>
    fileOf(name, 10, (at) => at.manifest(1, ...make(at)).reference)
  return [
    fileOf("shorter than the file", 10, (at) => at.manifest(0, at.piece(9)).reference),
    fileOf("longer than the file", 10, (at) => at.manifest(0, at.piece(9), at.hole(2)).reference),
    fileOf("a piece of two lengths", 10, (at) => at.manifest(0, { ...at.piece(9), length: 10 }).reference),
    fileOf("a piece of no length", 10, (at) => at.manifest(0, at.piece(10), at.hole(0)).reference),
    both("a node shorter than its item says", (at) => [at.named(6, at.piece(5)), at.named(4, at.piece(4))]),
    both("a node longer than its item says", (at) => [at.named(6, at.piece(5), at.hole(2)), at.named(4, at.piece(4))]),
    both("nodes that make up for each other", (at) => [at.named(6, at.piece(5)), at.named(4, at.piece(5))]),
    both("a node that is left out", (at) => [at.named(10, at.piece(6)), at.hole(0)]),
    both("a node of nothing", (at) => [at.named(6, at.piece(6)), at.hole(4)]),
    both("a node of another level", (at) => [at.named(6, at.piece(6)), at.manifest(1, at.manifest(0, at.piece(4)))]),
    both("lengths beyond what can be", (at) => {
      const node = at.manifest(0, at.hole(Number.MAX_SAFE_INTEGER))
      return [node, node]
    }),
  ]
}

const directory = (name: string, make: (at: Maker) => Reference) => vectorOf("directory", name, make)
const fileOf = (name: string, size: number, make: (at: Maker) => Reference) => ({
  ...vectorOf("file", name, make),
  size,
})

function vectorOf(kind: "directory" | "file", name: string, make: (at: Maker) => Reference) {
  const maker = new Maker()
  const { chunk, offset, length } = make(maker)
  const root = toHex(encodeCbor([chunk.id, chunk.key, offset, length]))
  return { name, kind, root, names: [...maker.names], chunks: maker.chunks }
}

/** Makes the nodes of one vector, each in a chunk of its own. */
class Maker {
  readonly chunks: { readonly id: string; readonly key: string; readonly plaintext: string }[] = []
  /** All names in leaves. */
  readonly names = new Set<string>()
  #pieces = 0

  leaf(...names: [string, ...string[]]): Part {
    for (const name of names) this.names.add(name)
    const reference = this.#put(encodeDirectoryNode(0, names.map(fileNamed)))
    return { name: names[0], count: names.length, reference }
  }

  node(level: number, ...parts: readonly Part[]): Part {
    const reference = this.#put(encodeDirectoryNode(level, parts))
    return { name: parts[0]!.name, count: parts.reduce((sum, { count }) => sum + count, 0), reference }
  }

  piece(length: number): ManifestItem {
    return { length, reference: this.#put(new Uint8Array(length).fill(++this.#pieces)) }
  }

  /** What a patch leaves of a piece. */
  part({ reference }: ManifestItem, start: number, end: number): ManifestItem {
    const { chunk, offset } = reference!
    return { length: end - start, reference: { chunk, offset: offset + start, length: end - start } }
  }

  hole(length: number): ManifestItem {
    return { length, reference: null }
  }

  manifest(level: number, ...items: readonly ManifestItem[]): ManifestItem & { readonly reference: Reference } {
    const length = items.reduce((sum, item) => sum + item.length, 0)
    return { length, reference: this.#put(encodeManifestNode(level, items)) }
  }

  /** A leaf of a manifest under an item that says it has `length` bytes. */
  named(length: number, ...items: readonly ManifestItem[]): ManifestItem {
    return { ...this.manifest(0, ...items), length }
  }

  #put(bytes: Uint8Array): Reference {
    const key = sha256(bytes)
    const id = sha256(key)
    this.chunks.push({ id: toHex(id), key: toHex(key), plaintext: toHex(bytes) })
    return { chunk: { id, key }, offset: 0, length: bytes.length }
  }
}

function fileNamed(name: string): FileEntry {
  const bytes = new Uint8Array([1])
  const content = { form: "inline", size: 1, bytes } as const
  return { ...plainAttributes(0o644, 0), name, kind: "file", size: 1, content }
}
