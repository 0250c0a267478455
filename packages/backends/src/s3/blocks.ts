/** Blocks of shares in a bucket, by range requests: one where the asker knows the chunk or guesses right, else one after another. */
import { type BlockAnswer, type BlockQuery, blockBytes, decodeShareHead } from "@holdfast/protocol"
import { answerBlocks, blockSpan, fill } from "../blocks.ts"
import type { Bucket } from "./bucket.ts"

/** Answers one query from the share under `key`. */
export async function readBlocks(
  bucket: Bucket,
  key: string,
  query: BlockQuery,
  signal: AbortSignal | undefined,
): Promise<BlockAnswer | undefined> {
  const read = async (offset: number, length: number) => (await bucket.getPart(key, offset, length, { signal }))?.bytes
  const { likelyStart, first, count } = query
  if (likelyStart === undefined) return answerBlocks(query, read)
  const guessed = read(likelyStart + first * blockBytes, count * blockBytes)
  if (query.haveDescriptor && query.leavesOf.length === 0) {
    const blocks = await guessed
    return blocks && { leaves: new Uint8Array(), blocks }
  }
  const [start, blocks] = await Promise.all([read(0, likelyStart), guessed])
  if (!start) return undefined
  const head = start.length === likelyStart ? headIn(start) : undefined
  if (!blocks || head?.payloadStart !== likelyStart) return answerBlocks(query, read)
  return fill(head, start, query, blocks.subarray(0, blockSpan(head, query).length))
}

/** The head, if `start` has all of it. */
function headIn(start: Uint8Array) {
  const isWhole = start.length >= 7 && 7 + ((start[5]! << 8) | start[6]!) <= start.length
  return isWhole ? decodeShareHead(start) : undefined
}
