/** Blocks of the shares of one tenant: only what is asked for is read from the disk. */
import type { BlockAnswer, BlockQuery } from "@holdfast/protocol"
import { answerBlocks } from "../blocks.ts"
import type { EngineParts } from "./parts.ts"

/** Answers one query. A share that the disk does not give is as good as absent: the reader asks others, the scrub reports it. */
export async function readBlocks(
  parts: EngineParts,
  tenant: { readonly tenant: number; readonly name: string },
  query: BlockQuery,
): Promise<BlockAnswer | undefined> {
  const { index, files } = parts
  const row = index.share(tenant.tenant, query.id, query.index)
  if (!row) return undefined
  const small = row.file === null ? index.small(row) : undefined
  try {
    return await answerBlocks(query, async (offset, length) => {
      if (row.file === null) return small?.subarray(offset, offset + length)
      return files.readPart(tenant.name, row.file, offset, length)
    })
  } catch {
    parts.readFailed()
    return undefined
  }
}
