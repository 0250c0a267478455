/**
 * References: where in which chunk some bytes lie. Absolute: [id, key, offset, length]. Self: [offset, length], in the
 * chunk that holds the node with the reference. Specification: docs/formats/tree.md.
 */
import { assert, type CborValue, equal, FieldReader, HoldfastError, limits, toHex } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"

/** A slice of a chunk. */
export interface Reference {
  readonly chunk: ChunkRef
  readonly offset: number
  readonly length: number
}

/** Files up to this size share packs. */
export const packedFileBytes = 1024 * 1024

/**
 * True for what has its chunk alone, by how it looks: packs hold nothing so long at their beginning, and a patch refers to no part of a
 * chunk in this way.
 */
export function isOwnChunk({ offset, length }: Reference): boolean {
  return offset === 0 && length > packedFileBytes
}

/** Entries of a directory; null when it is empty. */
export type DirectoryRef = Reference | null

/** A chunk while it is filled; `chunk` is known once it is stored. */
export interface OpenPack {
  readonly chunk: ChunkRef | undefined
}

/** A slice of a pack that may not be stored yet: its chunk must not be asked for before the pack is sealed. */
export class PackedReference implements Reference {
  readonly pack: OpenPack
  readonly offset: number
  readonly length: number

  constructor(pack: OpenPack, offset: number, length: number) {
    this.pack = pack
    this.offset = offset
    this.length = length
  }

  get chunk(): ChunkRef {
    assert(this.pack.chunk, "a reference into a pack is used before the pack is sealed")
    return this.pack.chunk
  }
}

/** Encodes a reference, as a self reference when it lies in `holder`. */
export function encodeReference(reference: Reference, holder?: OpenPack): CborValue {
  const { offset, length } = reference
  if (holder && reference instanceof PackedReference && reference.pack === holder) return [offset, length]
  return [reference.chunk.id, reference.chunk.key, offset, length]
}

/**
 * Decodes a reference found in the node that lies at `holder`; self references are refused without one, and point to what
 * comes before the node, so that no chain of them is endless. Throws ERR_BAD_FORMAT.
 */
export function decodeReference(value: CborValue, holder: Reference | undefined): Reference {
  const fields = new FieldReader(value, "reference")
  const isSelf = fields.remaining === 2
  const chunk = isSelf ? holder?.chunk : { id: fields.bytes(32), key: fields.bytes(32) }
  if (!chunk) throw new HoldfastError("ERR_BAD_FORMAT", "A reference names no chunk, and no chunk holds it.")
  const offset = fields.integer(0, limits.chunkBytes - 1)
  const length = fields.integer(1, limits.chunkBytes - offset)
  fields.end()
  if (isSelf && holder && offset + length > holder.offset)
    throw new HoldfastError("ERR_BAD_FORMAT", "A self reference does not point to what comes before it.")
  return { chunk, offset, length }
}

/** True when both refer to the same bytes. */
export function sameReference(a: Reference | null, b: Reference | null): boolean {
  if (a === b) return true
  if (!a || !b) return false
  if (a.offset !== b.offset || a.length !== b.length) return false
  const first = chunkOf(a)
  const second = chunkOf(b)
  if (!first || !second) return a instanceof PackedReference && b instanceof PackedReference && a.pack === b.pack
  return equal(first.id, second.id) && equal(first.key, second.key)
}

function chunkOf(reference: Reference): ChunkRef | undefined {
  return reference instanceof PackedReference ? reference.pack.chunk : reference.chunk
}

/** A name for the referenced bytes, as key of a map. */
export function referenceKey(reference: Reference): string {
  return `${toHex(reference.chunk.id)}:${reference.offset}:${reference.length}`
}

/**
 * The name of a chunk in a cache that serves many trees. With its key: a tree that names another's chunk, and does not
 * know the key, must not get what was read by right.
 */
export function cacheKey({ id, key }: ChunkRef): string {
  return `${toHex(id)}${toHex(key)}`
}

/** The reference as plain data, so that nothing of a finished pack is kept alive. */
export function settle<T extends Reference | null>(reference: T): Reference | T {
  if (!(reference instanceof PackedReference)) return reference
  return { chunk: reference.chunk, offset: reference.offset, length: reference.length }
}
