/**
 * Stores local files and folders in a tree. Small files are read in one go, large ones streamed; bytes in flight are
 * bounded. Unchanged files (size, time, mode, owner, and as far as it is known inode and ctime) are skipped, and of large ones that
 * changed, pieces that stay. A long upload is
 * committed now and then, so that one that was interrupted goes on from there: committed files are skipped, and what was stored of
 * large ones is not sent again.
 */
import type { Writer } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { barOf } from "./barred.ts"
import { InStep } from "./in-step.ts"
import { type LocalItem, walkLocal } from "./local.ts"
import type { TransferTotals } from "./totals.ts"
import { UploadJob, type UploadOptions } from "./upload-job.ts"

/** Stores the file, folder or symlink `local` as `path`. */
export async function upload(
  writer: Writer,
  local: string,
  path: readonly string[],
  options: UploadOptions,
): Promise<TransferTotals> {
  const job = new UploadJob(writer, options)
  const there = new InStep(writer, path)
  let barred: readonly string[] | undefined
  try {
    for (const item of walkLocal(local, options)) {
      if (barred?.every((name, i) => item.path[i] === name)) continue
      const place = [...path, ...item.path]
      // What is beside the root of the upload does not matter, and may be much.
      const existing = item.path.length === 0 ? await writer.lookup(place) : await there.at(item.path)
      const bar =
        item.kind === "directory" && existing ? barOf(item, existing, { writer, mirror: options.mirror }) : undefined
      if (bar) {
        barred = item.path
        options.onProblem(bar)
        continue
      }
      const wait = job.add(item, place, existing)
      if (wait) await wait
      if (options.mirror && existing?.entry.kind === "directory") await removeRest(job, writer, item, place)
    }
    await job.commit()
  } catch (error) {
    await job.abandon()
    if (options.signal?.aborted) await job.keep()
    throw error
  } finally {
    await there.close()
  }
  return job.totals
}

/** Takes away what the directory at `place` has and the folder has not. */
async function removeRest(
  job: UploadJob,
  writer: Writer,
  { names, leavesOut }: LocalItem,
  place: readonly string[],
): Promise<void> {
  if (!names) return
  for await (const [name, item] of writer.list(place)) {
    if (names.has(name) || leavesOut?.(name, holdsEntries(item))) continue
    const wait = job.remove([...place, name])
    if (wait) await wait
  }
}
