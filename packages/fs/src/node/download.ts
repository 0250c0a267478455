/**
 * Brings files and directories of a tree into a local folder, in the tree's order, since neighbours share chunks. Files
 * that are the same already are left alone, so an interrupted download goes on from there.
 */
import * as fs from "node:fs"
import { concat, mapOrdered, Semaphore } from "@holdfast/core"
import type { Folder } from "@holdfast/core/node"
import { RepeatGuard } from "@holdfast/tree"
import type { Item } from "../file-system.ts"
import { identityOf, isBare } from "../items.ts"
import { type ExcludeOptions, Exclusion } from "./exclude.ts"
import { compareWith, placeXattrs } from "./is-there.ts"
import { removeOldParts } from "./parts.ts"
import {
  finishDirectory,
  openDirectory,
  openTarget,
  pathOf,
  placeDirectory,
  placeFile,
  placeSmallFile,
  placeSymlink,
  type Restored,
  type Target,
  targetIn,
} from "./place.ts"
import { orReport, type Problem } from "./problem.ts"
import { noTotals, type TransferTotals } from "./totals.ts"
import { knowsXattrs, restoredXattrs, withoutXattrs } from "./xattrs.ts"

/** How a download is done. */
export interface DownloadOptions extends Restored {
  /** Writes files again even when size, time and mode are the same. */
  readonly overwrite?: boolean
  /** Patterns of what is left where it is; files with patterns and marks of caches mean nothing here. */
  readonly exclude?: Pick<ExcludeOptions, "patterns">
  /** Hears of what `exclude` leaves out, a directory with all in it. */
  readonly onExcluded?: (path: readonly string[]) => void
  /** Hears of each thing that is written. */
  readonly onItem?: (local: string) => void
  readonly signal?: AbortSignal
  readonly onProblem: (problem: Problem) => void
  /** Hears of bytes as they are written or skipped. */
  readonly onBytes?: (count: number) => void
}

const filesAtOnce = 32
/** Files that are streamed: each has several chunks in memory. */
const largeAtOnce = 2
/** Files up to this size are held in memory and written in one go. */
const smallBytes = 256 * 1024
type Step =
  | { readonly end: false; readonly target: Target; readonly item: Item }
  /** All of a directory is there; its folder is done with. */
  | { readonly end: true; readonly folder: Folder; readonly item: Item }

/** A download under way. */
interface Download {
  readonly options: DownloadOptions
  readonly totals: TransferTotals
  readonly large: Semaphore
  readonly guard: RepeatGuard
  readonly exclusion: Exclusion
  /** The folder that the user named was there before. */
  isFound: boolean
  /** Folders that are held open: those of directories whose end has not come. */
  readonly open: Set<Folder>
}

/** Brings `item` to the local path `local`. */
export async function download(item: Item, local: string, options: DownloadOptions): Promise<TransferTotals> {
  const job: Download = {
    ...{ options, totals: noTotals(), large: new Semaphore(largeAtOnce) },
    ...{ guard: new RepeatGuard(), open: new Set(), exclusion: Exclusion.of(options.exclude), isFound: false },
  }
  const work = async (step: Step) => {
    if (step.end) return step
    options.signal?.throwIfAborted()
    await orReport(pathOf(step.target), options, () => place(job, step.item, step.target))
    return undefined
  }
  try {
    // Steps end in order, so everything inside a directory is there when its end comes.
    for await (const ended of mapOrdered(rootSteps(job, item, local), filesAtOnce, work)) {
      if (!ended) continue
      const { folder } = ended
      if (!isBare(ended.item)) {
        const restored = ended.item === item && job.isFound ? {} : options
        tellOfNone(options, ended.item.entry, restored)
        const onLacking = lackingAt(options, folder.path)
        await orReport(folder.path, options, async () =>
          finishDirectory(folder, ended.item.entry, { ...restored, onLacking }),
        )
      }
      job.open.delete(folder)
      folder.close()
    }
  } finally {
    for (const folder of job.open) folder.close()
  }
  return job.totals
}

