/**
 * File manifests: [1, level, items]. Items of level 0 are [length, reference or null for a hole]; above they are
 * [length, reference] of a node one level lower. Specification: docs/formats/tree.md.
 */
import { type CborValue, encodeCbor, FieldReader, HoldfastError } from "@holdfast/core"
import { openNode } from "./directory-node.ts"
import type { NodePack } from "./pack.ts"
import { decodeReference, encodeReference, type OpenPack, type Reference } from "./reference.ts"

/** A piece of a file: `length` bytes at `reference`, or a hole of zeros. Above level 0: of a node. */
export interface ManifestItem {
  readonly length: number
  readonly reference: Reference | null
}

/** A node of a manifest, decoded. */
export interface ManifestNode {
  readonly level: number
  readonly items: readonly ManifestItem[]
}

/** Most items of a node. */
export const maxManifestItems = 2000
/** Highest level of a node. */
export const maxManifestLevel = 6

/** Encodes a node for `holder`. */
export function encodeManifestNode(level: number, items: readonly ManifestItem[], holder?: OpenPack): Uint8Array {
  const encoded: CborValue[] = items.map(({ length, reference }) => [
    length,
    reference && encodeReference(reference, holder),
  ])
  return encodeCbor([1, level, encoded])
}

/** Decodes the node that lies at `holder`. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT. */
export function decodeManifestNode(bytes: Uint8Array, holder: Reference): ManifestNode {
  const fields = openNode(bytes, "file manifest")
  const level = fields.integer(0, maxManifestLevel)
  const items = fields.array(maxManifestItems).map((item) => decodeItem(item, level, holder))
  fields.end()
  if (items.length === 0) throw badManifest("it is empty")
  if (!Number.isSafeInteger(items.reduce((sum, { length }) => sum + length, 0))) throw badManifest("it is too long")
  return { level, items }
}

/** Writes the manifest of a file's pieces and gives its root node. */
export async function writeManifest(pack: NodePack, pieces: readonly ManifestItem[]): Promise<Reference> {
  let items = pieces
  for (let level = 0; ; level++) {
    const nodes: (ManifestItem & { readonly reference: Reference })[] = []
    for (let start = 0; start < items.length; start += maxManifestItems) {
      const group = items.slice(start, start + maxManifestItems)
      const reference = await pack.write((holder) => encodeManifestNode(level, group, holder), decodeManifestNode)
      nodes.push({ length: group.reduce((sum, item) => sum + item.length, 0), reference })
    }
    if (nodes.length === 1) return nodes[0]!.reference
    items = nodes
  }
}

function decodeItem(value: CborValue, level: number, holder: Reference): ManifestItem {
  const fields = new FieldReader(value, "file manifest")
  const length = fields.integer(1)
  const field = fields.any()
  fields.end()
  const reference = field === null ? null : decodeReference(field, holder)
  if (level > 0 && !reference) throw badManifest("a node refers to nothing")
  if (level === 0 && reference && reference.length !== length) throw badManifest("a piece has two lengths")
  return { length, reference }
}

function badManifest(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A file manifest is damaged: ${why}.`)
}
