/** `put`: local files and folders, or stdin, into a tree. */

import * as fs from "node:fs"
import * as nodePath from "node:path"
import { addAbortSignal } from "node:stream"
import { type Paths, type Profile, pathsOf } from "@holdfast/client/profile"
import { placesOf } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import { localError } from "@holdfast/core/node"
import { holdsEntries, notFound, show } from "@holdfast/fs"
import {
  addTotals,
  doneOf,
  ignoreFileName,
  knowsXattrs,
  noTotals,
  ownIdentities,
  type Problem,
  type TransferTotals,
  type UploadOptions,
  upload,
  uploadStream,
  type WalkOptions,
  walkLocal,
} from "@holdfast/fs/node"
import { checkName } from "@holdfast/tree"
import type { Command } from "commander"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { eachOf, incomplete, placesOfTheirOwn } from "../../partial.ts"
import { isStdio, looksRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { confirmMirror, mirrorNamed } from "./confirm-removal.ts"
import { humanSize } from "./listing.ts"
import { openPlace, type Place, target } from "./locations.ts"
import { withFiles } from "./open.ts"
import { type StoredFilesOfTrees, storedFilesOfTrees } from "./stored-files.ts"
import { itemTeller, patternsOf, type TransferFlags, withoutXattrs, withTransferFlags } from "./transfer-flags.ts"

interface PutFlags extends TransferFlags {
  readonly excludeCaches?: boolean
  readonly ignoreFiles: boolean
  readonly oneFileSystem?: boolean
  readonly delete?: boolean
  readonly yes?: boolean
}

/** Adds `put` to the program. */
export function register(program: Command, context: Context): void {
  const command = program
    .command("put")
    .description("store local files and folders")
    .argument("<paths...>", "SRC… DEST: local files or folders (or - for stdin), then where they go")
  withTransferFlags(command, "store")
    .option("--exclude-caches", "of folders that hold a CACHEDIR.TAG store the tag alone")
    .option("--no-ignore-files", `take ${ignoreFileName} files for files like others`)
    .option("-x, --one-file-system", "leave out what other file systems that are mounted below hold")
    .option("--delete", "mirror: remove from the directory what the folder does not have")
    .option("--yes", "with --delete: do not ask before anything is removed")
    .addHelpText(
      "after",
      examples(
        ["holdfast put photos home:/photos", "the folder becomes home:/photos, or is merged into it"],
        ["holdfast put photos home:/backup/", "with a slash: becomes home:/backup/photos"],
        ["holdfast put a.txt b.txt home:/docs", "several files go into the directory"],
        ['holdfast put --exclude "*.tmp" -x ~ home:/home', "patterns as in .gitignore"],
        ["holdfast put --delete --dry-run photos home:/photos", "what a mirror would change"],
        ["tar c . | holdfast put - home:/all.tar", "stdin"],
      ),
    )
    .action(async (paths: string[], flags: PutFlags) => put(context, paths, flags))
}

async function put(context: Context, paths: readonly string[], flags: PutFlags): Promise<void> {
  const sources = paths.slice(0, -1)
  if (sources.length === 0)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "put needs a source and a destination: holdfast put SRC… DEST.")
  const { dryRun = false } = flags
  await withFiles(context, { ...flags, keepsStored: true }, async (open) => {
    let place = await openPlace(open, paths.at(-1)!, { follow: true })
    if (sources.length > 1) place = { ...place, inside: true }
    const totals = noTotals()
    const problems: Problem[] = []
    const leftOut: string[] = []
    let excluded = 0
    const walk: WalkOptions = {
      onProblem: (problem: Problem) => void problems.push(problem),
      onLeftOut: (text: string) => void leftOut.push(text),
      onExcluded: () => void excluded++,
      ownFolders: ownFolders(pathsOf(context.env), await context.openProfile()),
      oneFileSystem: flags.oneFileSystem ?? false,
      exclude: {
        patterns: patternsOf(flags),
        caches: flags.excludeCaches ?? false,
        noIgnoreFiles: !flags.ignoreFiles,
      },
    }
    if (!knowsXattrs()) context.warn(withoutXattrs("Extended attributes and ACLs are not kept"))
    const claim = placesOfTheirOwn()
    const stored = storedFilesOfTrees(context)
    const isShown = context.json ? context.verbosity.verbose : context.isTerminal
    const progress = context.progress("put", isShown && !dryRun ? measure(sources, walk) : undefined)
    try {
      const options = { ...walk, onBytes: progress.add, signal: context.interruption.signal, stored }
      const one = async (source: string) =>
        addTotals(totals, await putOne(context, source, place, { flags, claim, ...options }))
      await eachOf(sources, one, walk.onProblem)
    } finally {
      progress.close()
      if (!dryRun) await stored.save()
    }
    for (const text of leftOut.slice(0, mostTold)) context.warn(text)
    if (leftOut.length > mostTold) context.warn(`${leftOut.length - mostTold} more were left out.`)
    if (totals.hardLinks > 0)
      context.warn(
        `${plural(totals.hardLinks, "file is a hard link", "files are hard links")} to another one, and stored as files of their own.`,
      )
    const details = { ...totals, excluded }
    if (problems.length > 0) {
      const degraded = (await context.degraded()) ?? null
      throw incomplete({ problems, verb: "stored", done: doneOf(totals), details: { ...details, degraded } })
    }
    await context.outputChanged({ ...details, leftOut: leftOut.slice(0, 1000), ...(dryRun && { dryRun }) }, summary())

    function summary(): string {
      const parts = [`${totals.unchanged} unchanged`]
      if (totals.removed > 0) parts.push(`${totals.removed} removed`)
      if (excluded > 0) parts.push(`${excluded} left out by patterns`)
      const stored = `${plural(totals.files, "file")} (${humanSize(totals.bytes)})`
      return dryRun
        ? `Would store ${stored} in ${show(place)}; ${parts.join(", ")}.`
        : `Stored ${stored}, ${parts.join(", ")}, in ${show(place)}.`
    }
  })
}

