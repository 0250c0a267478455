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
  folderIdentity,
  noTotals,
  type Problem,
  type TransferTotals,
  upload,
  uploadStream,
  type WalkOptions,
  walkLocal,
} from "@holdfast/fs/node"
import { checkName } from "@holdfast/tree"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { eachOf, incomplete } from "../../partial.ts"
import { isStdio, looksRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { humanSize } from "./listing.ts"
import { openPlace, type Place, target } from "./locations.ts"
import { type TransferFlags, withFiles } from "./open.ts"

/** Adds `put` to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("put")
    .description("store local files and folders")
    .argument("<paths...>", "SRC… DEST: local files or folders (or - for stdin), then where they go")
    .option("--overwrite", "store files again even when size, time and mode are the same")
    .option("--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)")
    .addHelpText(
      "after",
      examples(
        ["holdfast put photos home:/photos", "the folder becomes home:/photos, or is merged into it"],
        ["holdfast put photos home:/backup/", "with a slash: becomes home:/backup/photos"],
        ["holdfast put a.txt b.txt home:/docs", "several files go into the directory"],
        ["tar c . | holdfast put - home:/all.tar", "stdin"],
      ),
    )
    .action(async (paths: string[], flags: TransferFlags) => put(context, paths, flags))
}

async function put(context: Context, paths: readonly string[], flags: TransferFlags): Promise<void> {
  const sources = paths.slice(0, -1)
  if (sources.length === 0)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "put needs a source and a destination: holdfast put SRC… DEST.")
  await withFiles(context, flags, async (open) => {
    let place = await openPlace(open, paths.at(-1)!, { follow: true })
    if (sources.length > 1) place = { ...place, inside: true }
    const totals = noTotals()
    const problems: Problem[] = []
    const leftOut: string[] = []
    const walked = {
      onProblem: (problem: Problem) => void problems.push(problem),
      onLeftOut: (text: string) => void leftOut.push(text),
      ownFolders: ownFolders(pathsOf(context.env), await context.openProfile()),
    }
    const progress = context.progress("put", context.isTerminal ? measure(sources, walked.ownFolders) : undefined)
    try {
      const options = { ...flags, ...walked, onBytes: progress.add, signal: context.interruption.signal }
      const one = async (source: string) => addTotals(totals, await putOne(context, source, place, options))
      await eachOf(sources, one, walked.onProblem)
    } finally {
      progress.close()
    }
    for (const text of leftOut.slice(0, mostTold)) context.warn(text)
    if (leftOut.length > mostTold) context.warn(`${leftOut.length - mostTold} more were left out.`)
    if (problems.length > 0)
      throw incomplete({ problems, verb: "stored", done: doneOf(totals), details: { ...totals } })
    context.output(
      { ...totals, leftOut: leftOut.slice(0, 1000) },
      `Stored ${plural(totals.files, "file")} (${humanSize(totals.bytes)}), ${totals.unchanged} unchanged, in ${show(place)}.`,
    )
  })
}

async function putOne(
  context: Context,
  source: string,
  place: Place,
  options: TransferFlags & WalkOptions & { onBytes: (count: number) => void; signal: AbortSignal },
): Promise<TransferTotals> {
  if (isStdio(source)) {
    if (place.inside)
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        "Stdin has no name: give the destination one, such as home:/a.txt.",
      )
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
  await requireParent(to)
  return upload(to.files.writer(), source, to.path, options)
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
function measure(sources: readonly string[], own: ReadonlySet<string>): number | undefined {
  if (sources.some(isStdio)) return undefined
  let bytes = 0
  for (const source of sources)
    for (const item of walkLocal(source, { onProblem: () => undefined, ownFolders: own })) bytes += item.sizeBytes
  return bytes
}

/**
 * Where Holdfast itself keeps things on this machine: its keys, its grid, its memory, its volumes' directories. A home that is
 * stored with the grid that stores it would grow each time.
 */
function ownFolders(paths: Paths, profile: Pick<Profile, "volumes">): ReadonlySet<string> {
  const places = placesOf(profile).flatMap((place) => (place.kind === "directory" ? [place.path] : []))
  return new Set([...Object.values(paths), ...places].map(folderIdentity).filter((one) => one !== undefined))
}

const mostTold = 10
