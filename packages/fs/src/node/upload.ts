/**
 * Stores local files and folders in a tree. Small files are read in one go, large ones streamed; bytes in flight are
 * bounded. Unchanged files (size, time, mode, owner, and as far as it is known inode and ctime) are skipped, and of large ones that
 * changed, pieces that stay. A long upload is
 * committed now and then, so that one that was interrupted goes on from there: committed files are skipped, and what was stored of
 * large ones is not sent again.
 */
import type { Item, Writer } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { barOf } from "./barred.ts"
import { walkLocal } from "./local.ts"
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
  const listings = new Map<string, ReadonlyMap<string, Item> | undefined>()
  const listingOf = async (parts: readonly string[]) => {
    const key = parts.join("/")
    if (!listings.has(key)) {
      if (listings.size > 64) listings.delete(listings.keys().next().value!) // the walk is depth first
      listings.set(key, await writer.list(parts))
    }
    return listings.get(key)
  }
  let barred: readonly string[] | undefined
  try {
    for (const item of walkLocal(local, options)) {
      if (barred?.every((name, i) => item.path[i] === name)) continue
      const place = [...path, ...item.path]
      // What is beside the root of the upload does not matter, and may be much.
      const existing =
        item.path.length === 0 ? await writer.lookup(place) : (await listingOf(place.slice(0, -1)))?.get(place.at(-1)!)
      const bar =
        item.kind === "directory" && existing ? barOf(item, existing, { writer, mirror: options.mirror }) : undefined
      if (bar) {
        barred = item.path
        options.onProblem(bar)
        continue
      }
      const wait = job.add(item, place, existing)
      if (wait) await wait
      if (!options.mirror || !item.names || existing?.entry.kind !== "directory") continue
      for (const [name, there] of (await listingOf(place)) ?? [])
        if (!item.names.has(name) && !item.leavesOut?.(name, holdsEntries(there))) job.remove([...place, name])
    }
    await job.commit()
  } catch (error) {
    await job.abandon()
    if (options.signal?.aborted) await job.keep()
    throw error
  }
  return job.totals
}
