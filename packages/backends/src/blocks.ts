/** Blocks of a share for those who keep whole shares and can read parts of them. Nothing is verified here: the asker does. */
import { concat, HoldfastError } from "@holdfast/core"
import {
  type BlockAnswer,
  type BlockQuery,
  blockBytes,
  decodeShareHead,
  leavesIn,
  payloadBytes,
  type ShareHead,
  versionOf,
} from "@holdfast/protocol"

/** Reads some bytes of a stored share, fewer where it ends; undefined where there is none. */
export type ReadPart = (offset: number, length: number) => Promise<Uint8Array | undefined>

/** Enough for what stands before most payloads. */
const firstReadBytes = 8 * 1024

/** The answer to `query` from the share that `read` reads; undefined when there is none. Throws when what is there is no share. */
export async function answerBlocks(query: BlockQuery, read: ReadPart): Promise<BlockAnswer | undefined> {
  let start = await read(0, firstReadBytes)
  if (!start) return undefined
  const headLength = start.length < 7 ? 0 : 7 + ((start[5]! << 8) | start[6]!)
  if (headLength > start.length) start = (await read(0, headLength)) ?? start
  const head = decodeShareHead(start)
  if (head.payloadStart > start.length) start = (await read(0, head.payloadStart)) ?? start
  const part = blockSpan(head, query)
  const end = part.offset + part.length
  // Not every place can read no bytes at all: to a bucket such a range means the whole object.
  const isHere = end <= start.length || part.length === 0
  const blocks = isHere ? start.subarray(part.offset, end) : await read(part.offset, part.length)
  return blocks && fill(head, start, query, blocks)
}

/** Where the blocks asked for lie in the share; of length 0 where it has none of them. */
export function blockSpan({ descriptor, payloadStart }: ShareHead, { first, count }: BlockQuery) {
  const length = versionOf(descriptor) === 1 ? 0 : payloadBytes(descriptor.ciphertextBytes, descriptor.k)
  const from = Math.min(length, first * blockBytes)
  const to = Math.min(length, (first + count) * blockBytes)
  return { offset: payloadStart + from, length: to - from }
}

/** An answer of what was read: `start` has all that is before the payload. */
export function fill(head: ShareHead, start: Uint8Array, query: BlockQuery, blocks: Uint8Array): BlockAnswer {
  if (head.payloadStart > start.length)
    throw new HoldfastError("ERR_BAD_FORMAT", "Share is cut short: its leaves are incomplete.")
  const leaves = start.subarray(head.leavesStart, head.payloadStart)
  const lists = query.leavesOf.flatMap((index) => leavesIn({ ...head, leaves }, index) ?? [])
  return {
    ...(!query.haveDescriptor && { descriptor: head.encodedDescriptor.slice() }),
    leaves: concat(...lists),
    blocks: blocks.slice(),
  }
}
