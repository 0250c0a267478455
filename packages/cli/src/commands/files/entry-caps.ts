/** Capabilities to what an entry holds now, which never changes. */
import { concat, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { encodeCap, maxVerifyIds } from "@holdfast/protocol"
import { type Entry, encodeEntryCap, reachEntry, type TreeIo } from "@holdfast/tree"

/** Longest capability that is accepted as text. */
const maxCapLength = 2048

/** One to read `entry`. Throws ERR_LIMIT when that does not fit. */
export function entryReadCap(entry: Entry): string {
  const text = encodeCap(encodeEntryCap(entry))
  if (text.length <= maxCapLength) return text
  throw new HoldfastError("ERR_LIMIT", `"${entry.name}" is too much for a capability; give one to its directory.`)
}

/** One to check and repair all that `entry` stands on but trees linked in. Throws ERR_LIMIT, ERR_INVALID_ARGUMENT. */
export async function entryVerifyCap(io: TreeIo, entry: Entry): Promise<string> {
  const ids = new Set<string>()
  for await (const met of reachEntry(io, entry)) {
    if (met.kind === "lost") throw met.lost.error
    if (met.kind === "chunk") ids.add(toHex(met.chunk.id))
    if (ids.size > maxVerifyIds)
      throw new HoldfastError(
        "ERR_LIMIT",
        `"${entry.name}" stands on more than ${maxVerifyIds} chunks, which is the most that a capability can name. ` +
          "Use the verify capability of its whole tree: holdfast cap ALIAS: --verify.",
      )
  }
  if (ids.size > 0) return encodeCap({ kind: "cv", chunkIds: concat(...[...ids].sort().map(fromHex)) })
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${entry.name}" is so small that its directory holds it. Use the verify capability of its tree, or of the directory.`,
  )
}
