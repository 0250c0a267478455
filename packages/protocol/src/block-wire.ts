/**
 * Bodies of requests for blocks of shares. Specification: docs/protocols/storage-node.md. An answer has two frames for each
 * query: CBOR [descriptor or null, leaves], absent when the share is not held, and the blocks.
 */
import { decodeCbor, encodeCbor, FieldReader, HoldfastError, limits } from "@holdfast/core"
import type { BlockAnswer, BlockQuery } from "./backend.ts"
import { blockBytes, blockCount } from "./block-tree.ts"
import { decodeFrames, encodeFrames } from "./wire.ts"

/** Most blocks of a share: the last of one with the tag of a whole chunk. */
const maxBlocks = blockCount(limits.chunkBytes + 16)
/** Most lists of leaves in one query, its share's own and those of a data slice. */
const maxLists = 2
/** Most blocks, and so queries, of one request: their answers fit into an answer, descriptors and leaves included. */
export const blocksPerRequest = 160

/** A list of [id, index, first, count, have descriptor, indices whose leaves are wanted]. */
export function encodeBlockQueries(queries: readonly BlockQuery[]): Uint8Array {
  return encodeCbor(
    queries.map(({ id, index, first, count, haveDescriptor, leavesOf }) => [
      ...[id, index, first, count, haveDescriptor],
      Uint8Array.from(leavesOf),
    ]),
  )
}

/** Inverse of encodeBlockQueries. Throws ERR_BAD_FORMAT, ERR_LIMIT. */
export function decodeBlockQueries(bytes: Uint8Array): BlockQuery[] {
  const value = decodeCbor(bytes, "block queries")
  if (!Array.isArray(value)) throw malformed("expected a list")
  if (value.length > blocksPerRequest) throw tooMuch(value.length)
  let blocks = 0
  const queries = value.map((item): BlockQuery => {
    const fields = new FieldReader(item, "block query")
    const id = fields.bytes(32)
    const index = fields.integer(0, limits.maxShares - 1)
    const first = fields.integer(0, maxBlocks - 1)
    const count = fields.integer(1, maxBlocks)
    const haveDescriptor = fields.any()
    if (typeof haveDescriptor !== "boolean") throw malformed("expected true or false")
    const leavesOf = [...fields.bytes(undefined, maxLists)]
    fields.end()
    blocks += count
    return { id, index, first, count, haveDescriptor, leavesOf }
  })
  if (blocks > blocksPerRequest) throw tooMuch(blocks)
  return queries
}

/** The answers as parts to send one after another. */
export function encodeBlockAnswers(answers: readonly (BlockAnswer | undefined)[]): Uint8Array[] {
  return encodeFrames(
    answers.flatMap((answer) =>
      answer ? [encodeCbor([answer.descriptor ?? null, answer.leaves]), answer.blocks] : [undefined, undefined],
    ),
  )
}

/** Inverse of encodeBlockAnswers, for what was asked. Throws ERR_BAD_FORMAT, ERR_LIMIT. */
export function decodeBlockAnswers(bytes: Uint8Array, queries: readonly BlockQuery[]): (BlockAnswer | undefined)[] {
  const most = Math.max(0, ...queries.map(({ count }) => count))
  const bounds = { maxItems: 2 * queries.length, maxItemBytes: Math.max(most * blockBytes, 2 * limits.descriptorBytes) }
  const frames = decodeFrames(bytes, bounds)
  if (frames.length !== 2 * queries.length) throw malformed("it left out blocks")
  return queries.map((query, i) => {
    const [head, blocks] = [frames[2 * i], frames[2 * i + 1]]
    if (!head || !blocks) return undefined
    if (blocks.length > query.count * blockBytes) throw malformed("it gave more blocks than asked for")
    const fields = new FieldReader(decodeCbor(head, "block answer"), "block answer")
    const descriptor = fields.any()
    const leaves = fields.bytes(undefined, maxLists * 32 * maxBlocks)
    fields.end()
    if (descriptor === null) return { leaves, blocks }
    if (!(descriptor instanceof Uint8Array) || descriptor.length > limits.descriptorBytes)
      throw malformed("expected a descriptor or null")
    return { descriptor, leaves, blocks }
  })
}

function malformed(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A message about blocks is damaged: ${why}.`)
}

function tooMuch(count: number): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `A request asks for ${count} blocks; the limit is ${blocksPerRequest}.`, {
    count,
  })
}
