/** What a tree needs, for `gc`: also what is linked in, and whatever its list names of what cannot be read. */
import { HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { isOutOfReach, type JunctionEntry, liveSetOf, reachEntry, type Tree } from "@holdfast/tree"
import { lostPlace } from "./lost.ts"
import type { OpenedTree } from "./opened-tree.ts"
import type { LiveReport, LostPlace, Volume } from "./volume.ts"

/** Options of liveChunks. */
export type LiveOptions = Parameters<Volume["liveChunks"]>[0]

/** Tells the chunks that a tree needs, with those of the trees that are linked in. */
export async function liveChunksOf(
  volume: OpenedTree & { readonly tree: Tree | undefined },
  options: LiveOptions,
): Promise<LiveReport> {
  const { trim, onChunk } = options
  const { tree, access, label } = volume
  const lost: LostPlace[] = []
  const unknown: HoldfastError[] = []
  const junctions = new Map<string, JunctionEntry>()
  const onJunction = (junction: JunctionEntry) => void junctions.set(toHex(junction.readCap), junction)
  if (tree) {
    const isWriter = access?.seed !== undefined
    const found = await liveSetOf(tree, { onChunk, onJunction, isWriter, trim: trim && isWriter })
    lost.push(...found.lost.map((node) => lostPlace(label, node)))
    unknown.push(...found.unknown)
  } else
    for await (const met of reachEntry(volume.io, volume.root))
      if (met.kind === "chunk") onChunk(met.chunk.id)
      else if (met.kind === "junction") onJunction(met.junction)
      else {
        lost.push(lostPlace(label, met.lost))
        if (isOutOfReach(met.lost.error)) unknown.push(met.lost.error) // no list names what is below
      }
  for (const junction of junctions.values())
    try {
      const below = await (await volume.enter(junction, [junction.name])).liveChunks(options)
      lost.push(...below.lost)
      unknown.push(...below.unknown)
    } catch (error) {
      if (error instanceof CircularLink) continue
      if (!isHoldfastError(error)) throw error
      unknown.push(error)
    }
  return { lost, unknown }
}

/** A tree linked in itself, or too many in one another. */
export class CircularLink extends HoldfastError {
  constructor(label: string) {
    super("ERR_LIMIT", `${label} is linked in a circle, or too deep, and was not entered.`)
  }
}
