/**
 * Brings files and directories of a tree into a local folder, in the tree's order, since neighbours share chunks. Files
 * that are the same already are left alone, so an interrupted download goes on from there.
 */
import * as fs from "node:fs"
import { concat, type ErrorCode, HoldfastError, isHoldfastError, mapOrdered, Semaphore } from "@holdfast/core"
import { RepeatGuard } from "@holdfast/tree"
import { type Problem, sameTime } from "./local.ts"
import { printable } from "./path-spec.ts"
import {
  childPath,
  finishDirectory,
  placeDirectory,
  placeFile,
  placeSmallFile,
  placeSymlink,
  plainModeBits,
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
/** What concerns one file only; anything else ends the download. */
const ofOneFile: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "ERR_BAD_FORMAT",
  "ERR_CORRUPT",
  "ERR_INCONSISTENT",
  "ERR_INVALID_NAME",
  "ERR_IS_A_DIRECTORY",
  "ERR_LIMIT",
  "ERR_NOT_A_DIRECTORY",
  "ERR_NOT_ENOUGH_SHARES",
  "ERR_UNSUPPORTED_VERSION",
])

type Step<Content> =
  | { readonly end: false; readonly local: string; readonly item: RemoteItem<Content> }
  | { readonly end: true; readonly local: string; readonly item: RemoteItem<Content> }

/** Brings `item` to the local path `local`. */
export async function download<Content>(
  port: DownloadPort<Content>,
  item: RemoteItem<Content>,
  local: string,
  options: DownloadOptions,
): Promise<TransferTotals> {
  const totals = noTotals()
  const large = new Semaphore(largeAtOnce)
  const work = async (step: Step<Content>) => {
    if (step.end) return step
    options.signal?.throwIfAborted()
    await orReport(step.local, options, () => place(port, step.item, step.local, totals, large, options))
    return undefined
  }
  // Steps end in order, so everything inside a directory is there when its end comes.
  for await (const ended of mapOrdered(steps(port, item, local, totals, options), filesAtOnce, work))
    if (ended && !ended.item.bare)
      await orReport(ended.local, options, async () => finishDirectory(ended.local, ended.item))
  return totals
}

async function* steps<Content>(
  port: DownloadPort<Content>,
  item: RemoteItem<Content>,
  local: string,
  totals: TransferTotals,
  options: DownloadOptions,
  /** Absent for what the download begins with. */
  above?: RepeatGuard,
): AsyncGenerator<Step<Content>, void, void> {
  const isRoot = above === undefined
  const guard = above ?? new RepeatGuard()
  if (item.kind === "file" || item.kind === "symlink") {
    yield { end: false, local, item }
    return
  }
  const made = await orReport(local, options, async () => {
    placeDirectory(local, { isRoot })
    return true
  })
  if (!made) return
  totals.directories++
  const identity = port.identity?.(item)
  const tell = identity === undefined ? undefined : guard.enter(identity)
  const listing = port.list(item)[Symbol.asyncIterator]()
  for (;;) {
    const next = await orReport(local, options, () => listing.next())
    if (!next || next.done) break
    const [name, child] = next.value
    tell?.(1)
    const place = await orReport(`${local}/${name}`, options, async () => childPath(local, name))
    if (place !== undefined) yield* steps(port, child, place, totals, options, guard)
  }
  yield { end: true, local, item }
}

async function place<Content>(
  port: DownloadPort<Content>,
  item: RemoteItem<Content>,
  local: string,
  totals: TransferTotals,
  large: Semaphore,
  options: DownloadOptions,
): Promise<void> {
  if (!options.overwrite && isThere(item, local)) {
    totals.unchanged++
    options.onBytes?.(item.sizeBytes)
    return
  }
  if (item.kind === "symlink") {
    placeSymlink(local, item.target ?? "", item)
    totals.symlinks++
    return
  }
  if (item.sizeBytes <= smallBytes) {
    const content = await readSmall(port.read(item))
    placeSmallFile(local, content, item)
    options.onBytes?.(content.length)
  } else await large.run(() => placeFile(local, port.read(item, { transient: true }), item, options.onBytes))
  totals.files++
  totals.bytes += item.sizeBytes
}

async function readSmall(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return pieces.length === 1 ? pieces[0]! : concat(...pieces)
}

function isThere(item: RemoteItem<unknown>, local: string): boolean {
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
    if (!isHoldfastError(error) || !ofOneFile.has(error.code)) throw error
    options.onProblem({ path: printable(local), code: error.code, message: error.message })
    return undefined
  }
}

/** The error at the end of a transfer that left something out; what was done stays done. */
export function incomplete(
  problems: readonly Problem[],
  verb: "stored" | "fetched",
  totals: TransferTotals,
): HoldfastError {
  const shown = problems.slice(0, mostShown).map(({ message }) => `  ${message}`)
  if (problems.length > mostShown) shown.push(`  and ${problems.length - mostShown} more`)
  const what = problems.length === 1 ? "One thing" : `${problems.length} things`
  return new HoldfastError(
    problems[0]!.code,
    `${what} could not be ${verb}; ${totals.files + totals.unchanged} files were:\n${shown.join("\n")}`,
    { ...totals, problems: problems.slice(0, 1000) },
  )
}

const mostShown = 10
