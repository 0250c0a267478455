/** The ids of all chunks that a root needs, each once: of more than fit in memory in parts, for each of which all is walked again. */
import { HoldfastError } from "@holdfast/core"
import { IdSet, idPrefixes, mostIdsAtOnce } from "@holdfast/store"
import type { TreeIo } from "./io.ts"
import { reach, startsOf } from "./reach.ts"
import type { RootContent } from "./root.ts"

/** The part of them that begins with `from`; undefined when not all of the root can be read. */
export async function neededBy(
  io: TreeIo,
  root: RootContent,
  { from = 0, most = mostIdsAtOnce }: { readonly from?: number; readonly most?: number } = {},
): Promise<IdSet | undefined> {
  const needed = new IdSet(io.env.crypto, { from, most })
  for await (const met of reach(io, startsOf(root)))
    if (met.kind === "lost") return undefined
    else if (met.kind === "chunk") needed.add(met.chunk.id)
  return needed
}

/** All parts, of which the first is known. Throws ERR_CORRUPT when what could be read for that no longer can. */
export async function* allNeededBy(
  io: TreeIo,
  root: RootContent,
  { first, most = mostIdsAtOnce }: { readonly first: IdSet; readonly most?: number },
): AsyncGenerator<IdSet, void, void> {
  yield first
  for (let from = first.before; from < idPrefixes; ) {
    const part = await neededBy(io, root, { from, most })
    if (!part)
      throw new HoldfastError("ERR_CORRUPT", "A part of the tree could be read a moment ago, and now cannot be.")
    yield part
    from = part.before
  }
}
