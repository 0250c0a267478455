/** How a listing that a server invents as it goes is told from a long one. */
import { HoldfastError } from "@holdfast/core"
import type { ChunkId } from "./ids.ts"

/** Fewer say too little. */
const leastListed = 10_000
/** Four million times a million: more than anybody stores in one place. */
const mostShares = 2 ** 42

/**
 * Throws ERR_BAD_FORMAT when `listed` shares up to the one of chunk `last` cannot be part of a listing that ever ends: ids are
 * hashes, so the part of them that was passed tells how many there are.
 */
export function checkListing(server: string, listed: number, last: ChunkId): void {
  if (listed < leastListed) return
  const passed = new DataView(last.buffer, last.byteOffset).getUint32(0) * 2 ** 16 + ((last[4]! << 8) | last[5]!)
  if (listed / ((passed + 1) / 2 ** 48) <= mostShares) return
  throw new HoldfastError(
    "ERR_BAD_FORMAT",
    `Server ${server} lists shares without end: their names are not those of chunks. Do not trust it.`,
    { server, listed },
  )
}
