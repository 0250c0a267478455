/**
 * Trees that are linked in values which places keep behind the newest. Its own history does not lead there when a fellow writer cut
 * it short, but the owner of a tree may go back to what is kept.
 */
import { isHoldfastError, toHex } from "@holdfast/core"
import type { OwnValue } from "@holdfast/store"
import { decodeRoot, type JunctionEntry, reach, Seen, startsOf, type TreeIo, type Whereabouts } from "@holdfast/tree"

/** A tree that is linked in, and where. */
export interface Link {
  readonly junction: JunctionEntry
  readonly where: Whereabouts
}

/** What is in a value that is kept; nothing when no key opens it. */
export type KeptContent = Pick<OwnValue, "content">

/** The links of all `kept`; `isWhole` when there can be no others. What several have in common is looked through once. */
export async function linksKept(
  io: TreeIo,
  kept: readonly KeptContent[],
): Promise<{ readonly links: readonly Link[]; readonly isWhole: boolean }> {
  const links: Link[] = []
  const contents = new Map(kept.flatMap(({ content }) => (content ? [[toHex(content), content] as const] : [])))
  let isWhole = kept.every(({ content }) => content !== undefined)
  const seen = new Seen(io.env.crypto)
  for (const content of contents.values())
    try {
      for await (const met of reach(io, startsOf(decodeRoot(content)), { seen }))
        if (met.kind === "junction") links.push(met)
        else if (met.kind === "lost") isWhole = false
    } catch (error) {
      if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      isWhole = false
    }
  return { links, isWhole }
}
