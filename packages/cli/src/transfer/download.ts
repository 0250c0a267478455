/**
 * Brings files and directories of a tree into a local folder, in the tree's order, since neighbours share chunks. Files
 * that are the same already are left alone, so an interrupted download goes on from there.
 */
import * as fs from "node:fs"
import { concat, mapOrdered, Semaphore } from "@holdfast/core"
import type { Folder } from "@holdfast/core/node"
import { RepeatGuard } from "@holdfast/tree"
import { type Problem, sameTime } from "./local.ts"
import { concernsOne } from "./partial.ts"
import {
  finishDirectory,
  openDirectory,
  openTarget,
  pathOf,
  placeDirectory,
  placeFile,
  placeSmallFile,
  placeSymlink,
  plainModeBits,
  type Target,
  targetIn,
} from "./place.ts"
import { type DownloadPort, noTotals, type RemoteItem, type TransferTotals } from "./ports.ts"

/** How a download is done. */
export interface DownloadOptions {
  /** Writes files again even when size, time and mode are the same. */
  readonly overwrite?: boolean
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
type Step<Content> =
  | { readonly end: false; readonly target: Target; readonly item: RemoteItem<Content> }
  /** All of a directory is there; its folder is done with. */
  | { readonly end: true; readonly folder: Folder; readonly item: RemoteItem<Content> }

/** A download under way. */
interface Download<Content> {
  readonly port: DownloadPort<Content>
  readonly options: DownloadOptions
  readonly totals: TransferTotals
  readonly large: Semaphore
  readonly guard: RepeatGuard
  /** Folders that are held open: those of directories whose end has not come. */
  readonly open: Set<Folder>
}

/** Brings `item` to the local path `local`. */
export async function download<Content>(
  port: DownloadPort<Content>,
  item: RemoteItem<Content>,
  local: string,
  options: DownloadOptions,
): Promise<TransferTotals> {
  const job: Download<Content> = {
    ...{ port, options, totals: noTotals(), large: new Semaphore(largeAtOnce) },
    ...{ guard: new RepeatGuard(), open: new Set() },
  }
  const work = async (step: Step<Content>) => {
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
      if (!ended.item.bare) await orReport(folder.path, options, async () => finishDirectory(folder, ended.item))
      job.open.delete(folder)
      folder.close()
    }
  } finally {
    for (const folder of job.open) folder.close()
  }
  return job.totals
}

async function* rootSteps<Content>(
  job: Download<Content>,
  item: RemoteItem<Content>,
  local: string,
): AsyncGenerator<Step<Content>, void, void> {
  const { options, open } = job
  if (item.kind === "file" || item.kind === "symlink") {
    const { kind } = item
    const target = await orReport(local, options, async () => openTarget(local, kind))
    if (!target) return
    open.add(target.folder)
    yield { end: false, target, item }
    return
  }
  const folder = await orReport(local, options, async () => openDirectory(local))
  if (folder) yield* directorySteps(job, item, folder)
}

/** What is in a directory, then its end. */
async function* directorySteps<Content>(
  job: Download<Content>,
  item: RemoteItem<Content>,
  folder: Folder,
): AsyncGenerator<Step<Content>, void, void> {
  const { port, options, totals, guard, open } = job
  open.add(folder)
  totals.directories++
  const identity = port.identity?.(item)
  const tell = identity === undefined ? undefined : guard.enter(identity)
  const listing = port.list(item)[Symbol.asyncIterator]()
  for (;;) {
    const next = await orReport(folder.path, options, () => listing.next())
    if (!next || next.done) break
    const [name, child] = next.value
    tell?.(1)
    const shown = `${folder.path}/${name}`
    const target = await orReport(shown, options, async () => targetIn(folder, name))
    if (!target) continue
    if (child.kind === "file" || child.kind === "symlink") {
      yield { end: false, target, item: child }
      continue
    }
    const made = await orReport(shown, options, async () => placeDirectory(target))
    if (made) yield* directorySteps(job, child, made)
  }
  yield { end: true, folder, item }
}

async function place<Content>(
  { port, totals, large, options }: Download<Content>,
  item: RemoteItem<Content>,
  target: Target,
): Promise<void> {
  if (!options.overwrite && isThere(item, target)) {
    totals.unchanged++
    options.onBytes?.(item.sizeBytes)
    return
  }
  if (item.kind === "symlink") {
    placeSymlink(target, item.target ?? "", item)
    totals.symlinks++
    return
  }
  if (item.sizeBytes <= smallBytes) {
    const content = await readSmall(port.read(item))
    placeSmallFile(target, content, item)
    options.onBytes?.(content.length)
  } else await large.run(() => placeFile(target, port.read(item, { transient: true }), item, options.onBytes))
  totals.files++
  totals.bytes += item.sizeBytes
}

async function readSmall(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return pieces.length === 1 ? pieces[0]! : concat(...pieces)
}

function isThere(item: RemoteItem<unknown>, { folder, name }: Target): boolean {
  const local = folder.at(name)
  const stat = fs.lstatSync(local, { bigint: true, throwIfNoEntry: false })
  if (!stat || !sameTime(stat.mtimeNs, item.mtimeNs)) return false
  if (item.kind === "symlink") return stat.isSymbolicLink() && fs.readlinkSync(local) === item.target
  return (
    stat.isFile() &&
    Number(stat.size) === item.sizeBytes &&
    (Number(stat.mode) & 0o7777) === (item.mode & plainModeBits)
  )
}

/** The result of `work`; what concerns this place only is reported and gives undefined. */
async function orReport<T>(local: string, options: DownloadOptions, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!concernsOne(error)) throw error
    options.onProblem({ path: local, code: error.code, message: error.message })
    return undefined
  }
}
