/** What a download would write: the same walk, and nothing is touched. */
import { RepeatGuard } from "@holdfast/tree"
import type { Item } from "../file-system.ts"
import { identityOf } from "../items.ts"
import type { DownloadOptions } from "./download.ts"
import { Exclusion } from "./exclude.ts"
import { compareWith } from "./is-there.ts"
import { orReport } from "./problem.ts"
import { noTotals, type TransferTotals } from "./totals.ts"

/** Counts what a download of `item` to `local` would do. */
export async function preview(item: Item, local: string, options: DownloadOptions): Promise<TransferTotals> {
  const totals = noTotals()
  const exclusion = Exclusion.of(options.exclude)
  const guard = new RepeatGuard()

  const look = async (one: Item, at: string, path: readonly string[]): Promise<void> => {
    options.signal?.throwIfAborted()
    const { entry } = one
    if (entry.kind === "file" || entry.kind === "symlink") {
      if (!options.overwrite && compareWith(entry, at, options) === "same") totals.unchanged++
      else {
        if (entry.kind === "symlink") totals.symlinks++
        else totals.files++
        totals.bytes += entry.kind === "file" ? entry.size : 0
        options.onItem?.(at)
      }
      return
    }
    totals.directories++
    const tell = guard.enter(identityOf(one))
    for await (const [name, child] of one.owner.list(one)) {
      tell(1)
      const below = [...path, name]
      const isFile = child.entry.kind === "file" || child.entry.kind === "symlink"
      if (exclusion.excludes(below, !isFile)) options.onExcluded?.(below)
      else await orReport(`${at}/${name}`, options, () => look(child, `${at}/${name}`, below))
    }
  }
  await orReport(local, options, () => look(item, local, []))
  return totals
}