async function* rootSteps(job: Download, item: Item, local: string): AsyncGenerator<Step, void, void> {
  const { options, open } = job
  const { kind } = item.entry
  if (kind === "file" || kind === "symlink") {
    const target = await orReport(local, options, async () => openTarget(local, kind))
    if (!target) return
    removeOldParts(target.folder, nowOf(item))
    open.add(target.folder)
    yield { end: false, target, item }
    return
  }
  // A folder that was there is whose it is: it may be one for many things.
  job.isFound = fs.existsSync(local)
  const folder = await orReport(local, options, async () => openDirectory(local))
  if (folder) yield* directorySteps(job, item, { folder, isNew: false }, [])
}

function nowOf({ owner }: Item): number {
  return owner.io.env.clock.nowMs()
}

/** What is in a directory, then its end. */
async function* directorySteps(
  job: Download,
  item: Item,
  { folder, isNew }: { readonly folder: Folder; readonly isNew: boolean },
  path: readonly string[],
): AsyncGenerator<Step, void, void> {
  const { options, totals, guard, open, exclusion } = job
  if (!isNew) removeOldParts(folder, nowOf(item))
  open.add(folder)
  totals.directories++
  const tell = guard.enter(identityOf(item))
  const listing = item.owner.list(item)[Symbol.asyncIterator]()
  for (;;) {
    const next = await orReport(folder.path, options, () => listing.next())
    if (!next || next.done) break
    const [name, child] = next.value
    tell(1)
    const isFile = child.entry.kind === "file" || child.entry.kind === "symlink"
    const below = [...path, name]
    if (options.exclude && exclusion.excludes(below, !isFile)) {
      options.onExcluded?.(below)
      continue
    }
    const shown = `${folder.path}/${name}`
    const target = await orReport(shown, options, async () => targetIn(folder, name, { isInNew: isNew }))
    if (!target) continue
    if (isFile) {
      yield { end: false, target, item: child }
      continue
    }
    const made = await orReport(shown, options, async () => placeDirectory(target))
    if (made) yield* directorySteps(job, child, made, below)
  }
  yield { end: true, folder, item }
}

async function place({ totals, large, options }: Download, item: Item, target: Target): Promise<void> {
  const { entry, owner } = item
  const there =
    options.overwrite || target.isInNew ? "other" : compareWith(entry, target.folder.at(target.name), options)
  const restored = { ...options, onLacking: lackingAt(options, pathOf(target)) }
  // Where a file system takes none of them, it is not written anew each time.
  const placed = there === "lacks xattrs" && entry.kind === "file" && placeXattrs(target, entry, restored)
  if (placed === "all") {
    options.onItem?.(pathOf(target))
    totals.files++
  }
  if (there === "same" || placed === "some") totals.unchanged++
  if (there === "same" || placed) {
    options.onBytes?.(entry.size)
    return
  }
  if (entry.kind === "symlink") {
    placeSymlink(target, entry.target, entry, options)
    options.onItem?.(pathOf(target))
    totals.symlinks++
    return
  }
  tellOfNone(options, entry, options)
  if (entry.size <= smallBytes) {
    const content = await readSmall(untilAborted(owner.read(item), options.signal))
    placeSmallFile(target, content, entry, restored)
    options.onBytes?.(content.length)
  } else {
    const source = untilAborted(owner.read(item, { transient: true }), options.signal)
    await large.run(() => placeFile(target, source, entry, restored))
  }
  options.onItem?.(pathOf(target))
  totals.files++
  totals.bytes += entry.size
}

function tellOfNone({ onWithoutXattrs }: DownloadOptions, entry: Item["entry"], restored: Restored): void {
  if (!knowsXattrs() && restoredXattrs(entry, restored)) onWithoutXattrs?.()
}

function lackingAt({ onProblem }: DownloadOptions, local: string): (what: string) => void {
  return (what) => onProblem(withoutXattrs({ local }, what))
}

async function* untilAborted(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const piece of source) {
    signal?.throwIfAborted()
    yield piece
  }
}

async function readSmall(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return pieces.length === 1 ? pieces[0]! : concat(...pieces)
}