interface PutOptions extends WalkOptions {
  readonly flags: PutFlags
  readonly claim: ReturnType<typeof placesOfTheirOwn>
  readonly stored: StoredFilesOfTrees
  readonly onBytes: (count: number) => void
  readonly signal: AbortSignal
}

async function putOne(context: Context, source: string, place: Place, options: PutOptions): Promise<TransferTotals> {
  const { flags, claim, stored, ...rest } = options
  if (isStdio(source)) {
    if (place.inside)
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        "Stdin has no name: give the destination one, such as home:/a.txt.",
      )
    if (flags.dryRun) throw new HoldfastError("ERR_INVALID_ARGUMENT", "What comes from stdin cannot be tried first.")
    await requireParent(place)
    const mtimeNs = BigInt(Date.now()) * 1_000_000n
    return uploadStream(place.files.writer(), addAbortSignal(options.signal, context.stdin), place.path, {
      mode: 0o644,
      mtimeNs,
      onBytes: options.onBytes,
    })
  }
  const isFolder = statOf(source).isDirectory()
  if (isFolder && place.files.isFile)
    throw new HoldfastError("ERR_NOT_A_DIRECTORY", `${show(place)} is a file, and "${source}" is a folder.`)
  const name = nodePath.basename(nodePath.resolve(source))
  if (place.inside) checkName(name)
  const to =
    isFolder && place.path.length === 0 && source.endsWith("/") ? place : await target(place, name, { merge: isFolder })
  claim(show(to), { merges: isFolder && !flags.delete })
  await requireParent(to)
  const how = {
    ...rest,
    overwrite: flags.overwrite ?? false,
    mirror: flags.delete ?? false,
    storedFiles: stored.of(to.files),
  }
  if (isFolder && flags.delete && !flags.dryRun && !flags.yes) await confirmDelete(context, source, { to, how })
  const tell = itemTeller(context, flags.dryRun)
  return upload(to.files.writer(), source, to.path, {
    ...how,
    dryRun: flags.dryRun ?? false,
    ...(tell && { onItem: (what, path) => tell(`${what === "stored" ? "store" : "remove"} ${show({ ...to, path })}`) }),
  })
}

/**
 * A disk that is not mounted is an empty folder, and is never mirrored unasked. On a terminal it is looked through first what a mirror
 * would remove.
 */
async function confirmDelete(
  context: Context,
  source: string,
  { to, how }: { readonly to: Place; readonly how: UploadOptions },
): Promise<void> {
  if (fs.readdirSync(source).length === 0) {
    let there = 0
    for await (const _ of to.files.writer().list(to.path)) there++
    if (there === 0) return
    await confirm(context, {
      warning: `"${source}" is empty, so --delete would remove all ${plural(there, "entry", "entries")} of ${show(to)}.`,
      question: "Remove them?",
      insteadOfAsking: "Is a disk not mounted? Use --yes to remove them.",
      refusal: "Nothing was changed.",
    })
    return
  }
  if (!isAsking(context)) return
  const first: (readonly string[])[] = []
  const unheard = { onProblem: () => undefined, onLeftOut: () => undefined, onExcluded: () => undefined }
  const { removed } = await upload(to.files.writer(), source, to.path, {
    ...how,
    ...unheard,
    onBytes: () => undefined,
    dryRun: true,
    onItem: (what, path) => void (what === "removed" && first.length < mirrorNamed && first.push(path)),
  })
  await confirmMirror(context, { source, to, removed, first })
}

/** Found out before anything is sent. */
async function requireParent({ files, path }: Place): Promise<void> {
  if (path.length === 0) return
  const above = { files, path: path.slice(0, -1) }
  const parent = await files.lookup(above.path)
  if (!parent) throw notFound(above)
  if (!holdsEntries(parent)) throw new HoldfastError("ERR_NOT_A_DIRECTORY", `${show(above)} is not a directory.`)
}

function statOf(source: string): fs.Stats {
  try {
    return fs.statSync(source)
  } catch (error) {
    if (looksRemote(source) && !source.includes("/../"))
      throw new HoldfastError(
        "ERR_NOT_FOUND",
        `"${source.startsWith("hf:") ? "(capability)" : source}" does not exist on this machine. put takes local files; use get to fetch, cp to copy within a grid.`,
      )
    throw localError(error, source)
  }
}

/** Bytes to store, for the progress bar. */
function measure(sources: readonly string[], walk: WalkOptions): number | undefined {
  if (sources.some(isStdio)) return undefined
  const silent = { onProblem: () => undefined, onLeftOut: () => undefined, onExcluded: () => undefined }
  let bytes = 0
  for (const source of sources) for (const item of walkLocal(source, { ...walk, ...silent })) bytes += item.sizeBytes
  return bytes
}

/**
 * Where Holdfast itself keeps things on this machine: its keys, its grid, its memory, its volumes' directories. A home that is
 * stored with the grid that stores it would grow each time.
 */
function ownFolders(paths: Paths, profile: Pick<Profile, "volumes">): ReadonlySet<string> {
  const places = placesOf(profile).flatMap((place) => (place.kind === "directory" ? [place.path] : []))
  return ownIdentities([...Object.values(paths), ...places])
}

const mostTold = 10
