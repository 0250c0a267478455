/**
 * Going back: to a snapshot, or to one of the past versions that a tree keeps. Nothing of the present state is read, so that it
 * may be lost or damaged; it stays in the history, so that going back is undone by going back.
 */
import { HoldfastError, isoTime } from "@holdfast/core"
import { lookupEntry } from "@holdfast/tree"
import type { FileSystem } from "./file-system.ts"
import { rootEntry } from "./root-entry.ts"

/** Makes what a snapshot keeps the present state. Throws ERR_NOT_FOUND, ERR_WRONG_CAPABILITY. */
export async function restoreSnapshot(files: FileSystem, name: string): Promise<void> {
  const result = await files.writable().restore(async ({ snapshots }) => {
    const entry = await lookupEntry(files.io, snapshots, name)
    if (entry?.kind !== "directory") throw await noSnapshot(files, name)
    await rootEntry(files.io, entry.reference, files.isFile)
    return entry.reference
  })
  await files.adopt(result)
}

/** Makes a past version the present state; gives its new sequence. Throws ERR_NOT_FOUND, ERR_WRONG_CAPABILITY. */
export async function restoreVersion(files: FileSystem, version: number): Promise<number> {
  const result = await files.writable().restore(async ({ history }) => {
    const past = history.find(({ sequence }) => sequence === version)
    if (!past) throw noVersion(files, version, history)
    await rootEntry(files.io, past.root, files.isFile)
    return past.root
  })
  await files.adopt(result)
  return result.sequence
}

function noVersion(
  { label }: FileSystem,
  version: number,
  history: readonly { readonly sequence: number; readonly timeMs: number }[],
): HoldfastError {
  const kept = history.map(({ sequence, timeMs }) => `${sequence} (${isoTime(timeMs).slice(0, 19)}Z)`)
  const there = kept.length === 0 ? "It keeps none." : `It keeps ${kept.join(", ")}.`
  return new HoldfastError("ERR_NOT_FOUND", `${label} does not keep a version ${version}. ${there}`, { version })
}

const mostNamed = 20

/** The error for a snapshot that is not there, with those that are. */
export async function noSnapshot(
  files: Pick<FileSystem, "label" | "listSnapshots">,
  name: string,
): Promise<HoldfastError> {
  const names = (await files.listSnapshots()).map((snapshot) => snapshot.name)
  const more = names.length > mostNamed ? ` and ${names.length - mostNamed} more` : ""
  const there =
    names.length === 0
      ? "It has none."
      : `There ${names.length === 1 ? "is" : "are"} ${names.slice(0, mostNamed).join(", ")}${more}.`
  const advice = names.length === 0 && { advice: "make-snapshot", tree: files.label }
  const message = `${files.label} has no snapshot "${name}". ${there}`
  return new HoldfastError("ERR_NOT_FOUND", message, { snapshot: name, ...advice })
}
