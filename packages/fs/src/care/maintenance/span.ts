/** The chunks of a footing in the order of their ids, a bounded number at a time. */
import { toHex } from "@holdfast/core"
import type { Footing, StoredChunk } from "../footing.ts"

/** Chunks with their ids in hexadecimal, each once. */
export type Span = readonly (readonly [id: string, chunk: StoredChunk])[]

/** The `most` chunks with the smallest ids after `after` and before `before`; fewer when there are no more. */
export async function nextSpan(
  { chunks }: Pick<Footing, "chunks">,
  { after, before, most }: { readonly after: string; readonly before: string; readonly most: number },
): Promise<Span> {
  let kept = new Map<string, StoredChunk>()
  let last = before
  const cutDown = () => {
    const sorted = [...kept].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, most)
    kept = new Map(sorted)
    if (sorted.length === most) last = sorted.at(-1)![0]
  }
  for await (const chunk of chunks) {
    const id = toHex(chunk.id)
    if (id <= after || id >= last || kept.has(id)) continue
    kept.set(id, chunk)
    if (kept.size >= 2 * most) cutDown()
  }
  cutDown()
  return [...kept]
}

/** Those chunks of a footing whose ids are in `wanted`. */
export async function spanOf({ chunks }: Pick<Footing, "chunks">, wanted: ReadonlySet<string>): Promise<Span> {
  const found = new Map<string, StoredChunk>()
  if (wanted.size === 0) return []
  for await (const chunk of chunks) {
    const id = toHex(chunk.id)
    if (wanted.has(id)) found.set(id, chunk)
    if (found.size === wanted.size) break
  }
  return [...found]
}
