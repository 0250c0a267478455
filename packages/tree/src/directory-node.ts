/**
 * Directory nodes: [1, level, items]. Items of level 0 are entries; above they are [first name, reference, entries
 * below]. Where a node ends depends on the names in it, so that equal directories have equal nodes whatever their
 * history was. Specification: docs/formats/tree.md.
 */
import { decodeCbor, encodeCbor, FieldReader, HoldfastError, limits } from "@holdfast/core"
import { decodeEntryFields, type Entry, encodeEntryFields, entryWeight } from "./entry.ts"
import { compareNames, nameBytes, nameHash, nameProblem } from "./name.ts"
import { decodeReference, encodeReference, type OpenPack, type Reference } from "./reference.ts"

/** A node below: the first name in it, and how many entries are in all its leaves. */
export interface ChildNode {
  readonly name: string
  readonly reference: Reference
  readonly count: number
}

/** A node of a directory, decoded. */
export type DirectoryNode =
  | { readonly level: 0; readonly items: readonly Entry[] }
  | { readonly level: number; readonly items: readonly ChildNode[] }

/** What nodes are made of: both have a `name`, by which they are sorted. */
export type NodeItem = Entry | ChildNode

/** Weight at which a node ends on average. */
const targetNodeWeight = 16 * 1024
/** Weight at which a node ends in any case. */
const maxNodeWeight = 48 * 1024
/** Highest level of a node. */
export const maxNodeLevel = 24

/** Encodes a node for `holder`. */
export function encodeDirectoryNode(level: number, items: readonly NodeItem[], holder?: OpenPack): Uint8Array {
  const encoded = items.map((item) =>
    isEntry(item) ? encodeEntryFields(item, holder) : [item.name, encodeReference(item.reference, holder), item.count],
  )
  return encodeCbor([1, level, encoded])
}

/** Decodes the node that lies at `holder`. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT. */
export function decodeDirectoryNode(bytes: Uint8Array, holder: Reference): DirectoryNode {
  const fields = openNode(bytes, "directory node")
  const level = fields.integer(0, maxNodeLevel)
  const items = fields.array()
  fields.end()
  if (items.length === 0) throw badNode("it is empty")
  const decoded: readonly NodeItem[] =
    level === 0
      ? items.map((item) => decodeEntryFields(item, holder))
      : items.map((item) => decodeChild(new FieldReader(item, "directory node"), holder))
  if (level > 0 && !Number.isSafeInteger((decoded as ChildNode[]).reduce((sum, { count }) => sum + count, 0)))
    throw badNode("it has more entries than can be")
  for (let i = 1; i < decoded.length; i++)
    if (compareNames(decoded[i - 1]!.name, decoded[i]!.name) >= 0) throw badNode("its names are not in order")
  return { level, items: decoded } as DirectoryNode
}

/** Checks size and version of a node, and gives its other fields. Throws as the decoders of nodes do. */
export function openNode(bytes: Uint8Array, what: string): FieldReader {
  if (bytes.length > limits.treeNodeBytes)
    throw new HoldfastError("ERR_LIMIT", `A ${what} of ${bytes.length} bytes is over ${limits.treeNodeBytes}.`)
  const fields = new FieldReader(decodeCbor(bytes, what), what)
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A ${what} of version ${version} needs a newer Holdfast.`, {
      version,
    })
  return fields
}

/** Decides where nodes of one level end. Its state starts afresh after each node. */
export class NodeCutter {
  readonly #level: number
  #weight = 0
  #items = 0

  constructor(level: number) {
    this.#level = level
  }

  /** Takes the next item; true when the node ends after it. */
  endsAfter(item: NodeItem): boolean {
    const weight = isEntry(item) ? entryWeight(item) : 88 + nameBytes(item.name)
    this.#weight += weight
    this.#items++
    if (!this.#ends(item.name, weight)) return false
    this.#weight = 0
    this.#items = 0
    return true
  }

  #ends(name: string, weight: number): boolean {
    if (this.#level > 0 && this.#items < 2) return false // so that each level has at most half the nodes below it
    if (this.#weight >= maxNodeWeight) return true
    return nameHash(this.#level, name) < Math.min(weight, targetNodeWeight) * (2 ** 32 / targetNodeWeight)
  }
}

function decodeChild(fields: FieldReader, holder: Reference): ChildNode {
  const name = fields.text(limits.nameBytes)
  const problem = nameProblem(name)
  if (problem) throw badNode(`a name is wrong: ${problem}`)
  const child = { name, reference: decodeReference(fields.any(), holder), count: fields.integer(1) }
  fields.end()
  return child
}

function isEntry(item: NodeItem): item is Entry {
  return "kind" in item
}

function badNode(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A directory node is damaged: ${why}.`)
}
