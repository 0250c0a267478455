/** Changing parts of a file. */
import { HoldfastError } from "@holdfast/core"
import { type FileEdit, patchFile } from "@holdfast/tree"
import type { Location } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { show } from "../path.ts"
import { notFound } from "./refusals.ts"

/** What a patch does besides. */
export interface PatchFileOptions {
  /** Bytes of the file afterwards: cuts it off, or lets it grow by a hole. Without it a file grows as far as the changes go. */
  readonly size?: number
  /** When it was modified, in nanoseconds since the epoch; now unless told. */
  readonly mtimeNs?: bigint
}

/**
 * Puts `edits`, which are in the order of the file and do not overlap, in place of what is there, as one change of the tree. What it
 * costs follows from what it changes. Mode and owner stay. Throws ERR_NOT_FOUND, ERR_IS_A_DIRECTORY, ERR_INVALID_ARGUMENT for edits that
 * are not so, ERR_WRONG_CAPABILITY.
 */
export async function patch(
  { files, path }: Location,
  edits: Iterable<FileEdit> | AsyncIterable<FileEdit>,
  { size, mtimeNs }: PatchFileOptions = {},
): Promise<void> {
  const writer = files.writer()
  const item = await writer.lookup(path)
  if (!item) throw notFound({ files, path })
  const { entry, owner } = item
  if (holdsEntries(item) || entry.kind !== "file")
    throw new HoldfastError("ERR_IS_A_DIRECTORY", `${show({ files, path })} is a ${entry.kind} and has no content.`)
  const content = await patchFile(files.io, entry, edits, { ...(size !== undefined && { size }) })
  const nowNs = BigInt(Math.floor(files.io.env.clock.nowMs())) * 1_000_000n
  const { mode, uid, gid } = entry
  const change = { kind: "file", mode, uid, gid, mtimeNs: mtimeNs ?? nowNs, content } as const
  // A mutable file that is linked in is changed where it is, and not the link.
  if (owner !== files && owner.isFile) await owner.writer().commit([{ ...change, path: [] }])
  else await writer.commit([{ ...change, path }])
}
