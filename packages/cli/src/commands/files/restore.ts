/**
 * Going back: to a snapshot, or to one of the past versions that a tree keeps. Nothing of the present state is read, so that it
 * may be lost or damaged; it stays in the history, so that going back is undone by going back.
 */
import { HoldfastError, isoTime } from "@holdfast/core"
import { lookupEntry } from "@holdfast/tree"
import { noSnapshot } from "./no-snapshot.ts"
import type { OpenedTree } from "./opened-tree.ts"
import { rootEntry } from "./root-entry.ts"

/** Makes what a snapshot keeps the present state. Throws ERR_NOT_FOUND, ERR_WRONG_CAPABILITY. */
export async function restoreSnapshot(volume: OpenedTree, name: string): Promise<void> {
  const result = await volume.writable().restore(async ({ snapshots }) => {
    const entry = await lookupEntry(volume.io, snapshots, name)
    if (entry?.kind !== "directory") throw await noSnapshot(volume, name)
    await rootEntry(volume.io, entry.reference, volume.isFile)
    return entry.reference
  })
  await volume.adopt(result)
}

/** Makes a past version the present state; gives its new sequence. Throws ERR_NOT_FOUND, ERR_WRONG_CAPABILITY. */
export async function restoreVersion(volume: OpenedTree, version: number): Promise<number> {
  const result = await volume.writable().restore(async ({ history }) => {
    const past = history.find(({ sequence }) => sequence === version)
    if (!past) throw noVersion(volume, version, history)
    await rootEntry(volume.io, past.root, volume.isFile)
    return past.root
  })
  await volume.adopt(result)
  return result.sequence
}

function noVersion(
  { label }: OpenedTree,
  version: number,
  history: readonly { readonly sequence: number; readonly timeMs: number }[],
): HoldfastError {
  const kept = history.map(({ sequence, timeMs }) => `${sequence} (${isoTime(timeMs).slice(0, 19)}Z)`)
  const there = kept.length === 0 ? "It keeps none." : `It keeps ${kept.join(", ")}.`
  return new HoldfastError("ERR_NOT_FOUND", `${label} does not keep a version ${version}. ${there}`, {
    version,
  })
}
